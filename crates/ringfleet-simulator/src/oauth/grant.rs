//! Grants: whose token is wanted, by which credential.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::error::OauthError;
use crate::app::GrantKind;
use crate::query::Pairs;
use crate::world::{TokenKind, World};

/// A request that names a user. Whether the credential is good is decided after the limiter has counted it.
#[derive(Clone, Copy)]
pub(super) enum Grant<'a> {
    Jwt { index: usize, assertion: &'a str },
    Code { index: usize, code: &'a str },
    Refresh { index: usize, token: &'a str },
    Password { index: usize, password: &'a str },
}

impl Grant<'_> {
    pub(super) fn index(&self) -> usize {
        match self {
            Self::Jwt { index, .. }
            | Self::Code { index, .. }
            | Self::Refresh { index, .. }
            | Self::Password { index, .. } => *index,
        }
    }

    pub(super) fn kind(&self) -> GrantKind {
        match self {
            Self::Jwt { .. } => GrantKind::Jwt,
            Self::Code { .. } => GrantKind::AuthorizationCode,
            Self::Refresh { .. } => GrantKind::RefreshToken,
            Self::Password { .. } => GrantKind::Password,
        }
    }
}

fn kind(form: &Pairs<'_>) -> Option<GrantKind> {
    match form.first("grant_type")? {
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => Some(GrantKind::Jwt),
        "authorization_code" => Some(GrantKind::AuthorizationCode),
        "refresh_token" => Some(GrantKind::RefreshToken),
        "password" => Some(GrantKind::Password),
        _ => None,
    }
}

/// The grant's name in the ledger, known even when nothing else of the request makes sense.
pub(super) fn grant_name(form: &Pairs<'_>) -> &'static str {
    match kind(form) {
        Some(GrantKind::Jwt) => "jwt",
        Some(GrantKind::AuthorizationCode) => "authorization_code",
        Some(GrantKind::RefreshToken) => "refresh_token",
        Some(GrantKind::Password) => "password",
        None => "unknown",
    }
}

pub(super) fn read<'a>(world: &World, form: &'a Pairs<'_>) -> Result<Grant<'a>, OauthError> {
    let directory = &world.directory;
    match kind(form).ok_or(OauthError::NO_GRANT)? {
        GrantKind::Jwt => {
            let assertion = form.first("assertion").ok_or(OauthError::ASSERTION)?;
            let id = subject(assertion).ok_or(OauthError::ASSERTION)?;
            let index = directory.index_of(id).ok_or(OauthError::NO_EXTENSION)?;
            Ok(Grant::Jwt { index, assertion })
        }
        GrantKind::AuthorizationCode => {
            let code = form.first("code").unwrap_or_default();
            let index = directory.token_owner(TokenKind::Code, code).ok_or(OauthError::CODE_INVALID)?;
            Ok(Grant::Code { index, code })
        }
        GrantKind::RefreshToken => {
            let token = form.first("refresh_token").ok_or(OauthError::NOT_FOUND)?;
            let index = directory.token_owner(TokenKind::Refresh, token).ok_or(OauthError::NOT_FOUND)?;
            Ok(Grant::Refresh { index, token })
        }
        // What the platform has removed is an unsupported grant, not one that this app lacks.
        GrantKind::Password if !world.settings().allows(GrantKind::Password) => Err(OauthError::NO_GRANT),
        GrantKind::Password => {
            let name = form.first("username").unwrap_or_default();
            // Deprecated, but official clients still send it (documented).
            let name = match form.first("extension").filter(|extension| !extension.is_empty()) {
                Some(extension) => &format!("{name}*{extension}"),
                None => name,
            };
            let index = directory.user(name).ok_or(OauthError::CREDENTIALS)?;
            Ok(Grant::Password { index, password: form.first("password").unwrap_or_default() })
        }
    }
}

/// The `sub` claim of a JWT, unverified.
fn subject(assertion: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Claims {
        sub: String,
    }
    let mut parts = assertion.split('.');
    let (_header, claims, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    parts.next().is_none().then(|| claims.sub.parse().ok())?
}
