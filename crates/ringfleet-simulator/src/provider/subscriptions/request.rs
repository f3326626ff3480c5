//! What a subscription request asks for.

use serde::Deserialize;

use super::super::caller::Caller;
use super::super::error::ApiError;
use crate::clock::Nanos;
use crate::world::{EventFilter, FilterProblem, World};

/// Documented for webhooks: ten years.
const MAX_LIFETIME_S: u64 = 315_360_000;
/// When the client names none.
const USUAL_LIFETIME_S: u64 = 604_800;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default)]
    event_filters: Vec<String>,
    delivery_mode: Option<DeliveryMode>,
    expires_in: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryMode {
    transport_type: Option<String>,
    address: Option<String>,
    verification_token: Option<String>,
}

/// No `Debug`: it holds a verification token.
pub(super) struct Parsed {
    pub(super) filters: Vec<EventFilter>,
    /// Those that the app has no permission for: taken, but they do nothing.
    pub(super) disabled: Vec<EventFilter>,
    pub(super) address: Option<String>,
    pub(super) verification_token: Option<String>,
    pub(super) lifetime: Nanos,
}

pub(super) fn parse(world: &World, caller: &Caller, id: &str, body: &[u8]) -> Result<Parsed, ApiError> {
    let wire: Wire = serde_json::from_slice(body).map_err(|_| ApiError::bad_json())?;
    let lifetime_s = match wire.expires_in {
        None => USUAL_LIFETIME_S,
        Some(asked) => u64::try_from(asked).unwrap_or(0).clamp(1, MAX_LIFETIME_S),
    };
    let mode = wire.delivery_mode;
    let transport = mode.as_ref().and_then(|mode| mode.transport_type.as_deref());
    if transport.is_some_and(|transport| transport != "WebHook") {
        return Err(ApiError::invalid("deliveryMode.transportType"));
    }
    let filters = wire
        .event_filters
        .iter()
        .map(|raw| EventFilter::parse(raw, &world.directory, caller.index, id, lifetime_s).map_err(problem))
        .collect::<Result<Vec<_>, _>>()?;
    let permitted = world.settings().permissions.iter().any(|one| one == "ReadMessages");
    let (filters, disabled): (Vec<_>, Vec<_>) =
        filters.into_iter().partition(|filter| permitted || !filter.reads_messages());
    if filters.is_empty() && !disabled.is_empty() {
        return Err(ApiError::app_permission());
    }
    let (address, verification_token) = mode.map_or((None, None), |mode| (mode.address, mode.verification_token));
    Ok(Parsed { filters, disabled, address, verification_token, lifetime: lifetime_s * 1_000_000_000 })
}

fn problem(problem: FilterProblem) -> ApiError {
    match problem {
        FilterProblem::Invalid => ApiError::subscription("SUB-508", "Event filters are not valid"),
        FilterProblem::Reminder => ApiError::subscription("SUB-516", "Reminder parameters are not valid"),
        FilterProblem::OtherExtension => ApiError::foreign_subscription(),
    }
}
