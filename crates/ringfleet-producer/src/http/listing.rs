//! `GET /v1/messages`: by a key, or those in one state.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use ringfleet_store::{IdempotencyKey, ListFrom, MAX_BATCH, MessageId, State as MessageState};
use serde::{Deserialize, Serialize};

use super::{
    STORE_DEADLINE, Shared,
    lookup::{self, View, failed},
    problem::Problem,
};
use crate::retry;

/// So often a page that is not full is gone on with: where few of many are in the state, a caller comes back less often.
const LOOKS: usize = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    key: Option<String>,
    state: Option<String>,
    since: Option<String>,
    /// As `next` of an answer names it.
    cursor: Option<String>,
    limit: Option<u32>,
}

#[derive(Serialize)]
struct Page {
    messages: Vec<View>,
    /// What to ask for next with `cursor`; null at the end.
    next: Option<String>,
}

pub(super) async fn find(
    State(api): State<Shared>,
    ask: Result<Query<Ask>, QueryRejection>,
) -> Result<Response, Problem> {
    let refused = |detail: &str| Problem::bad_query(detail.to_owned());
    match ask {
        Ok(Query(Ask { key: Some(key), state: None, since: None, cursor: None, limit: None })) => {
            let Ok(key) = IdempotencyKey::try_new(key) else {
                return Err(refused("a key has 1 to 200 bytes without control characters"));
            };
            Ok(lookup::shown(&api, &MessageId::from_key(&key)).await?.into_response())
        }
        Ok(Query(ask @ Ask { key: None, state: Some(_), .. })) => Ok(Json(list(&api, ask).await?).into_response()),
        _ => Err(refused("use key alone, or state with since, cursor and limit, each once")),
    }
}

async fn list(api: &Shared, ask: Ask) -> Result<Page, Problem> {
    let (from, limit) = asked(&ask).map_err(Problem::bad_query)?;
    let (mut messages, mut next) = (Vec::new(), Some(from));
    for _ in 0..LOOKS {
        let room = limit - messages.len() as u32;
        let Some(from) = next.filter(|_| room > 0) else { break };
        let page = retry::within(STORE_DEADLINE, "list", api.store.list(&from, room)).await;
        let page = page.map_err(|error| failed(&error))?;
        messages.extend(page.messages.into_iter().map(View::of));
        next = page.next;
    }
    Ok(Page { messages, next: next.and_then(|from| from.cursor()) })
}

/// What is wrong with it otherwise, in words that repeat nothing.
fn asked(ask: &Ask) -> Result<(ListFrom, u32), String> {
    let limit = ask.limit.unwrap_or(MAX_BATCH as u32);
    if !(1..=MAX_BATCH as u32).contains(&limit) {
        return Err(format!("limit is {limit}; 1 to {MAX_BATCH} go into one answer"));
    }
    let named = |state: &MessageState| state.is_listed() && Some(state.as_str()) == ask.state.as_deref();
    let state = MessageState::ALL.into_iter().find(named);
    let state = state.ok_or("state is held, unknown, or one in which a message has ended")?;
    let since = ask.since.as_deref().map(instant_in_query).transpose();
    let since = since.map_err(|_| "since can't be read: write RFC 3339, like 2026-01-31T09:00:00Z")?;
    let from = ListFrom::newest(state).since(since.unwrap_or(0));
    let Some(cursor) = &ask.cursor else { return Ok((from, limit)) };
    let from = from.after(cursor).ok_or("cursor is not what next was")?;
    Ok((from, limit))
}

/// A plus that was not encoded arrives as a blank.
fn instant_in_query(text: &str) -> Result<i64, jiff::Error> {
    Ok(text.replacen(' ', "+", 1).parse::<Timestamp>()?.as_millisecond())
}
