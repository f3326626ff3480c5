//! A subscription as the API shows it.

use serde_json::{Value, json};

use super::super::answer::Millis;
use crate::clock::Nanos;
use crate::world::{EventFilter, Subscription, World};

/// The verification token is never told.
pub(super) fn record(world: &World, subscription: &Subscription, now: Nanos) -> Value {
    let texts = |filters: &[EventFilter]| filters.iter().map(|filter| filter.text.clone()).collect::<Vec<_>>();
    let time = |at| Millis(world.clock.timestamp(at));
    let mut record = json!({
        "uri": format!("{}/restapi/v1.0/subscription/{}", world.base_url, subscription.id),
        "id": subscription.id,
        "creationTime": time(subscription.created_at),
        "status": if subscription.blacklisted_at.is_some() { "Blacklisted" } else { "Active" },
        "eventFilters": texts(&subscription.filters),
        "expirationTime": time(subscription.expires_at),
        "expiresIn": subscription.expires_at.saturating_sub(now) / 1_000_000_000,
        "deliveryMode": {"transportType": "WebHook", "encryption": false, "address": subscription.address},
    });
    if !subscription.disabled.is_empty() {
        let disabled = texts(&subscription.disabled).into_iter().map(|filter| {
            json!({"filter": filter, "reason": "InsufficientPermissions", "message": "Application needs ReadMessages"})
        });
        record["disabledFilters"] = disabled.collect();
    }
    if let Some(at) = subscription.blacklisted_at {
        record["blacklistedData"] = json!({"blacklistedAt": time(at), "reason": "WebHook responses are not valid"});
    }
    record
}
