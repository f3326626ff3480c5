//! The token and revoke endpoints.

use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value};

use super::client::authenticate;
use super::error::OauthError;
use super::grant::{Grant, grant_name, read};
use crate::clock::{Nanos, nanos};
use crate::faults::{Endpoint, Fault, RetryAfter, Subject, play};
use crate::ledger::{LedgerLine, TokenEntry, TokenLine, TokenOutcome};
use crate::limits::{Admission, Group};
use crate::provider::{ApiError, json_response, rate_headers, read_body};
use crate::query::{Pairs, Plus};
use crate::transport::Connection;
use crate::world::{Lifetimes, RefreshProblem, Session, TokenKind, World};

/// Documented bounds of `refresh_token_ttl`'s upper end and `access_token_ttl`'s lower end, in seconds.
const MAX_REFRESH_TTL_S: u64 = 2_592_000;
const MIN_ACCESS_TTL_S: u64 = 600;
/// The app's permissions, as the token endpoint lists them.
const SCOPE: &str = "ReadAccounts ReadMessages SMS";

pub(crate) async fn token(
    State(world): State<Arc<World>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let at = world.clock.now();
    let (parts, body) = request.into_parts();
    let body = match read_body(body).await {
        Ok(body) => body,
        Err(error) => return error.response(),
    };
    let body = String::from_utf8_lossy(&body);
    let form = Pairs::parse(&body, Plus::IsSpace);
    let grant = read(&world, &form);
    let index = grant.as_ref().ok().map(Grant::index);
    let admission = admit(&world, index, at);
    let extension_id = index.map(|index| world.directory.extension_id(index));
    let mut entry = TokenEntry {
        at: admission.at,
        extension_id,
        grant: grant_name(&form),
        outcome: TokenOutcome::Throttled,
        verdict: admission.verdict,
        fault: None,
    };
    if admission.refused() {
        record(&world, entry);
        return rate_headers(ApiError::throttled().response(), &admission);
    }
    let subject = Subject { endpoint: Endpoint::Token, extension_id, to: None };
    let fault = world.faults.strike(&subject);
    entry.fault = fault.as_deref().map(Fault::name);
    let answer = if fault.as_ref().is_none_or(|fault| fault.takes_effect()) {
        let answer = authenticate(&world.directory, &parts.headers, &form)
            .and_then(|()| issue(&world, grant?, &form, admission.at));
        entry.outcome = match &answer {
            Ok(_) => TokenOutcome::Issued,
            Err(error) => TokenOutcome::Refused(error.code),
        };
        answer.unwrap_or_else(|error| error.response())
    } else {
        entry.outcome = TokenOutcome::Faulted;
        if let Some(Fault::Throttle { retry_after: Some(RetryAfter::Seconds(s)), headers: true }) = fault.as_deref() {
            penalise(&world, index, admission.at + s.saturating_mul(1_000_000_000));
        }
        Response::default()
    };
    record(&world, entry);
    let Some(fault) = fault else {
        return rate_headers(answer, &admission);
    };
    play(&world, &connection, &fault, answer).await.map(|answer| rate_headers(answer, &admission))
}

/// Ends the whole session of a token (documented). The answer is 200 and empty, whatever the token was.
pub(crate) async fn revoke(State(world): State<Arc<World>>, request: Request) -> Response {
    let at = world.clock.now();
    let (parts, body) = request.into_parts();
    let body = match read_body(body).await {
        Ok(body) => body,
        Err(error) => return error.response(),
    };
    let body = String::from_utf8_lossy(&body);
    let form = Pairs::parse(&body, Plus::IsSpace);
    let query = Pairs::parse(parts.uri.query().unwrap_or_default(), Plus::IsPlus);
    let token = form.first("token").or_else(|| query.first("token")).unwrap_or_default();
    let index =
        [TokenKind::Access, TokenKind::Refresh].into_iter().find_map(|kind| world.directory.token_owner(kind, token));
    let admission = admit(&world, index, at);
    let client = authenticate(&world.directory, &parts.headers, &form);
    let (outcome, answer) = match client {
        _ if admission.refused() => (TokenOutcome::Throttled, ApiError::throttled().response()),
        Err(error) => (TokenOutcome::Refused(error.code), error.response()),
        Ok(()) => {
            if let Some(index) = index {
                world.extension(index).sessions.revoke(token);
            }
            (TokenOutcome::Revoked, Response::default())
        }
    };
    let entry = TokenEntry {
        at: admission.at,
        extension_id: index.map(|index| world.directory.extension_id(index)),
        grant: "revoke",
        outcome,
        verdict: admission.verdict,
        fault: None,
    };
    record(&world, entry);
    rate_headers(answer, &admission)
}

