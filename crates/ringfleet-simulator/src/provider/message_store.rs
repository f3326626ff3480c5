//! The message store: what a client reads to learn whether a text went out, and what came in.

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;

use super::account::extension_uri;
use super::answer::json_response;
use super::call::Call;
use super::caller::Place;
use super::error::ApiError;
use super::message_filter::{MessageFilter, visible};
use super::message_record::{Shelf, record};
use super::operation::Operation;
use super::paging::Page;
use crate::faults::Endpoint;
use crate::limits::Group;
use crate::query::{Pairs, Plus};

const READ: Operation = Operation::new(Endpoint::MessageStore, Group::Light, "ReadMessages", "ReadMessages");

pub(super) async fn list(call: Call, Path((account, extension)): Path<(String, String)>) -> Response {
    let place = Place { account: &account, extension: Some(&extension) };
    let world = &*call.world;
    call.serve(&READ, Some(place), |caller| {
        let pairs = Pairs::parse(&call.query, Plus::IsPlus);
        let now = world.clock.now();
        let filter = MessageFilter::of(world, &pairs, now)?;
        let page = Page::of(&pairs);
        let name = world.directory.name(caller.index);
        let uri = format!("{}/message-store", extension_uri(world, caller.index));
        let extension = world.extension(caller.index);
        // Newest first. Totals are left out, as the documentation allows, so that clients must follow `nextPage`.
        let found = extension.messages.iter().rev().filter(|m| filter.matches(world, m));
        let (messages, more) = page.cut(found);
        let records: Vec<_> =
            messages.into_iter().map(|m| record(world, caller.index, &name, m, Shelf::MessageStore, now)).collect();
        let body = page.list(&uri, &call.query, (&records, more), None);
        Ok(json_response(StatusCode::OK, &body))
    })
    .await
}

pub(super) async fn read(call: Call, Path((account, extension, id)): Path<(String, String, String)>) -> Response {
    let place = Place { account: &account, extension: Some(&extension) };
    let world = &*call.world;
    call.serve(&READ, Some(place), |caller| {
        let id: u64 = id.parse().map_err(|_| ApiError::invalid("messageId"))?;
        let now = world.clock.now();
        let name = world.directory.name(caller.index);
        let extension = world.extension(caller.index);
        let message = extension
            .messages
            .binary_search_by_key(&id, |message| message.id)
            .ok()
            .map(|place| &extension.messages[place])
            .filter(|message| visible(world, message, now))
            .ok_or_else(|| ApiError::not_found("messageId"))?;
        let body = record(world, caller.index, &name, message, Shelf::MessageStore, now);
        Ok(json_response(StatusCode::OK, &body))
    })
    .await
}
