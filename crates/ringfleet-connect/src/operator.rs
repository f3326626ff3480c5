//! The operator's part: who is connected, what is wrong, and the buttons for it; and how the fleet stands. Behind a key.

mod act;
pub(crate) mod fleet;
pub(crate) mod invitation;
mod overview;
mod session;
mod watchers;

use std::time::Duration;

use axum::{
    Form, Router,
    extract::{Query, State},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;

pub(crate) use self::{
    fleet::{EXTENSION, FLEET, MESSAGE},
    overview::{Entry, Health, Overview, Problem, Row, Title, title},
    watchers::Watchers,
};
use crate::{Asked, Shared, browser, browser::Browser, limits::Act, page, trouble::Trouble};

/// The list of extensions.
pub(crate) const LIST: &str = "/connect/extensions";
const SIGN_IN: &str = "/connect/operator";
/// Which leads back to the page of the fleet.
const SIGN_IN_TO_FLEET: &str = "/connect/operator?to=/connect/fleet";
/// What the store may take to say whose session it is, or for one look.
const STORE_DEADLINE: Duration = Duration::from_secs(5);

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route(LIST, get(list))
        .route(SIGN_IN, get(ask).post(sign_in))
        .route("/connect/operator/leave", post(leave))
        .route("/connect/extensions/{extension}/{method}/switch", post(act::switch))
        .route("/connect/extensions/{extension}/{method}/disconnect", get(act::ask).post(act::disconnect))
        .route("/connect/invitations", post(act::invite))
        .merge(fleet::routes())
}

/// A trouble on a page of the operator's, from which the way leads back to the list.
pub(crate) struct OnList(Trouble);

impl From<Trouble> for OnList {
    fn from(trouble: Trouble) -> Self {
        Self(trouble)
    }
}

impl IntoResponse for OnList {
    fn into_response(self) -> Response {
        let told = self.0.told();
        let back = (self.0 != Trouble::OperatorOff).then_some((LIST, "To the list"));
        let page = page::operator_answer(told.status, told.title, &maud::html! {}, page::trouble::page(&told, back));
        page::trouble::with_retry(&self.0, page)
    }
}

/// An operator's request, or what to show instead of its answer.
pub(crate) enum NoOperator {
    SignIn,
    Trouble(OnList),
}

impl IntoResponse for NoOperator {
    fn into_response(self) -> Response {
        match self {
            NoOperator::SignIn => Redirect::to(SIGN_IN).into_response(),
            NoOperator::Trouble(trouble) => trouble.into_response(),
        }
    }
}

impl From<Trouble> for NoOperator {
    fn from(trouble: Trouble) -> Self {
        NoOperator::Trouble(OnList(trouble))
    }
}

#[derive(Deserialize, Default)]
pub(crate) struct Which {
    #[serde(default)]
    pub(crate) q: String,
    #[serde(default)]
    pub(crate) page: usize,
    /// What was done a moment ago.
    #[serde(default)]
    done: String,
}

async fn list(State(site): State<Shared>, which: Asked<Which>, parts: Parts) -> Result<Response, NoOperator> {
    let operator = session::of(&site, &parts.headers).await?;
    let Query(which) = which.map_err(|_| Trouble::BadAddress)?;
    let overview = overview::read(&site, &which.q, which.page).await?;
    let body = page::operator::list(&overview, &operator.browser, &which.q, act::told(&which.done));
    Ok(page::operator_answer(StatusCode::OK, "Extensions", &page::operator::way_out(&operator.browser), body))
}

#[derive(Deserialize, Default)]
struct Ask {
    #[serde(default)]
    to: String,
}

/// Where a sign-in leads: to one of the operators' pages, so that no link to it leads elsewhere.
fn landing(to: &str) -> &'static str {
    if to == FLEET { FLEET } else { LIST }
}

/// `GET`: asks for the key.
async fn ask(State(site): State<Shared>, ask: Asked<Ask>, parts: Parts) -> Result<Response, OnList> {
    if site.keys.is_empty() {
        return Err(Trouble::OperatorOff.into());
    }
    let Query(Ask { to }) = ask.map_err(|_| Trouble::BadAddress)?;
    Ok(ask_again(&site, &parts, StatusCode::OK, false, landing(&to)))
}

fn ask_again(site: &Shared, parts: &Parts, status: StatusCode, wrong: bool, to: &str) -> Response {
    let browser = Browser::known(&parts.headers, &site.url).unwrap_or_else(Browser::new);
    let page = page::answer(status, "For operators", page::operator::sign_in(&browser, wrong, to));
    ([(header::SET_COOKIE, browser.cookie(&site.url))], page).into_response()
}

#[derive(Deserialize)]
struct Key {
    #[serde(default)]
    form: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    to: String,
}

async fn sign_in(State(site): State<Shared>, parts: Parts, Form(given): Form<Key>) -> Result<Response, OnList> {
    if site.keys.is_empty() {
        return Err(Trouble::OperatorOff.into());
    }
    let browser = browser::of_form(&parts.headers, &site.url, &given.form)?;
    site.limits.of_address(Act::SignIn, &parts)?;
    let Some(key) = site.keys.admit(&given.key) else {
        // Wrong keys alone are counted together: however many strangers try, they shut out nobody who knows one.
        site.limits.of_all(Act::SignIn)?;
        tracing::warn!("somebody tried a wrong key on the operator's page");
        return Ok(ask_again(&site, &parts, StatusCode::FORBIDDEN, true, landing(&given.to)));
    };
    let cookie = session::begin(&site, &browser, key).await?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(landing(&given.to))).into_response())
}

#[derive(Deserialize)]
struct Leave {
    #[serde(default)]
    form: String,
}

async fn leave(State(site): State<Shared>, parts: Parts, Form(given): Form<Leave>) -> Result<Response, OnList> {
    browser::of_form(&parts.headers, &site.url, &given.form)?;
    let ended = match session::of(&site, &parts.headers).await {
        Ok(operator) => operator.end(&site).await.map_err(NoOperator::from),
        Err(NoOperator::SignIn) => Ok(()),
        Err(trouble) => Err(trouble),
    };
    // After the note is written: whoever asks for this session from now on finds it.
    session::forget(&site, &parts.headers);
    // This browser forgets the session in any case. Where the store could not be told, that is shown: a copy of the cookies
    // opens the list until the hour is over.
    let page = ended.map(|()| Redirect::to(SIGN_IN));
    Ok(([(header::SET_COOKIE, session::no_cookie(&site))], page).into_response())
}