/// Per user (documented) or per app (announced); what names no user counts for the app.
fn admit(world: &World, index: Option<usize>, at: Nanos) -> Admission {
    let plan = world.plan(Group::Auth);
    match index.filter(|_| !world.config.auth_per_app) {
        Some(index) => world.extension(index).arrive(Group::Auth, plan, at),
        None => world.app().auth.arrive(Group::Auth, plan, at),
    }
}

fn penalise(world: &World, index: Option<usize>, until: Nanos) {
    match index.filter(|_| !world.config.auth_per_app) {
        Some(index) => world.extension(index).lane_mut(Group::Auth).penalise(until),
        None => world.app().auth.penalise(until),
    }
}

fn issue(world: &World, grant: Grant<'_>, form: &Pairs<'_>, now: Nanos) -> Result<Response, OauthError> {
    let rules = world.session_rules();
    let lifetimes = lifetimes(world, form);
    let index = grant.index();
    let mut extension = world.extension(index);
    let session = match grant {
        Grant::Jwt { assertion, .. } if assertion != world.directory.jwt(index) => {
            return Err(OauthError::SIGNATURE);
        }
        Grant::Jwt { .. } if extension.jwt_revoked => return Err(OauthError::REVOKED),
        Grant::Password { password, .. } if password != world.directory.password(index) => {
            return Err(OauthError::CREDENTIALS);
        }
        Grant::Jwt { .. } | Grant::Password { .. } => {
            let endpoint = form.first("endpoint_id").filter(|id| !id.is_empty());
            extension.sessions.open(&rules, index, lifetimes, endpoint, now)
        }
        Grant::Refresh { token, .. } => {
            extension.sessions.refresh(&rules, index, token, lifetimes, now).map_err(|problem| match problem {
                RefreshProblem::Expired => OauthError::REFRESH_EXPIRED,
                RefreshProblem::NotFound => OauthError::NOT_FOUND,
            })?
        }
    };
    let owner = world.directory.extension_id(index);
    Ok(json_response(StatusCode::OK, &token_body(session, owner, now)))
}

fn token_body(session: &Session, owner: u64, now: Nanos) -> Value {
    let left = |until: Nanos| Value::from((until.saturating_sub(now) / 1_000_000_000).max(1));
    let mut body = Map::new();
    body.insert("access_token".into(), session.access().into());
    body.insert("token_type".into(), "bearer".into());
    body.insert("expires_in".into(), left(session.access_expires));
    if let Some(refresh) = session.refresh() {
        body.insert("refresh_token".into(), refresh.into());
        body.insert("refresh_token_expires_in".into(), left(session.refresh_expires));
    }
    body.insert("scope".into(), SCOPE.into());
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
    let access = nanos(world.config.access_token_ttl);
    let least = access.min(MIN_ACCESS_TTL_S * 1_000_000_000);
    let refresh = nanos(world.config.refresh_token_ttl);
    let most = MAX_REFRESH_TTL_S * 1_000_000_000;
    Lifetimes {
        access: asked("access_token_ttl").map_or(access, |ttl| ttl.clamp(least, access)),
        // Short ones are for tests; the Python client always asks for the default week.
        refresh: asked("refresh_token_ttl").map_or(refresh, |ttl| match refresh < MIN_ACCESS_TTL_S * 1_000_000_000 {
            true => refresh,
            false => ttl.min(most),
        }),
    }
}

fn record(world: &World, entry: TokenEntry) {
    world.ledger_file.append(|| LedgerLine::Token(TokenLine::new(&entry)));
    world.app().token_log.push(entry);
}

/// A token without an Auth request, for load generators: none of RingCentral's doing.
pub(crate) fn gift(world: &World, index: usize) -> String {
    let lifetimes =
        Lifetimes { access: nanos(world.config.access_token_ttl), refresh: nanos(world.config.refresh_token_ttl) };
    let now = world.clock.now();
    let mut extension = world.extension(index);
    let session = extension.sessions.open(&world.session_rules(), index, lifetimes, None, now);
    session.access().to_owned()
}
