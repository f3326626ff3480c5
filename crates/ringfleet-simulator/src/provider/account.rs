//! The account, its extensions and their numbers.

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::answer::json_response;
use super::call::Call;
use super::caller::Place;
use super::operation::Operation;
use super::paging::Page;
use crate::faults::Endpoint;
use crate::limits::Group;
use crate::query::{Pairs, Plus};
use crate::world::{ExtensionStatus, MAIN_NUMBER, Number, World, lock};

const ACCOUNT: Operation = Operation::new(Endpoint::Account, Group::Light, "ReadAccounts", "ReadCompanyInfo");
const EXTENSION: Operation = Operation::new(Endpoint::Extension, Group::Light, "ReadAccounts", "ReadExtensions");
/// Medium (documented), unlike the single extension.
const EXTENSIONS: Operation = Operation::new(Endpoint::Extensions, Group::Medium, "ReadAccounts", "ReadExtensions");
const EXTENSION_NUMBERS: Operation =
    Operation::new(Endpoint::ExtensionNumbers, Group::Light, "ReadAccounts", "ReadUserPhoneNumbers");
const ACCOUNT_NUMBERS: Operation =
    Operation::new(Endpoint::AccountNumbers, Group::Heavy, "ReadAccounts", "ReadCompanyPhoneNumbers");

pub(super) async fn account(call: Call, Path(account): Path<String>) -> Response {
    let place = Place { account: &account, extension: None };
    let world = &*call.world;
    call.serve(&ACCOUNT, Some(place), |_| {
        let body = json!({
            "uri": account_uri(world),
            "id": world.directory.account_id(),
            "mainNumber": MAIN_NUMBER,
            "status": *lock(&world.account_status),
            "setupWizardState": "Completed",
        });
        Ok(json_response(StatusCode::OK, &body))
    })
    .await
}

pub(super) async fn extension(call: Call, Path((account, extension)): Path<(String, String)>) -> Response {
    let place = Place { account: &account, extension: Some(&extension) };
    let world = &*call.world;
    call.serve(&EXTENSION, Some(place), |caller| {
        Ok(json_response(StatusCode::OK, &extension_record(world, caller.index)))
    })
    .await
}

/// Filters: `status`, `type`, `email` (all repeatable), `extensionNumber`.
pub(super) async fn extensions(call: Call, Path(account): Path<String>) -> Response {
    let place = Place { account: &account, extension: None };
    let world = &*call.world;
    call.serve(&EXTENSIONS, Some(place), |_| {
        let pairs = Pairs::parse(&call.query, Plus::IsPlus);
        let page = Page::of(&pairs);
        let wanted = |record: &Value| {
            let is = |name: &str, value: &Value| pairs.wants(name, value.as_str().unwrap_or_default());
            is("status", &record["status"])
                && is("type", &record["type"])
                && is("email", &record["contact"]["email"])
                && is("extensionNumber", &record["extensionNumber"])
        };
        let here = |index: &usize| world.extension(*index).login.status != ExtensionStatus::Deleted;
        let all = || (0..world.extensions.len()).filter(here).map(|i| extension_record(world, i)).filter(wanted);
        let (records, more) = page.cut(all());
        let uri = format!("{}/extension", account_uri(world));
        let body = page.list(&uri, &call.query, (&records, more), Some(all().count()));
        Ok(json_response(StatusCode::OK, &body))
    })
    .await
}

/// The extension's own numbers, with the features that say which of them may send.
pub(super) async fn extension_numbers(call: Call, Path((account, extension)): Path<(String, String)>) -> Response {
    let place = Place { account: &account, extension: Some(&extension) };
    let world = &*call.world;
    call.serve(&EXTENSION_NUMBERS, Some(place), |caller| {
        let page = Page::of(&Pairs::parse(&call.query, Plus::IsPlus));
        let features = world.extension(caller.index).features.clone();
        let total = world.directory.numbers(caller.index).count();
        let (numbers, more) = page.cut(world.directory.numbers(caller.index));
        let records: Vec<_> = numbers
            .into_iter()
            .map(|number| {
                let mut record = number_record(world, caller.index, number);
                record["features"] = json!(features);
                record
            })
            .collect();
        let uri = format!("{}/phone-number", extension_uri(world, caller.index));
        let body = page.list(&uri, &call.query, (&records, more), Some(total));
        Ok(json_response(StatusCode::OK, &body))
    })
    .await
}

/// All numbers of the account: Heavy, and without features (documented).
pub(super) async fn account_numbers(call: Call, Path(account): Path<String>) -> Response {
    let place = Place { account: &account, extension: None };
    let world = &*call.world;
    call.serve(&ACCOUNT_NUMBERS, Some(place), |_| {
        let page = Page::of(&Pairs::parse(&call.query, Plus::IsPlus));
        let everyone = 0..world.extensions.len();
        let all = || everyone.clone().flat_map(|i| world.directory.numbers(i).map(move |n| (i, n)));
        let (numbers, more) = page.cut(all());
        let records: Vec<_> = numbers
            .into_iter()
            .map(|(index, number)| {
                let mut record = number_record(world, index, number);
                record["extension"] = json!({
                    "id": world.directory.extension_id(index),
                    "uri": extension_uri(world, index),
                    "extensionNumber": world.directory.extension_number(index).to_string(),
                });
                record
            })
            .collect();
        let uri = format!("{}/phone-number", account_uri(world));
        let body = page.list(&uri, &call.query, (&records, more), Some(all().count()));
        Ok(json_response(StatusCode::OK, &body))
    })
    .await
}

pub(super) fn account_uri(world: &World) -> String {
    format!("{}/restapi/v1.0/account/{}", world.base_url, world.directory.account_id())
}

pub(crate) fn extension_uri(world: &World, index: usize) -> String {
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
        "status": world.extension(index).login.status,
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
