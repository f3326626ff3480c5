//! `GET /v1/senders`.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use jiff::Timestamp;
use ringcentral::{ExtensionId, PhoneNumber, PhoneNumberError};
use ringfleet_identity::directory::Book;
use serde::{Deserialize, Serialize};

use super::{Shared, problem::Problem};

/// The most senders of one answer.
pub const MAX_SENDERS: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    /// Of this extension only: its number or its id.
    extension: Option<String>,
    /// Behind this number, as `next` of an answer names it.
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Serialize)]
pub(super) struct Senders {
    senders: Vec<Sender>,
    /// What to ask for next with `after`; null at the end.
    next: Option<String>,
}

/// A number that texts can be sent from: each is good for `from`, and so is the extension's number or id if it has one only.
#[derive(Serialize)]
struct Sender {
    number: String,
    extension_id: String,
    extension_number: Option<String>,
    name: Option<String>,
    /// As the provider told them; empty while only the accounts file speaks for the number.
    features: Vec<&'static str>,
    read_at: Option<String>,
}

pub(super) async fn list(
    State(api): State<Shared>,
    ask: Result<Query<Ask>, QueryRejection>,
) -> Result<Json<Senders>, Problem> {
    let Ok(Query(ask)) = ask else {
        return Err(Problem::bad_query("use extension, after and limit, each once".to_owned()));
    };
    let limit = ask.limit.unwrap_or(MAX_SENDERS);
    if !(1..=MAX_SENDERS).contains(&limit) {
        return Err(Problem::bad_query(format!("limit is {limit}; 1 to {MAX_SENDERS} go into one answer")));
    }
    let after = ask.after.as_deref().map(number_in_query).transpose();
    let after = after.map_err(|error| Problem::bad_query(format!("after is not what next was: {error}")))?;
    let book = api.producer.directory().book();
    let wanted = |extension: &ExtensionId| match ask.extension.as_deref() {
        None => true,
        Some(name) => {
            let short = book.who(extension).short;
            extension.as_str() == name || short.is_some_and(|short| short.as_str() == name)
        }
    };
    let all = book.senders();
    let begin = after.map_or(0, |after| all.partition_point(|(number, _)| *number <= after));
    let mut rest = all[begin..].iter().filter(|(_, extension)| wanted(extension));
    let senders: Vec<Sender> = rest.by_ref().take(limit).map(|(number, of)| sender(&book, number, of)).collect();
    let next = senders.last().filter(|_| rest.next().is_some()).map(|last| last.number.clone());
    Ok(Json(Senders { senders, next }))
}

/// A plus that was not encoded arrives as a blank.
fn number_in_query(text: &str) -> Result<PhoneNumber, PhoneNumberError> {
    PhoneNumber::try_new(&format!("+{}", text.trim_start_matches(['+', ' '])))
}

fn sender(book: &Book, number: &PhoneNumber, extension: &ExtensionId) -> Sender {
    let facts = book.extension(extension).filter(|facts| facts.read_at > 0);
    let own = facts.and_then(|facts| facts.number(number));
    Sender {
        number: number.expose().to_owned(),
        extension_id: extension.to_string(),
        extension_number: book.who(extension).short.map(|short| short.to_string()),
        name: facts.map(|facts| facts.name.expose().to_owned()).filter(|name| !name.is_empty()),
        features: own.map(|own| own.features.iter().map(|feature| feature.as_str()).collect()).unwrap_or_default(),
        read_at: facts.and_then(|facts| Timestamp::from_millisecond(facts.read_at).ok()).map(|at| at.to_string()),
    }
}
