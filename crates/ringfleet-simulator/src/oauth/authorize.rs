//! `/restapi/oauth/authorize`: a person signs in and lets the app in.
//!
//! RingCentral counts this page in the Auth group, but whose budget a browser spends is not documented; here it is free, so that
//! the judge's figures are those of the program alone.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use super::authorize_request::AuthorizationRequest;
use super::error::OauthError;
use super::{gate, page};
use crate::app::{AppSettings, GrantKind};
use crate::provider::read_body;
use crate::query::{Pairs, Plus, encode};
use crate::world::{AuthorizationCode, TokenKind, World};

/// `GET`: the page.
pub(crate) async fn ask(State(world): State<Arc<World>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let parameters = Pairs::parse(&query, Plus::IsSpace);
    let app = world.settings();
    match AuthorizationRequest::read(&app, &parameters) {
        Ok(_) => page::login(&world, &app, &parameters, None),
        Err(error) => page::error(&error),
    }
}

/// `POST`: what the person decided. The form brings the whole request along, which is judged again.
pub(crate) async fn decide(State(world): State<Arc<World>>, request: Request) -> Response {
    let body = match read_body(request.into_body()).await {
        Ok(body) => body,
        Err(error) => return error.response(),
    };
    let body = String::from_utf8_lossy(&body);
    let form = Pairs::parse(&body, Plus::IsSpace);
    let app = world.settings();
    let request = match AuthorizationRequest::read(&app, &form) {
        Ok(request) => request,
        Err(error) => return page::error(&error),
    };
    if form.first("decision") == Some("deny") {
        return redirect(&request, "error=access_denied&error_description=The%20user%20denied%20access");
    }
    match sign_in(&world, &form) {
        Ok(index) => {
            let code = new_code(&world, &app, index, &request);
            let seconds = world.config.code_ttl.as_secs();
            redirect(&request, &format!("code={code}&expires_in={seconds}"))
        }
        Err(error) => page::login(&world, &app, &form, Some(&error)),
    }
}

/// Unknown names and wrong passwords look the same.
fn sign_in(world: &World, form: &Pairs<'_>) -> Result<usize, OauthError> {
    let index = form.first("login").and_then(|login| world.directory.user(login)).ok_or(OauthError::CREDENTIALS)?;
    let given = form.first("password").unwrap_or_default();
    gate::account(world)?;
    let mut extension = world.extension(index);
    gate::password(world, &mut extension, index, given, world.clock.now())?;
    gate::extension(&extension, GrantKind::AuthorizationCode)?;
    Ok(index)
}

fn new_code(world: &World, app: &AppSettings, index: usize, request: &AuthorizationRequest<'_>) -> String {
    let code = world.directory.token(TokenKind::Code, index, world.counters.next_secret());
    let details = AuthorizationCode {
        client_id: app.client_id.clone(),
        redirect_uri: request.redirect_uri.to_owned(),
        challenge: request.challenge.clone(),
        issued_at: world.clock.now(),
        spent: false,
    };
    world.app().codes.add(code.clone(), details);
    code
}

/// `answer` is a query, already encoded; the state goes back as it came.
fn redirect(request: &AuthorizationRequest<'_>, answer: &str) -> Response {
    let uri = request.redirect_uri;
    let separator = if uri.contains('?') { '&' } else { '?' };
    let state = request.state.map(|state| format!("&state={}", encode(state))).unwrap_or_default();
    let Ok(location) = HeaderValue::try_from(format!("{uri}{separator}{answer}{state}")) else {
        // Registered with a character that no header can hold.
        return page::error(&OauthError::REDIRECT_DIFFERS);
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
