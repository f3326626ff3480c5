//! The message store: what a client reads to learn whether a text went out.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Path, RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;

use super::account::extension_uri;
use super::answer::json_response;
use super::caller::{Caller, Operation, Place, serve};
use super::error::ApiError;
use super::message_record::{Shelf, record};
use super::paging::Page;
use crate::clock::nanos;
use crate::faults::{Endpoint, Subject, play};
use crate::limits::Group;
use crate::query::{Pairs, Plus};
use crate::transport::Connection;
use crate::world::{Message, Number, World};

const READ: Operation = Operation::new(Group::Light, "ReadMessages", "ReadMessages");
/// `dateFrom` when the client names none: 24 hours before `dateTo` (documented).
const DEFAULT_LOOK_BACK: Duration = Duration::from_secs(24 * 3600);

pub(super) async fn list(
    State(world): State<Arc<World>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    Path((account, extension)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let place = Place { account: &account, extension: Some(&extension) };
    let query = query.as_deref().unwrap_or_default();
    serve_store(&world, &connection, &headers, place, |caller| {
        let pairs = Pairs::parse(query, Plus::IsPlus);
        let filter = Filter::of(&world, &pairs)?;
        let page = Page::of(&pairs);
        let now = world.clock.now();
        let name = world.directory.name(caller.index);
        let uri = format!("{}/message-store", extension_uri(&world, caller.index));
        let extension = world.extension(caller.index);
        // Newest first. Totals are left out, as the documentation allows, so that clients must follow `nextPage`.
        let found = extension.messages.iter().rev().filter(|m| filter.matches(&world, m));
        let (messages, more) = page.cut(found);
        let records: Vec<_> =
            messages.into_iter().map(|m| record(&world, caller.index, &name, m, Shelf::MessageStore, now)).collect();
        let body = page.list(&uri, query, (&records, more), None);
        Ok(json_response(StatusCode::OK, &body))
    })
    .await
}

pub(super) async fn read(
    State(world): State<Arc<World>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    Path((account, extension, id)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let place = Place { account: &account, extension: Some(&extension) };
    serve_store(&world, &connection, &headers, place, |caller| {
        let id: u64 = id.parse().map_err(|_| ApiError::invalid("messageId"))?;
        let now = world.clock.now();
        let name = world.directory.name(caller.index);
        let extension = world.extension(caller.index);
        let message = extension
            .messages
            .binary_search_by_key(&id, |message| message.id)
            .ok()
            .map(|place| &extension.messages[place])
            .filter(|message| visible(&world, message, now))
            .ok_or_else(|| ApiError::not_found("messageId"))?;
        let body = record(&world, caller.index, &name, message, Shelf::MessageStore, now);
        Ok(json_response(StatusCode::OK, &body))
    })
    .await
}

/// [`serve`] with faults around it. Reading changes nothing, so a fault "before" only has another answer.
async fn serve_store(
    world: &World,
    connection: &Connection,
    headers: &HeaderMap,
    place: Place<'_>,
    answer: impl FnOnce(&Caller) -> Result<Response, ApiError>,
) -> Response {
    let mut fault = None;
    let answer = serve(world, headers, &READ, Some(place), |caller| {
        let subject = Subject {
            endpoint: Endpoint::MessageStore,
            extension_id: Some(world.directory.extension_id(caller.index)),
            to: None,
        };
        fault = world.faults.strike(&subject).map(|fault| (fault, caller.admission));
        answer(caller)
    });
    match fault {
        None => answer,
        Some((fault, admission)) => {
            let played = play(world, connection, Endpoint::MessageStore, &fault, answer).await;
            played.map(|answer| super::rate_headers(answer, &admission))
        }
    }
}

/// The store shows a message only after its lag.
fn visible(world: &World, message: &Message, now: u64) -> bool {
    message.accepted_at + nanos(world.config.store_lag) <= now
}

struct Filter {
    outbound_sms: bool,
    number: Option<Number>,
    from: Timestamp,
    to: Timestamp,
    now: u64,
}

impl Filter {
    fn of(world: &World, query: &Pairs<'_>) -> Result<Self, ApiError> {
        let date = |name: &'static str| {
            let parse = |raw: &str| raw.parse::<Timestamp>().map_err(|_| ApiError::invalid(name));
            query.first(name).map(parse).transpose()
        };
        let now = world.clock.now();
        let wants = |name: &str, value: &str| {
            let mut asked = query.all(name).peekable();
            asked.peek().is_none() || asked.any(|one| one == value)
        };
        let number = query
            .first("phoneNumber")
            .map(|raw| Number::parse(raw).map_err(|_| ApiError::invalid("phoneNumber")))
            .transpose()?;
        let to = date("dateTo")?.unwrap_or_else(|| world.clock.timestamp(now));
        let from = match date("dateFrom")? {
            Some(from) => from,
            None => to.checked_sub(DEFAULT_LOOK_BACK).unwrap_or(Timestamp::MIN),
        };
        Ok(Self {
            // There is nothing here but outbound texts: any other wish finds nothing.
            outbound_sms: wants("direction", "Outbound")
                && wants("messageType", "SMS")
                && wants("availability", "Alive")
                && wants("readStatus", "Read"),
            number,
            from,
            to,
            now,
        })
    }

    fn matches(&self, world: &World, message: &Message) -> bool {
        let created = world.clock.timestamp(message.accepted_at);
        let number = |number| message.from == number || message.to.contains(&number);
        self.outbound_sms
            && self.number.is_none_or(number)
            && self.from <= created
            && created <= self.to
            && visible(world, message, self.now)
    }
}
