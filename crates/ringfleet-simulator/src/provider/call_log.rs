//! Call logs: Heavy, newest first.

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;

use super::account::{account_uri, extension_uri};
use super::answer::json_response;
use super::call::Call;
use super::call_record::record;
use super::caller::Place;
use super::error::ApiError;
use super::operation::Operation;
use super::paging::Page;
use super::time_range::TimeRange;
use crate::faults::Endpoint;
use crate::limits::Group;
use crate::query::{Pairs, Plus};
use crate::world::{Number, PhoneCall, World};

const OF_EXTENSION: Operation = Operation::new(Endpoint::CallLog, Group::Heavy, "ReadCallLog", "ReadCallLog");
const OF_ACCOUNT: Operation =
    Operation::new(Endpoint::AccountCallLog, Group::Heavy, "ReadCallLog", "FullCompanyCallLog");

pub(super) async fn of_extension(call: Call, Path((account, extension)): Path<(String, String)>) -> Response {
    let place = Place { account: &account, extension: Some(&extension) };
    let world = &*call.world;
    call.serve(&OF_EXTENSION, Some(place), |caller| {
        let uri = format!("{}/call-log", extension_uri(world, caller.index));
        list(world, &uri, &call.query, || world.calls(caller.index))
    })
    .await
}

pub(super) async fn of_account(call: Call, Path(account): Path<String>) -> Response {
    let place = Place { account: &account, extension: None };
    let world = &*call.world;
    call.serve(&OF_ACCOUNT, Some(place), |_| {
        let uri = format!("{}/call-log", account_uri(world));
        list(world, &uri, &call.query, || world.account_calls())
    })
    .await
}

/// `calls` gives all calls, newest first, each time it is asked.
fn list<I: Iterator<Item = PhoneCall>>(
    world: &World,
    uri: &str,
    query: &str,
    calls: impl Fn() -> I,
) -> Result<Response, ApiError> {
    let pairs = Pairs::parse(query, Plus::IsPlus);
    let detailed = match pairs.first("view") {
        None | Some("Simple") => false,
        Some("Detailed") => true,
        Some(_) => return Err(ApiError::invalid("view")),
    };
    let filter = Filter::of(world, &pairs)?;
    let all = || calls().take_while(|call| filter.range.from <= call.start).filter(|call| filter.matches(world, call));
    let page = Page::of(&pairs);
    let (calls, more) = page.cut(all());
    let total = world.config.call_log_totals.then(|| all().count());
    let records: Vec<_> = calls.iter().map(|call| record(world, call, detailed)).collect();
    Ok(json_response(StatusCode::OK, &page.list(uri, query, (&records, more), total)))
}

struct Filter<'a> {
    query: &'a Pairs<'a>,
    range: TimeRange,
    number: Option<Number>,
}

impl<'a> Filter<'a> {
    fn of(world: &World, query: &'a Pairs<'a>) -> Result<Self, ApiError> {
        let number =
            query.first("phoneNumber").map(|raw| Number::parse(raw).map_err(|_| ApiError::invalid("phoneNumber")));
        let range = TimeRange::of(query, world.clock.timestamp(world.clock.now()))?;
        Ok(Self { query, range, number: number.transpose()? })
    }

    fn matches(&self, world: &World, call: &PhoneCall) -> bool {
        let query = self.query;
        self.range.holds(call.start)
            && query.wants("direction", if call.inbound { "Inbound" } else { "Outbound" })
            && query.wants("type", if call.fax { "Fax" } else { "Voice" })
            && self.number.is_none_or(|number| call.own == number || call.other == number)
            && query
                .first("extensionNumber")
                .is_none_or(|wanted| wanted == world.directory.extension_number(call.index).to_string())
    }
}
