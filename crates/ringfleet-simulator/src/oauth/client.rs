//! Client authentication. Official clients send Basic, Basic with the id in the body again, or the id in the body alone (seen on the wire).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};

use super::error::OauthError;
use crate::app::AppSettings;
use crate::query::Pairs;

pub(super) fn authenticate(app: &AppSettings, headers: &HeaderMap, form: &Pairs<'_>) -> Result<(), OauthError> {
    let body_id = form.first("client_id");
    let (id, secret) = match headers.get(header::AUTHORIZATION) {
        Some(value) => value.to_str().ok().and_then(basic).ok_or(OauthError::CLIENT_MISSING)?,
        None => {
            let id = body_id.ok_or(OauthError::CLIENT_MISSING)?;
            (id.to_owned(), form.first("client_secret").unwrap_or_default().to_owned())
        }
    };
    if id != app.client_id || body_id.is_some_and(|other| other != id) {
        return Err(OauthError::CLIENT_UNKNOWN);
    }
    if app.other_environment {
        return Err(OauthError::OTHER_ENVIRONMENT);
    }
    // The Python client has no way to leave Basic out; without a secret it sends an empty one.
    match secret.as_str() {
        "" if app.public_client => Ok(()),
        "" => Err(OauthError::CLIENT_MISSING),
        secret if secret == app.client_secret => Ok(()),
        _ => Err(OauthError::CLIENT_SECRET),
    }
}

fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(credentials.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}
