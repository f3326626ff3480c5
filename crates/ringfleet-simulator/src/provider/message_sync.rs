//! `message-sync`: all messages once, and from then on what has changed.

use axum::extract::Path;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::json;

use super::account::extension_uri;
use super::answer::{Millis, json_response};
use super::call::Call;
use super::caller::Place;
use super::error::ApiError;
use super::message_filter::{MessageFilter, visible, visible_at};
use super::message_record::{Shelf, record};
use super::operation::Operation;
use crate::clock::{Nanos, nanos};
use crate::faults::Endpoint;
use crate::limits::Group;
use crate::query::{Pairs, Plus};
use crate::world::{Message, World, mix};

const SYNC: Operation = Operation::new(Endpoint::MessageSync, Group::Light, "ReadMessages", "ReadMessages");
/// Records of a full sync when the client names no number, and the most it gets (neither is documented).
const USUAL_RECORDS: usize = 250;
const MOST_RECORDS: usize = 1000;

pub(super) async fn sync(call: Call, Path((account, extension)): Path<(String, String)>) -> Response {
    let place = Place { account: &account, extension: Some(&extension) };
    let world = &*call.world;
    call.serve(&SYNC, Some(place), |caller| {
        let pairs = Pairs::parse(&call.query, Plus::IsPlus);
        let now = world.clock.now();
        let since = since(world, caller.index, &pairs)?;
        let filter = MessageFilter::of(world, &pairs, now)?;
        let count = pairs.first("recordCount").and_then(|raw| raw.parse().ok()).unwrap_or(USUAL_RECORDS);
        let name = world.directory.name(caller.index);
        let extension = world.extension(caller.index);
        let newest_first = extension.messages.iter().rev();
        let (found, older): (Vec<&Message>, bool) = match since {
            // Any change since the token, of messages however old.
            Some(since) => {
                let changed =
                    |m: &&Message| filter.fits(m) && visible(world, m, now) && changed_at(world, m, now) > since;
                (newest_first.filter(changed).collect(), false)
            }
            None => {
                let count = count.clamp(1, MOST_RECORDS);
                let mut found: Vec<_> = newest_first.filter(|m| filter.matches(world, m)).take(count + 1).collect();
                let cut = found.len() > count;
                found.truncate(count);
                let before = |m: &Message| world.clock.timestamp(m.created_at) < filter.from();
                (found, cut || extension.messages.first().is_some_and(before))
            }
        };
        let records: Vec<_> =
            found.into_iter().map(|m| record(world, caller.index, &name, m, Shelf::MessageStore, now)).collect();
        let body = json!({
            "uri": format!("{}/message-sync", extension_uri(world, caller.index)),
            "records": records,
            "syncInfo": {
                "syncType": if since.is_some() { "ISync" } else { "FSync" },
                "syncToken": token(world, caller.index, now),
                "syncTime": Millis(world.clock.timestamp(now)),
                "olderRecordsExist": older,
            },
        });
        Ok(json_response(StatusCode::OK, &body))
    })
    .await
}

/// `None` for a full sync.
fn since(world: &World, index: usize, query: &Pairs<'_>) -> Result<Option<Nanos>, ApiError> {
    match query.first("syncType") {
        None | Some("FSync") => Ok(None),
        Some("ISync") => {
            let raw = query.first("syncToken").ok_or_else(|| ApiError::missing("syncToken"))?;
            let refused = || ApiError::message("MSG-333", "Sync token is invalid, full synchronization is needed");
            read_token(world, index, raw).map(Some).ok_or_else(refused)
        }
        Some(_) => Err(ApiError::invalid("syncType")),
    }
}

/// When the store last had news of the message: its appearance, its latest status, or its end.
fn changed_at(world: &World, message: &Message, now: Nanos) -> Nanos {
    let status = message.status(nanos(world.config.status_delay), now).since;
    status.max(visible_at(world, message)).max(message.deleted_at.unwrap_or_default())
}

/// Opaque to clients: a time and whose it is, good for this run of the simulator only.
fn token(world: &World, index: usize, at: Nanos) -> String {
    URL_SAFE_NO_PAD.encode([at, seal(world, index, at)].map(u64::to_be_bytes).concat())
}

fn read_token(world: &World, index: usize, raw: &str) -> Option<Nanos> {
    let bytes = URL_SAFE_NO_PAD.decode(raw).ok()?;
    let (at, sealed) = bytes.split_first_chunk::<8>()?;
    let at = u64::from_be_bytes(*at);
    (sealed == seal(world, index, at).to_be_bytes()).then_some(at)
}

fn seal(world: &World, index: usize, at: Nanos) -> u64 {
    let run = world.clock.timestamp(0).as_nanosecond() as u64;
    mix(mix(world.config.seed ^ run) ^ mix(index as u64) ^ at)
}
