//! Client authentication. Official clients send Basic, Basic with the id in the body again, or the id in the body alone (seen on the wire).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};

use super::error::OauthError;
use crate::query::Pairs;
use crate::world::Directory;

pub(crate) fn authenticate(directory: &Directory, headers: &HeaderMap, form: &Pairs<'_>) -> Result<(), OauthError> {
    let body_id = form.first("client_id");
    let (id, secret) = match headers.get(header::AUTHORIZATION) {
        Some(value) => {
            let (id, secret) = value.to_str().ok().and_then(basic).ok_or(OauthError::CLIENT_MISSING)?;
            (id, Some(secret))
        }
        None => {
            let id = body_id.ok_or(OauthError::CLIENT_MISSING)?;
            (id.to_owned(), form.first("client_secret").map(str::to_owned))
        }
    };
    if id != directory.client_id || body_id.is_some_and(|other| other != id) {
        return Err(OauthError::CLIENT_UNKNOWN);
    }
    // A public client has no secret to show.
    if secret.is_some_and(|secret| secret != directory.client_secret) {
        return Err(OauthError::CLIENT_SECRET);
    }
    Ok(())
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
