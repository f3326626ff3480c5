//! `GET`, `PUT` and `DELETE /v1/opt-outs`: what a backend has learnt of who wants no texts.

use axum::{
    Json,
    extract::{Query, Request, State, rejection::QueryRejection},
};
use jiff::Timestamp;
use ringcentral::{ExtensionId, PhoneNumber, ShortNumber};
use ringfleet_identity::directory::Book;
use ringfleet_store::{OptedOut, Private, opt_out::ANY_NUMBER};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Api, Shared,
    body::{self, Decoded},
    lookup::failed,
    problem::Problem,
    send::{is_json, read_body},
};
use crate::{
    check::{not_e164, whole},
    opt_out::{Whose, standing},
    refusal::{Code, Field, Refusal},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    to: String,
}

/// One that stands. Whose it is need not be told: the caller has named the recipient.
#[derive(Serialize)]
struct Standing {
    /// One of our numbers; null for all of them.
    from: Option<String>,
    /// Null for every extension.
    extension_id: Option<String>,
    since: Option<String>,
}

/// What is done with a body's opt-out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Enter,
    Lift,
}

pub(super) async fn list(
    State(api): State<Shared>,
    ask: Result<Query<Ask>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Ok(Query(ask)) = ask else {
        return Err(Problem::bad_query("name the recipient in to, once".to_owned()));
    };
    // A plus that was not encoded arrives as a blank. Without one it is another number, or none.
    let to = PhoneNumber::try_new(&ask.to.replacen(' ', "+", 1))
        .map_err(|error| Problem::bad_query(format!("to can't be read: {error}")))?;
    let found = standing(&*api.store, Some(&to)).await.map_err(|error| failed(&error))?;
    Ok(Json(json!({"opt_outs": told(&found)})))
}

pub(super) async fn enter(State(api): State<Shared>, request: Request) -> Result<Json<Value>, Problem> {
    let (to, whose) = named(&api, request, Wish::Enter).await?;
    whose.note(&*api.store, &[to]).await.map_err(|error| failed(&error))?;
    Ok(Json(json!({"status": "opted-out"})))
}

pub(super) async fn lift(State(api): State<Shared>, request: Request) -> Result<Json<Value>, Problem> {
    let (to, whose) = named(&api, request, Wish::Lift).await?;
    let lifted = whose.lift(&*api.store, &to).await.map_err(|error| failed(&error))?;
    let status = if lifted.was_there { "lifted" } else { "none" };
    Ok(Json(json!({"status": status, "opt_outs": told(&lifted.standing)})))
}

fn told(found: &[OptedOut]) -> Vec<Standing> {
    let one = |one: &OptedOut| Standing {
        from: Some(one.from.expose()).filter(|from| *from != ANY_NUMBER).map(str::to_owned),
        extension_id: one.extension.clone(),
        since: Timestamp::from_millisecond(one.since).ok().map(|at| at.to_string()),
    };
    found.iter().map(one).collect()
}

async fn named(api: &Api, request: Request, wish: Wish) -> Result<(PhoneNumber, Whose), Problem> {
    if !is_json(request.headers()) {
        return Err(Problem::not_json());
    }
    let bytes = read_body(request).await?;
    let decoded = body::read_opt_out(&bytes).map_err(Problem::malformed)?;
    judge(&api.producer.directory().book(), decoded, wish).map_err(Problem::opt_out_refused)
}

/// Faults of the JSON and of the content together, one a field.
fn judge(book: &Book, decoded: Decoded, wish: Wish) -> Result<(PhoneNumber, Whose), Vec<Refusal>> {
    let Decoded { draft, mut faults } = decoded;
    let to = PhoneNumber::try_new(&draft.to).map_err(|error| not_e164(Field::To, &draft.to, &error));
    // One that stands already is lifted whatever its number.
    let to = to.and_then(|to| if wish == Wish::Enter { whole(&to).map(|()| to) } else { Ok(to) });
    let (to, whose) = match (to, whose(book, &draft.from, wish)) {
        (Ok(to), Ok(whose)) if faults.is_empty() => return Ok((to, whose)),
        (to, whose) => (to.err(), whose.err()),
    };
    let named: Vec<Field> = faults.iter().map(|fault| fault.field).collect();
    faults.extend([to, whose].into_iter().flatten().filter(|fault| !named.contains(&fault.field)));
    Err(faults)
}

/// SEND-SAFETY: an opt-out from a number or an extension that is not there would look like one, and stop nothing: it is refused.
/// Whom it names need not be connected, or able to text now. One is lifted by whatever name it stands under.
fn whose(book: &Book, raw: &str, wish: Wish) -> Result<Whose, Refusal> {
    let unknown = |problem, value: &str| {
        let remedy = "correct it, or leave it out: the opt-out counts for every extension then";
        Err(Refusal::new(Field::From, Code::UnknownSender, problem, remedy).with_value(Private::new(value)))
    };
    if raw.is_empty() {
        return Ok(Whose::default());
    }
    let error = match PhoneNumber::try_new(raw) {
        Ok(number) if wish == Wish::Enter && book.owner(&number).is_none() => {
            return unknown("is a number of no extension that is known", raw);
        }
        Ok(number) => return Ok(Whose::Number(number)),
        Err(error) => error,
    };
    let of = |extension: &ExtensionId| Ok(Whose::Extension(extension.clone()));
    let found: Vec<&ExtensionId> = book.named(raw).into_iter().collect();
    match (found.as_slice(), ExtensionId::try_new(raw)) {
        ([only], _) => of(only),
        // SEND-SAFETY: not entered for the one whose id it is, where it is another one's number: a login that was added under a number
        // looks like such an extension, and the recipient would go on getting the texts of the one that was meant.
        (several, Ok(id)) if wish == Wish::Lift && several.contains(&&id) => of(&id),
        ([], Ok(id)) if wish == Wish::Lift => of(&id),
        ([], _) if ShortNumber::try_new(raw).is_ok() => unknown("names no extension that is known", raw),
        ([], _) => Err(not_e164(Field::From, raw, &error)),
        (several, _) => {
            let ids: Vec<_> = several.iter().map(|id| id.as_str()).collect();
            let problem = format!("names the extensions with the ids {}", ids.join(" and "));
            let remedy = match ids.contains(&raw) {
                true => "write the other id, or a number of the one that is meant",
                false => "write the id of one of them",
            };
            Err(Refusal::new(Field::From, Code::AmbiguousSender, problem, remedy))
        }
    }
}
