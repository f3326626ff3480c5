//! What the simulator knows: accounts, the ledger, the report.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::response::Response;
use futures::stream;
use http::{HeaderValue, header};

use super::Shared;
use crate::judge::{Report, ReportScope, report};
use crate::ledger::{ApiLine, LedgerLine, SmsLine, SmsOutcome, TokenLine, WebhookLine};
use crate::oauth;
use crate::query::{Pairs, Plus};
use crate::world::{Account, World};

/// `?tokens=true` opens a session for each extension, which costs no Auth request; `?passwords=true` shows the passwords.
pub(super) async fn accounts(State(world): Shared, RawQuery(query): RawQuery) -> Json<Vec<Account>> {
    let query = query.unwrap_or_default();
    let pairs = Pairs::parse(&query, Plus::IsPlus);
    let wants = |name| pairs.first(name) == Some("true");
    let account = |index| Account {
        access_token: wants("tokens").then(|| oauth::gift(&world, index)),
        password: wants("passwords").then(|| world.password(index)),
        ..world.directory.account(index)
    };
    Json((0..world.extensions.len()).map(account).collect())
}

/// NDJSON: for each extension its sends, then its other requests, then those to its webhooks; at the end requests with nobody's token, and the token requests.
/// `?text=true` adds the texts of accepted messages.
pub(super) async fn ledger(State(world): Shared, RawQuery(query): RawQuery) -> Response {
    world.ledger_file.flush();
    let query = query.unwrap_or_default();
    let text = Pairs::parse(&query, Plus::IsPlus).first("text") == Some("true");
    let extensions = world.extensions.len();
    let chunks = (0..=extensions).map(move |index| {
        let lines = match index < extensions {
            true => extension_lines(&world, index, text),
            false => app_lines(&world),
        };
        Ok::<_, std::convert::Infallible>(Bytes::from(lines))
    });
    let mut response = Response::new(Body::from_stream(stream::iter(chunks)));
    let ndjson = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(header::CONTENT_TYPE, ndjson);
    response
}

fn extension_lines(world: &World, index: usize, text: bool) -> Vec<u8> {
    let extension = world.extension(index);
    let id = world.directory.extension_id(index);
    let mut out = Vec::new();
    for entry in &extension.sms_log {
        let text = match entry.outcome {
            SmsOutcome::Accepted { index, .. } if text => extension.messages.get(index as usize),
            _ => None,
        };
        let text = text.map(|message| &*message.text);
        push_line(&mut out, &LedgerLine::Sms(SmsLine::new(id, entry, text)));
    }
    for entry in &extension.api_log {
        push_line(&mut out, &LedgerLine::Api(ApiLine::new(Some(id), entry)));
    }
    for entry in &extension.webhook_log {
        push_line(&mut out, &LedgerLine::Webhook(WebhookLine::new(id, entry)));
    }
    out
}

fn app_lines(world: &World) -> Vec<u8> {
    let mut out = Vec::new();
    let app = world.app();
    for entry in &app.api_log {
        push_line(&mut out, &LedgerLine::Api(ApiLine::new(None, entry)));
    }
    for entry in &app.token_log {
        push_line(&mut out, &LedgerLine::Token(TokenLine::new(entry)));
    }
    out
}

fn push_line(out: &mut Vec<u8>, line: &LedgerLine) {
    // Own types with string keys always serialise.
    out.extend(serde_json::to_vec(line).unwrap_or_default());
    out.push(b'\n');
}

/// `?from=` and `?to=` in nanoseconds since the start, `?lanes=true`, `?extensions=true`.
pub(super) async fn report_page(State(world): Shared, RawQuery(query): RawQuery) -> Json<Report> {
    world.ledger_file.flush();
    let query = query.unwrap_or_default();
    let pairs = Pairs::parse(&query, Plus::IsPlus);
    let number = |name| pairs.first(name).and_then(|raw| raw.parse().ok());
    let wants = |name| pairs.first(name) == Some("true");
    let scope = ReportScope {
        from_ns: number("from"),
        to_ns: number("to"),
        lanes: wants("lanes"),
        extensions: wants("extensions"),
    };
    Json(report(&world, &scope))
}
