//! Consents: who wants texts from which number.

use axum::body::Body;
use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Millis, json_response, read_body};
use super::call::Call;
use super::caller::Place;
use super::error::ApiError;
use super::operation::Operation;
use crate::clock::Nanos;
use crate::faults::Endpoint;
use crate::limits::Group;
use crate::world::{Consent, ConsentSource, Number, OptStatus, World};

const CONSENTS: Operation = Operation::of_app(Endpoint::Consents, Group::Light, "SMS");
/// Documented for updates and for pages.
const MAX_RECORDS: usize = 1000;
const DEFAULT_PER_PAGE: usize = 100;
/// `from` of a record for the whole account (documented).
const ALL_NUMBERS: &str = "*";

#[derive(Deserialize)]
struct Update {
    records: Vec<UpdateRecord>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateRecord {
    from: String,
    to: String,
    opt_status: OptStatus,
    source: ConsentSource,
}

/// A record that fails does not keep the others from being taken; the answer is 200 all the same (documented).
pub(super) async fn update(call: Call, Path(account): Path<String>, body: Body) -> Response {
    let place = Place { account: &account, extension: None };
    let entry = match call.enter(&CONSENTS, Some(place)) {
        Ok(entry) => entry,
        Err(refusal) => return *refusal,
    };
    let body = read_body(body).await;
    let answer = match entry.takes_effect() {
        true => body.and_then(|body| {
            let update: Update = serde_json::from_slice(&body).map_err(|_| ApiError::bad_json())?;
            if !(1..=MAX_RECORDS).contains(&update.records.len()) {
                return Err(ApiError::invalid("records"));
            }
            let at = call.world.clock.now();
            let failed: Vec<_> = update.records.iter().filter_map(|record| take(&call.world, record, at)).collect();
            let body = if failed.is_empty() { json!({}) } else { json!({"failedRecords": failed}) };
            Ok(json_response(StatusCode::OK, &body))
        }),
        false => Ok(Response::default()),
    };
    call.leave(entry, answer).await
}

/// The failure, if it is one.
fn take(world: &World, record: &UpdateRecord, at: Nanos) -> Option<Value> {
    let consent = Consent { status: record.opt_status, source: record.source, at };
    let failed = |parameter: &str| {
        json!({
            "from": record.from, "to": record.to, "optStatus": record.opt_status, "source": record.source,
            "error": {"errorCode": "CMN-101", "message": "Parameter value is invalid", "parameterName": parameter},
        })
    };
    let Ok(to) = Number::parse(&record.to) else { return Some(failed("to")) };
    if record.from == ALL_NUMBERS {
        world.consents.set(to, consent);
        return None;
    }
    let Ok(from) = Number::parse(&record.from) else { return Some(failed("from")) };
    let Some(index) = world.directory.owner(from) else { return Some(failed("from")) };
    world.extension(index).consents.insert((from, to), consent);
    None
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Search {
    #[serde(default)]
    from: Vec<String>,
    #[serde(default)]
    to: Vec<String>,
    opt_status: Option<OptStatus>,
    /// Here the number of a page.
    page_token: Option<String>,
    per_page: Option<usize>,
}

pub(super) async fn search(call: Call, Path(account): Path<String>, body: Body) -> Response {
    let place = Place { account: &account, extension: None };
    let entry = match call.enter(&CONSENTS, Some(place)) {
        Ok(entry) => entry,
        Err(refusal) => return *refusal,
    };
    let body = read_body(body).await;
    let answer = body.and_then(|body| {
        let search: Search = serde_json::from_slice(&body).map_err(|_| ApiError::bad_json())?;
        search.answer(&call.world)
    });
    call.leave(entry, answer).await
}

impl Search {
    fn answer(&self, world: &World) -> Result<Response, ApiError> {
        let per_page = self.per_page.unwrap_or(DEFAULT_PER_PAGE).clamp(1, MAX_RECORDS);
        let page = match &self.page_token {
            None => 1,
            Some(token) => token.parse::<usize>().map_err(|_| ApiError::invalid("pageToken"))?.max(1),
        };
        let numbers = |raw: &[String], name: &'static str| {
            let parse = |raw: &String| Number::parse(raw).map_err(|_| ApiError::invalid(name));
            raw.iter().filter(|raw| *raw != ALL_NUMBERS).map(parse).collect::<Result<Vec<_>, _>>()
        };
        let (from, to) = (numbers(&self.from, "from")?, numbers(&self.to, "to")?);
        let mut found: Vec<(Option<Number>, Number, Consent)> = Vec::new();
        if self.from.is_empty() || self.from.iter().any(|from| from == ALL_NUMBERS) {
            found.extend(world.consents.list().into_iter().map(|(to, consent)| (None, to, consent)));
        }
        for index in 0..world.extensions.len() {
            let extension = world.extension(index);
            let wanted = |own: &Number| self.from.is_empty() || from.contains(own);
            let pairs = extension.consents.iter().filter(|((own, _), _)| wanted(own));
            found.extend(pairs.map(|((own, other), consent)| (Some(*own), *other, *consent)));
        }
        found.retain(|(_, other, consent)| {
            (to.is_empty() || to.contains(other)) && self.opt_status.is_none_or(|status| status == consent.status)
        });
        found.sort_by_key(|(own, other, _)| (*own, *other));
        let more = found.len() > page * per_page;
        let records: Vec<_> =
            found.iter().skip((page - 1) * per_page).take(per_page).map(|one| show(world, one)).collect();
        let mut paging = json!({"perPage": per_page, "pageToken": page.to_string()});
        if more {
            paging["nextPageToken"] = (page + 1).to_string().into();
        }
        Ok(json_response(StatusCode::OK, &json!({"records": records, "paging": paging})))
    }
}

fn show(world: &World, (own, other, consent): &(Option<Number>, Number, Consent)) -> Value {
    json!({
        "coverage": if own.is_some() { "PhoneNumber" } else { "Account" },
        "from": own.map_or(ALL_NUMBERS.to_owned(), |own| own.to_string()),
        "to": other,
        "optStatus": consent.status,
        "source": consent.source,
        "lastModifiedTime": Millis(world.clock.timestamp(consent.at)),
    })
}
