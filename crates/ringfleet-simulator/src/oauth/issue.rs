//! Decides on a grant and writes the answer.

use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value};

use super::error::OauthError;
use super::grant::Grant;
use super::{gate, redeem};
use crate::app::{AppSettings, GrantKind};
use crate::clock::{Nanos, nanos};
use crate::provider::json_response;
use crate::query::Pairs;
use crate::world::{Lifetimes, Opening, RefreshProblem, Session, World};

/// Documented bounds of `refresh_token_ttl`'s upper end and `access_token_ttl`'s lower end, in seconds.
const MAX_REFRESH_TTL_S: u64 = 2_592_000;
const MIN_ACCESS_TTL_S: u64 = 600;

pub(super) fn issue(
    world: &World,
    app: &AppSettings,
    grant: Grant<'_>,
    form: &Pairs<'_>,
    now: Nanos,
) -> Result<Response, OauthError> {
    allowed(app, grant.kind())?;
    gate::account(world)?;
    if let Grant::Code { code, .. } = grant {
        redeem::redeem(world, &app.client_id, code, form, now)?;
    }
    let index = grant.index();
    let mut extension = world.extension(index);
    match grant {
        Grant::Jwt { assertion, .. } => {
            if assertion != world.directory.jwt(index) {
                return Err(OauthError::SIGNATURE);
            }
            gate::jwt(&extension, &app.client_id)?;
        }
        Grant::Password { password, .. } => gate::password(world, &mut extension, index, password, now)?,
        Grant::Code { .. } | Grant::Refresh { .. } => {}
    }
    gate::extension(&extension, grant.kind())?;
    let rules = world.session_rules(app);
    let lifetimes = lifetimes(world, form);
    let session = match grant {
        Grant::Refresh { token, .. } => {
            extension.sessions.refresh(&rules, index, token, lifetimes, now).map_err(|problem| match problem {
                RefreshProblem::Expired => OauthError::EXPIRED,
                RefreshProblem::NotFound => OauthError::NOT_FOUND,
                RefreshProblem::OtherApp => OauthError::OTHER_APP,
            })?
        }
        Grant::Jwt { .. } | Grant::Code { .. } | Grant::Password { .. } => {
            let given = |name| form.first(name).filter(|value| !value.is_empty());
            let opening = Opening { lifetimes, endpoint_id: given("endpoint_id"), scope: given("scope") };
            extension.sessions.open(&rules, index, opening, now)
        }
    };
    let owner = world.directory.extension_id(index);
    Ok(json_response(StatusCode::OK, &token_body(app, session, owner, now)))
}

fn allowed(app: &AppSettings, grant: GrantKind) -> Result<(), OauthError> {
    match grant {
        _ if app.allows(grant) => Ok(()),
        GrantKind::Jwt => Err(OauthError::NO_JWT_GRANT),
        GrantKind::AuthorizationCode => Err(OauthError::NO_CODE_GRANT),
        GrantKind::RefreshToken => Err(OauthError::NO_REFRESH_GRANT),
        GrantKind::Password => Err(OauthError::NO_GRANT),
    }
}

fn token_body(app: &AppSettings, session: &Session, owner: u64, now: Nanos) -> Value {
    let left = |until: Nanos| Value::from((until.saturating_sub(now) / 1_000_000_000).max(1));
    let mut body = Map::new();
    body.insert("access_token".into(), session.access().into());
    body.insert("token_type".into(), "bearer".into());
    body.insert("expires_in".into(), left(session.access_expires));
    if let Some(refresh) = session.refresh() {
        body.insert("refresh_token".into(), refresh.into());
        body.insert("refresh_token_expires_in".into(), left(session.refresh_expires));
    }
    body.insert("scope".into(), app.scope(session.scope()).into());
    body.insert("owner_id".into(), owner.to_string().into());
    body.insert("endpoint_id".into(), session.endpoint_id.as_str().into());
    body.insert("session_id".into(), format!("s-{:x}", session.id).into());
    Value::Object(body)
}

/// Values out of range are clamped, not refused (documented); the JavaScript client sends -1 (seen on the wire).
fn lifetimes(world: &World, form: &Pairs<'_>) -> Lifetimes {
    let asked = |name: &str| {
        form.first(name)
            .and_then(|value| value.parse::<i64>().ok())
            .and_then(|seconds| u64::try_from(seconds).ok())
            .filter(|seconds| *seconds > 0)
            .map(|seconds| seconds.saturating_mul(1_000_000_000))
    };
    let usual = usual_lifetimes(world);
    let least = usual.access.min(MIN_ACCESS_TTL_S * 1_000_000_000);
    let most = MAX_REFRESH_TTL_S * 1_000_000_000;
    Lifetimes {
        access: asked("access_token_ttl").map_or(usual.access, |ttl| ttl.clamp(least, usual.access)),
        // Short ones are for tests; the Python client always asks for the default week.
        refresh: asked("refresh_token_ttl").map_or(usual.refresh, |ttl| {
            match usual.refresh < MIN_ACCESS_TTL_S * 1_000_000_000 {
                true => usual.refresh,
                false => ttl.min(most),
            }
        }),
    }
}

fn usual_lifetimes(world: &World) -> Lifetimes {
    Lifetimes { access: nanos(world.config.access_token_ttl), refresh: nanos(world.config.refresh_token_ttl) }
}

/// A token without an Auth request, for load generators: none of RingCentral's doing.
pub(crate) fn gift(world: &World, index: usize) -> String {
    let opening = Opening { lifetimes: usual_lifetimes(world), endpoint_id: None, scope: None };
    let app = world.settings();
    let now = world.clock.now();
    let mut extension = world.extension(index);
    let session = extension.sessions.open(&world.session_rules(&app), index, opening, now);
    session.access().to_owned()
}
