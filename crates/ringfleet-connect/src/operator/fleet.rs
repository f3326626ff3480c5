//! How the fleet stands, live, and why a message or an extension isn't moving: what `ringfleet status` and `ringfleet explain` tell.
//!
//! Read-only: nothing here changes anything in the store, so there is no button that a wrong click could press.

mod kept;

use std::time::Duration;

use axum::{
    Form, Router,
    extract::{Query, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use ringcentral::{ExtensionId, PhoneNumber};
use ringfleet_explain::{Logins, Standing, Told, ToldLane, bound, in_force, workers};
use ringfleet_identity::VaultError;
use ringfleet_store::{Explained, Gate, Group, IdempotencyKey, LaneId, MessageId, MessageView, StoreError};
use serde::Deserialize;

pub(crate) use self::kept::{Fault, Kept, Read, Seen};
use super::{
    NoOperator, OnList, SIGN_IN_TO_FLEET, STORE_DEADLINE,
    act::{meant, permitted},
    session, title,
};
use crate::{Asked, Shared, Site, page, trouble::Trouble};

pub(crate) const FLEET: &str = "/connect/fleet";
pub(crate) const MESSAGE: &str = "/connect/fleet/message";
pub(crate) const EXTENSION: &str = "/connect/fleet/extension";

/// Looks of single messages and extensions that the store is asked for at once; the others wait.
pub(crate) const LOOKS: usize = 4;
/// What a shard that answers does not take.
const PART_DEADLINE: Duration = Duration::from_secs(1);
/// After so long the page is loaded anew.
const AGAIN: Duration = kept::FRESH;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route(FLEET, get(show))
        .route(MESSAGE, get(message).post(find_message))
        .route(EXTENSION, get(extension).post(find_extension))
}

/// What one reading has found.
pub(crate) struct Fleet {
    pub(crate) standing: Standing,
    /// Those that have shown themselves lately.
    pub(crate) workers: Option<u32>,
    /// `None`: this process has no key that opens credentials.
    pub(crate) logins: Option<Logins>,
}

impl Fleet {
    async fn read(site: &Site) -> Result<Self, StoreError> {
        let app = site.vault.app();
        let standing = Standing::read(&*site.store).await?;
        let workers = workers(&*site.store, app).await?;
        let logins = match site.vault.all().await {
            Ok(kept) => {
                let credentials = in_force(site.fixed.iter().cloned(), kept);
                Some(Logins::read(&site.store, app, &site.app, &credentials, &standing).await?)
            }
            Err(VaultError::Store(error)) => return Err(error),
            // The list of extensions tells it.
            Err(_) => None,
        };
        Ok(Self { standing, workers, logins })
    }

    /// Whether all of it waits, so that no lane goes on, whatever a look at that lane alone tells.
    pub(crate) fn waits(&self) -> bool {
        self.workers == Some(0) || self.standing.gate != Gate::Open
    }
}

#[derive(Deserialize, Default)]
struct Watch {
    /// The page stays as it is.
    #[serde(default)]
    hold: bool,
}

async fn show(State(site): State<Shared>, watch: Asked<Watch>, parts: Parts) -> Result<Response, NoOperator> {
    let browser = match session::watcher(&site, &parts.headers).await {
        // Comes back by itself when the store does.
        Err(NoOperator::Trouble(OnList(trouble @ (Trouble::StoreAway | Trouble::StoreReplaced)))) => {
            let told = trouble.told();
            let body = page::trouble::page(&told, Some((FLEET, "Try again")));
            return Ok(page::live_answer(told.status, told.title, &maud::html! {}, Some(AGAIN.as_secs()), body));
        }
        // It turns into the sign-in by itself, at the end of the hour.
        Err(NoOperator::SignIn) => return Ok(Redirect::to(SIGN_IN_TO_FLEET).into_response()),
        browser => browser?,
    };
    let Query(watch) = watch.map_err(|_| Trouble::BadAddress)?;
    let seen = site.fleet.read(Fleet::read(&site), part_answers(&site)).await;
    let status = if seen.fault.is_some() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let again = (!watch.hold).then_some(AGAIN.as_secs());
    let shards = (site.store.silent_shards(), site.store.shards());
    let replaced = site.store_replaced.as_deref();
    let body = page::fleet::show(&seen, again, shards, replaced, &site.directory.book());
    Ok(page::live_answer(status, "Fleet", &page::operator::way_out(&browser), again, body))
}

/// Whether some of the store's shards answer, where a call that asks all of them has failed.
pub(super) async fn part_answers(site: &Site) -> bool {
    site.store.shards() > 1 && matches!(tokio::time::timeout(PART_DEADLINE, site.store.ping()).await, Ok(Ok(())))
}

#[derive(Deserialize, Default)]
struct Named {
    #[serde(default)]
    id: String,
}

/// `GET`: by its id; without one it asks which is meant.
async fn message(State(site): State<Shared>, named: Asked<Named>, parts: Parts) -> Result<Response, NoOperator> {
    let operator = session::of(&site, &parts.headers).await?;
    let Query(Named { id }) = named.map_err(|_| Trouble::BadAddress)?;
    let way_out = page::operator::way_out(&operator.browser);
    let answer = |status, body| Ok(page::operator_answer(status, "Explain", &way_out, body));
    if id.is_empty() {
        return answer(StatusCode::OK, page::explained::ask(&operator.browser));
    }
    let Ok(id) = id.parse::<MessageId>() else {
        return answer(StatusCode::UNPROCESSABLE_ENTITY, page::explained::no_message(&operator.browser, None));
    };
    let Some((view, explained)) = look(&site, read_message(&site, &id)).await? else {
        return answer(StatusCode::NOT_FOUND, page::explained::no_message(&operator.browser, Some(id)));
    };
    let recipient = bound(site.quiet_hours.as_ref(), &view.to, view.priority);
    let told = Told::of(&explained, recipient);
    let extension = ExtensionId::try_new(view.lane.extension()).ok();
    let title = extension.map(|extension| title(&site.directory.book(), &extension));
    let body = page::explained::message(&view, &explained, &told, title.as_ref(), &operator.browser);
    answer(StatusCode::OK, body)
}

async fn read_message(site: &Site, id: &MessageId) -> Result<Option<(MessageView, Explained)>, StoreError> {
    let Some(view) = site.store.get(id).await? else { return Ok(None) };
    // Removed between the two looks, it is gone.
    Ok(site.store.explain(id).await?.map(|explained| (view, explained)))
}

/// `GET`: by its id.
async fn extension(State(site): State<Shared>, named: Asked<Named>, parts: Parts) -> Result<Response, NoOperator> {
    let operator = session::of(&site, &parts.headers).await?;
    let Query(Named { id }) = named.map_err(|_| Trouble::BadAddress)?;
    let way_out = page::operator::way_out(&operator.browser);
    let answer = |status, body| Ok(page::operator_answer(status, "Explain", &way_out, body));
    let extension = ExtensionId::try_new(&id).ok();
    let lane = LaneId::try_new(site.vault.app(), &id, Group::Medium).ok();
    let Some((extension, lane)) = extension.zip(lane) else {
        return answer(StatusCode::UNPROCESSABLE_ENTITY, page::explained::no_extension(&operator.browser));
    };
    let facts = look(&site, site.store.explain_lane(&lane)).await?;
    let book = site.directory.book();
    let is_known = book.everybody().contains(&extension);
    let title = title(&book, &extension);
    let body = page::explained::extension(&ToldLane::of(&facts), &title, is_known, &operator.browser);
    answer(StatusCode::OK, body)
}

/// One look at the store, inside its deadline and with few others.
async fn look<T>(site: &Site, look: impl Future<Output = Result<T, StoreError>>) -> Result<T, Trouble> {
    let in_turn = async {
        // Nobody closes it.
        let _place = site.looks.acquire().await;
        look.await
    };
    match tokio::time::timeout(STORE_DEADLINE, in_turn).await {
        Ok(looked) => Ok(looked?),
        Err(_) => Err(Trouble::StoreAway),
    }
}

#[derive(Deserialize)]
struct Find {
    #[serde(default)]
    form: String,
    #[serde(default)]
    what: String,
}

/// `POST`, as a key may be made of a customer's data and an address is kept by browsers and proxies: leads on to the id that it
/// makes, which tells nothing.
async fn find_message(
    State(site): State<Shared>,
    parts: Parts,
    Form(find): Form<Find>,
) -> Result<Response, NoOperator> {
    let operator = permitted(&site, &parts, &find.form).await?;
    let typed = find.what.trim();
    let of_key = || IdempotencyKey::try_new(typed).ok().map(|key| MessageId::from_key(&key));
    let Some(id) = typed.parse::<MessageId>().ok().or_else(of_key) else {
        let body = page::explained::no_message(&operator.browser, None);
        let way_out = page::operator::way_out(&operator.browser);
        return Ok(page::operator_answer(StatusCode::UNPROCESSABLE_ENTITY, "Explain", &way_out, body));
    };
    Ok(Redirect::to(&format!("{MESSAGE}?id={id}")).into_response())
}

/// `POST`, as what is typed may be a phone number.
async fn find_extension(
    State(site): State<Shared>,
    parts: Parts,
    Form(find): Form<Find>,
) -> Result<Response, NoOperator> {
    let operator = permitted(&site, &parts, &find.form).await?;
    let typed = find.what.trim();
    let extension = match PhoneNumber::try_new(typed) {
        Ok(number) => site.directory.book().owner(&number).map(|who| who.id),
        Err(_) => meant(&site, typed),
    };
    let Some(extension) = extension else {
        let body = page::explained::no_extension(&operator.browser);
        let way_out = page::operator::way_out(&operator.browser);
        return Ok(page::operator_answer(StatusCode::UNPROCESSABLE_ENTITY, "Explain", &way_out, body));
    };
    Ok(Redirect::to(&format!("{EXTENSION}?id={extension}")).into_response())
}
