//! The operator's buttons. Each is a form of ours that is sent by POST; nothing here happens on a GET.

use axum::{
    Form,
    extract::{Path, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use ringcentral::{ExtensionId, ShortNumber};
use ringfleet_identity::{Credential, Login, Method};
use serde::Deserialize;

use super::{LIST, NoOperator, invitation, overview::title, session, session::Operator};
use crate::{Shared, Site, browser, exchange, page, trouble::Trouble};

#[derive(Deserialize)]
pub(crate) struct Switch {
    #[serde(default)]
    form: String,
    #[serde(default)]
    on: bool,
}

#[derive(Deserialize)]
pub(crate) struct Plain {
    #[serde(default)]
    form: String,
}

#[derive(Deserialize)]
pub(crate) struct Invite {
    #[serde(default)]
    form: String,
    #[serde(default)]
    extension: String,
}

type Named = Path<(String, String)>;

/// `POST …/switch`: a credential waits, or is used again. Takes effect in the whole fleet within seconds.
pub(crate) async fn switch(
    State(site): State<Shared>,
    named: Named,
    parts: Parts,
    Form(switch): Form<Switch>,
) -> Result<Response, NoOperator> {
    permitted(&site, &parts, &switch.form).await?;
    let (extension, method) = names(&named)?;
    let set = |credential: &mut Credential| {
        let changes = credential.enabled != switch.on;
        credential.enabled = switch.on;
        changes
    };
    let changed = site.vault.change(&extension, method, set).await.map_err(Trouble::from)?;
    changed.ok_or(Trouble::NoSuchCredential)?;
    tracing::info!(extension.id = extension.as_str(), %method, on = switch.on, "an operator switched a credential");
    Ok(back(if switch.on { "on" } else { "off" }, &extension))
}

/// `GET …/disconnect`: asks before.
pub(crate) async fn ask(State(site): State<Shared>, named: Named, parts: Parts) -> Result<Response, NoOperator> {
    let operator = session::of(&site, &parts.headers).await?;
    let (extension, method) = names(&named)?;
    let title = title(&site.directory.book(), &extension);
    let body = page::operator::ask_disconnect(&operator.browser, &title, method);
    Ok(page::operator_answer(StatusCode::OK, "Disconnect", &page::operator::way_out(&operator.browser), body))
}

/// `POST …/disconnect`: ends the session at the provider and forgets the credential.
pub(crate) async fn disconnect(
    State(site): State<Shared>,
    named: Named,
    parts: Parts,
    Form(plain): Form<Plain>,
) -> Result<Response, NoOperator> {
    permitted(&site, &parts, &plain.form).await?;
    let (extension, method) = names(&named)?;
    // A credential that can't be opened can't be revoked, but forgotten.
    let known = site.vault.get(&extension, method).await.ok().flatten();
    let revoked = match known.map(|credential| credential.login) {
        Some(Login::Code { refresh, .. }) => match exchange::as_revocable(&refresh) {
            Some(token) => site.provider().revoke(&extension, &token).await.is_ok(),
            None => false,
        },
        // Nothing is to be revoked: a JWT or a password opens sessions until its owner takes it back.
        Some(_) => true,
        None => false,
    };
    if !site.vault.remove(&extension, method).await.map_err(Trouble::from)? {
        return Err(Trouble::NoSuchCredential.into());
    }
    tracing::info!(extension.id = extension.as_str(), %method, revoked, "an operator disconnected an extension");
    Ok(back(if revoked { "gone" } else { "forgotten" }, &extension))
}

/// `POST /connect/invitations`: shows a link. Nothing is kept of it.
pub(crate) async fn invite(
    State(site): State<Shared>,
    parts: Parts,
    Form(wanted): Form<Invite>,
) -> Result<Response, NoOperator> {
    let operator = permitted(&site, &parts, &wanted.form).await?;
    let way_out = page::operator::way_out(&operator.browser);
    let Some(extension) = meant(&site, wanted.extension.trim()) else {
        let body = page::operator::no_such_extension(&operator.browser);
        return Ok(page::operator_answer(StatusCode::UNPROCESSABLE_ENTITY, "Invitation", &way_out, body));
    };
    let (link, until) = invitation::make(&site, &extension).await?;
    tracing::info!(extension.id = extension.as_str(), "an operator made an invitation");
    let body = page::operator::invitation(&title(&site.directory.book(), &extension), &link, until);
    Ok(page::operator_answer(StatusCode::OK, "Invitation", &way_out, body))
}

/// The extension that an id or an extension number means. An id that nothing is known of is taken as it is, but no word that
/// may be the number of an extension: nobody could sign in as the one with that id.
pub(super) fn meant(site: &Site, typed: &str) -> Option<ExtensionId> {
    let book = site.directory.book();
    let named = book.named(typed);
    match named.first() {
        Some(one) if named.len() == 1 => Some((*one).clone()),
        Some(_) => named.into_iter().find(|id| id.as_str() == typed).cloned(),
        None => {
            let is_long = typed.bytes().all(|byte| byte.is_ascii_digit()) && ShortNumber::try_new(typed).is_err();
            ExtensionId::try_new(typed).ok().filter(|_| is_long)
        }
    }
}

/// What a word after a redirect says. Unknown words say nothing.
pub(crate) fn told(done: &str) -> Option<&'static str> {
    match done {
        "on" => Some("Switched on. Workers use it within seconds."),
        "off" => Some("Switched off. Workers stop using it within seconds; what has been sent stays sent."),
        "gone" => Some("Disconnected."),
        "forgotten" => Some(
            "Forgotten here, but RingCentral did not confirm that the session has ended. It ends by itself within a week; to be \
             sure, let the employee change the RingCentral password.",
        ),
        _ => None,
    }
}

/// An operator whose form this is.
pub(super) async fn permitted(site: &Site, parts: &Parts, form: &str) -> Result<Operator, NoOperator> {
    let operator = session::of(site, &parts.headers).await?;
    browser::of_form(&parts.headers, &site.url, form)?;
    Ok(operator)
}

fn names(named: &Named) -> Result<(ExtensionId, Method), Trouble> {
    let (extension, method) = &named.0;
    let extension = ExtensionId::try_new(extension).map_err(|_| Trouble::NoSuchCredential)?;
    Ok((extension, Method::parse(method).ok_or(Trouble::NoSuchCredential)?))
}

fn back(done: &str, extension: &ExtensionId) -> Response {
    Redirect::to(&format!("{LIST}?done={done}#e{extension}")).into_response()
}
