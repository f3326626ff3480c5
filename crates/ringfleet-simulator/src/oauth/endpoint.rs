//! The token and revoke endpoints: count, decide, write down, answer.

use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;

use super::client::authenticate;
use super::grant::{Grant, grant_name, read};
use super::issue::issue;
use crate::clock::Nanos;
use crate::faults::{Endpoint, Fault, Pause, Subject, play};
use crate::ledger::{LedgerLine, TokenEntry, TokenLine, TokenOutcome};
use crate::limits::{Admission, Group};
use crate::provider::{ApiError, rate_headers, read_body};
use crate::query::{Pairs, Plus};
use crate::transport::Connection;
use crate::world::{TokenKind, World};

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
        let app = world.settings();
        let answer =
            authenticate(&app, &parts.headers, &form).and_then(|()| issue(&world, &app, grant?, &form, admission.at));
        entry.outcome = match &answer {
            Ok(_) => TokenOutcome::Issued,
            Err(error) => TokenOutcome::Refused(error.code),
        };
        answer.unwrap_or_else(|error| error.response())
    } else {
        entry.outcome = TokenOutcome::Faulted;
        // Limits of the token endpoint and of the API are kept apart: a wider one of logins closes nothing else.
        if let Some(Pause::OfTheLane(pause)) = fault.as_deref().and_then(|fault| fault.pause(world.plan(Group::Auth))) {
            penalise(&world, index, admission.at.saturating_add(pause));
        }
        Response::default()
    };
    record(&world, entry);
    let Some(fault) = fault else {
        return rate_headers(answer, &admission);
    };
    play(&world, &connection, Endpoint::Token, &fault, answer).await.map(|answer| rate_headers(answer, &admission))
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
    let client = authenticate(&world.settings(), &parts.headers, &form);
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
        Some(index) => world.extension(index).lane_mut(Group::Auth).arrive(Group::Auth, plan, at),
        None => world.app().auth.arrive(Group::Auth, plan, at),
    }
}

fn penalise(world: &World, index: Option<usize>, until: Nanos) {
    match index.filter(|_| !world.config.auth_per_app) {
        Some(index) => world.extension(index).lane_mut(Group::Auth).penalise(until),
        None => world.app().auth.penalise(until),
    }
}

fn record(world: &World, entry: TokenEntry) {
    world.ledger_file.append(|| LedgerLine::Token(TokenLine::new(&entry)));
    world.app().token_log.push(entry);
}
