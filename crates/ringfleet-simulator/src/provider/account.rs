//! The account, its extensions and their numbers.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::answer::json_response;
use super::caller::{Operation, Place, serve};
use super::paging::Page;
use crate::limits::Group;
use crate::query::{Pairs, Plus};
use crate::world::{MAIN_NUMBER, Number, World, lock};

const ACCOUNT: Operation = Operation::new(Group::Light, "ReadAccounts", "ReadCompanyInfo");
const EXTENSION: Operation = Operation::new(Group::Light, "ReadAccounts", "ReadExtensions");
/// Medium (documented), unlike the single extension.
const EXTENSIONS: Operation = Operation::new(Group::Medium, "ReadAccounts", "ReadExtensions");
const EXTENSION_NUMBERS: Operation = Operation::new(Group::Light, "ReadAccounts", "ReadUserPhoneNumbers");
const ACCOUNT_NUMBERS: Operation = Operation::new(Group::Heavy, "ReadAccounts", "ReadCompanyPhoneNumbers");

pub(super) async fn account(
    State(world): State<Arc<World>>,
    Path(account): Path<String>,
    headers: HeaderMap,
) -> Response {
    let place = Place { account: &account, extension: None };
    serve(&world, &headers, &ACCOUNT, Some(place), |_| {
        let status = *lock(&world.account_status);
        let body = json!({
            "uri": account_uri(&world),
            "id": world.directory.account_id(),
            "mainNumber": MAIN_NUMBER,
            "status": status,
            "setupWizardState": "Completed",
        });
        Ok(json_response(StatusCode::OK, &body))
    })
}

pub(super) async fn extension(
    State(world): State<Arc<World>>,
    Path((account, extension)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let place = Place { account: &account, extension: Some(&extension) };
    serve(&world, &headers, &EXTENSION, Some(place), |caller| {
        Ok(json_response(StatusCode::OK, &extension_record(&world, caller.index)))
    })
}

pub(super) async fn extensions(
    State(world): State<Arc<World>>,
    Path(account): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let place = Place { account: &account, extension: None };
    serve(&world, &headers, &EXTENSIONS, Some(place), |_| {
        let query = query.as_deref().unwrap_or_default();
        let page = Page::of(&Pairs::parse(query, Plus::IsPlus));
        let total = world.extensions.len();
        let (indexes, more) = page.cut(0..total);
        let records: Vec<_> = indexes.into_iter().map(|i| extension_record(&world, i)).collect();
        let uri = format!("{}/extension", account_uri(&world));
        let body = page.list(&uri, query, (&records, more), Some(total));
        Ok(json_response(StatusCode::OK, &body))
    })
}

/// The extension's own numbers, with the features that say which of them may send.
pub(super) async fn extension_numbers(
    State(world): State<Arc<World>>,
    Path((account, extension)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let place = Place { account: &account, extension: Some(&extension) };
    serve(&world, &headers, &EXTENSION_NUMBERS, Some(place), |caller| {
        let query = query.as_deref().unwrap_or_default();
        let page = Page::of(&Pairs::parse(query, Plus::IsPlus));
        let features = world.extension(caller.index).features.clone();
        let total = world.directory.numbers(caller.index).count();
        let (numbers, more) = page.cut(world.directory.numbers(caller.index));
        let records: Vec<_> = numbers
            .into_iter()
            .map(|number| {
                let mut record = number_record(&world, caller.index, number);
                record["features"] = json!(features);
                record
            })
            .collect();
        let uri = format!("{}/phone-number", extension_uri(&world, caller.index));
        let body = page.list(&uri, query, (&records, more), Some(total));
        Ok(json_response(StatusCode::OK, &body))
    })
}

/// All numbers of the account: Heavy, and without features (documented).
pub(super) async fn account_numbers(
    State(world): State<Arc<World>>,
    Path(account): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let place = Place { account: &account, extension: None };
    serve(&world, &headers, &ACCOUNT_NUMBERS, Some(place), |_| {
        let query = query.as_deref().unwrap_or_default();
        let page = Page::of(&Pairs::parse(query, Plus::IsPlus));
        let everyone = 0..world.extensions.len();
        let all = || everyone.clone().flat_map(|i| world.directory.numbers(i).map(move |n| (i, n)));
        let (numbers, more) = page.cut(all());
        let records: Vec<_> = numbers
            .into_iter()
            .map(|(index, number)| {
                let mut record = number_record(&world, index, number);
                record["extension"] = json!({
                    "id": world.directory.extension_id(index),
                    "uri": extension_uri(&world, index),
                    "extensionNumber": world.directory.extension_number(index).to_string(),
                });
                record
            })
            .collect();
        let uri = format!("{}/phone-number", account_uri(&world));
        let body = page.list(&uri, query, (&records, more), Some(all().count()));
        Ok(json_response(StatusCode::OK, &body))
    })
}

fn account_uri(world: &World) -> String {
    format!("{}/restapi/v1.0/account/{}", world.base_url, world.directory.account_id())
}

pub(super) fn extension_uri(world: &World, index: usize) -> String {
    format!("{}/extension/{}", account_uri(world), world.directory.extension_id(index))
}

fn extension_record(world: &World, index: usize) -> Value {
    let name = world.directory.name(index);
    let (first, last) = name.split_once(' ').unwrap_or((&name, ""));
    let number = world.directory.extension_number(index).to_string();
    json!({
        "uri": extension_uri(world, index),
        "id": world.directory.extension_id(index),
        "extensionNumber": number,
        "name": name,
        "type": "User",
        "status": "Enabled",
        "hidden": false,
        "setupWizardState": "Completed",
        "contact": {
            "firstName": first,
            "lastName": last,
            "email": format!("extension{number}@example.com"),
        },
        "account": {"id": world.directory.account_id().to_string(), "uri": account_uri(world)},
    })
}

fn number_record(world: &World, index: usize, number: Number) -> Value {
    json!({
        "uri": format!("{}/phone-number/{}", account_uri(world), number.0),
        "id": number.0,
        "phoneNumber": number,
        "type": "VoiceFax",
        "usageType": "DirectNumber",
        "paymentType": "Local",
        "status": "Normal",
        "location": "Springfield, IL",
        "label": world.directory.name(index),
        "country": {"id": "1", "isoCode": "US", "name": "United States"},
    })
}
