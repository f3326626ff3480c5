//! The employee's way: the page, the button, and the return from the provider.

use axum::{
    Form,
    extract::{Query, State},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use ringcentral::{AuthorizationCode, AuthorizeRequest, ErrorCode, ExtensionId};
use ringfleet_identity::{Method, Vault};
use serde::Deserialize;

use crate::{
    Asked, Shared,
    browser::{self, Browser},
    exchange::Connected,
    limits::Act,
    login,
    operator::invitation,
    page,
    trouble::Trouble,
};

#[derive(Deserialize)]
pub(crate) struct Visit {
    invite: Option<String>,
}

/// `GET /connect`.
pub(crate) async fn show(State(site): State<Shared>, visit: Asked<Visit>, parts: Parts) -> Result<Response, Trouble> {
    let Query(visit) = visit.map_err(|_| Trouble::BadAddress)?;
    let invite = visit.invite.filter(|invite| !invite.is_empty());
    let invited = match &invite {
        Some(invite) => Some(invitation::open(&site, invite).await?),
        None => None,
    };
    let known = Browser::known(&parts.headers, &site.url);
    let browser = known.unwrap_or_else(Browser::new);
    let server = site.provider().client.config().server.to_string();
    let body = page::employee::begin(&browser, invite.as_deref(), invited.as_ref(), &server);
    let page = page::answer(StatusCode::OK, "Connect your extension", body);
    // Set again on each visit, so that it does not end in the midst of a login.
    Ok(([(header::SET_COOKIE, browser.cookie(&site.url))], page).into_response())
}

#[derive(Deserialize)]
pub(crate) struct Start {
    #[serde(default)]
    form: String,
    #[serde(default)]
    invite: String,
}

/// `POST /connect/start`. Answers with a page that leads on instead of a redirect; see the policy in `shell`.
pub(crate) async fn start(State(site): State<Shared>, parts: Parts, form: Form<Start>) -> Result<Response, Trouble> {
    let browser = browser::of_form(&parts.headers, &site.url, &form.form)?;
    site.limits.of_address(Act::Start, &parts)?;
    site.limits.of_all(Act::Start)?;
    let invited = match form.invite.as_str() {
        "" => None,
        invite => Some(invitation::open(&site, invite).await?),
    };
    let redirect_uri = site.url.redirect_uri();
    let begun = login::begin(&site.store, site.seals(), &browser, redirect_uri, invited.as_ref()).await?;
    let request = AuthorizeRequest { redirect_uri, state: &begun.state, challenge: Some(&begun.pkce.challenge) };
    let address = site.provider().client.authorize_url(request);
    let body = page::employee::leave(&address);
    Ok(page::leading_to(&address, "To RingCentral", body))
}

#[derive(Deserialize)]
pub(crate) struct Return {
    #[serde(default)]
    state: String,
    code: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// `GET /connect/callback`. A request that is broken off is finished all the same: the code is used up by then, and what it
/// was good for must not be lost.
pub(crate) async fn callback(
    State(site): State<Shared>,
    query: Asked<Return>,
    parts: Parts,
) -> Result<Response, Trouble> {
    site.limits.of_address(Act::Callback, &parts)?;
    let Query(query) = query.map_err(|_| Trouble::BadAddress)?;
    let browser = Browser::known(&parts.headers, &site.url);
    let vault = site.vault.clone();
    let finished = tokio::spawn(async move {
        let ended = finish(&site, browser.as_ref(), &query).await;
        match &ended {
            Ok(connected) => {
                count("connected");
                tracing::info!(extension.id = connected.extension.as_str(), "an extension was connected on the page");
            }
            Err(trouble) => {
                count(trouble.word());
                let code = trouble.code().map(ErrorCode::as_str);
                tracing::info!(
                    result = trouble.word(),
                    rc.error_code = code,
                    "a login on the page did not connect anything"
                );
            }
        }
        ended
    });
    match finished.await.unwrap_or(Err(Trouble::TooSlow)) {
        Ok(connected) => {
            let off = is_off(&vault, &connected.extension).await;
            Ok(page::answer(StatusCode::OK, "Connected", page::employee::connected(&connected, off)))
        }
        Err(Trouble::StateUsed { connected: Some(extension) }) => {
            let body = page::employee::connected_before(&extension, is_off(&vault, &extension).await);
            Ok(page::answer(StatusCode::OK, "Connected", body))
        }
        Err(trouble) => Err(trouble),
    }
}

async fn finish(site: &Shared, browser: Option<&Browser>, query: &Return) -> Result<Connected, Trouble> {
    let found = login::find(&site.store, browser, &query.state).await?;
    // Only now: what strangers send would use up what is there for everybody.
    site.limits.of_all(Act::Callback)?;
    let login = found.take(&site.store, site.seals()).await?;
    if let Some(error) = &query.error {
        return Err(sent_back(error, query.error_description.as_deref().unwrap_or_default()));
    }
    let code = query.code.as_deref().and_then(|code| AuthorizationCode::try_new(code).ok());
    let connected = site.exchange.finish(&login, &code.ok_or(Trouble::NothingBack)?).await?;
    login.note_connected(&site.store, &connected.extension).await;
    Ok(connected)
}

/// Whether an operator keeps the connection from being used.
async fn is_off(vault: &Vault, extension: &ExtensionId) -> bool {
    let kept = vault.get(extension, Method::Code).await.ok().flatten();
    kept.is_some_and(|credential| !credential.enabled)
}

/// The description may hold anything, so only a code that is known is taken from it.
fn sent_back(error: &str, description: &str) -> Trouble {
    if error == "access_denied" {
        return Trouble::Denied;
    }
    let words = description.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').take(64);
    let mut known = words.chain([error]).filter(|word| ringcentral::explain(word).is_known());
    Trouble::SentBack { code: known.find_map(ErrorCode::try_new) }
}

fn count(result: &'static str) {
    metrics::counter!("ringfleet_connect_logins_total", "result" => result).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_the_provider_says_only_a_known_code_is_kept() {
        let code = |code| Trouble::SentBack { code: ErrorCode::try_new(code) };
        assert_eq!(sent_back("access_denied", "x"), Trouble::Denied);
        assert_eq!(sent_back("invalid_request", "No such grant [OAU-112]; call +15550100001"), code("OAU-112"));
        assert_eq!(sent_back("unauthorized_client", ""), code("unauthorized_client"));
        assert_eq!(sent_back("server_error", "canary CANARY-1 <b>"), Trouble::SentBack { code: None });
    }
}
