//! Grants: whose token is wanted, by which credential.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::error::OauthError;
use crate::query::Pairs;
use crate::world::{Number, TokenKind, World};

/// A request that names a user. Whether the credential is good is decided after the limiter has counted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grant<'a> {
    Jwt { index: usize, assertion: &'a str },
    Refresh { index: usize, token: &'a str },
    Password { index: usize, password: &'a str },
}

impl Grant<'_> {
    pub(crate) fn index(&self) -> usize {
        match self {
            Self::Jwt { index, .. } | Self::Refresh { index, .. } | Self::Password { index, .. } => *index,
        }
    }
}

/// The grant's name in the ledger, known even when nothing else of the request makes sense.
pub(crate) fn grant_name(form: &Pairs<'_>) -> &'static str {
    match form.first("grant_type") {
        Some("urn:ietf:params:oauth:grant-type:jwt-bearer") => "jwt",
        Some("refresh_token") => "refresh_token",
        Some("password") => "password",
        // The authorization code grant gets its place here, with `/restapi/oauth/authorize`.
        _ => "unknown",
    }
}

pub(crate) fn read<'a>(world: &World, form: &'a Pairs<'_>) -> Result<Grant<'a>, OauthError> {
    match grant_name(form) {
        "jwt" => {
            let assertion = form.first("assertion").ok_or(OauthError::ASSERTION)?;
            let index = subject(assertion).and_then(|id| world.directory.index_of(id)).ok_or(OauthError::ASSERTION)?;
            Ok(Grant::Jwt { index, assertion })
        }
        "refresh_token" => {
            let token = form.first("refresh_token").ok_or(OauthError::NOT_FOUND)?;
            let index = world.directory.token_owner(TokenKind::Refresh, token).ok_or(OauthError::NOT_FOUND)?;
            Ok(Grant::Refresh { index, token })
        }
        "password" if world.config.password_grant => {
            let index = form.first("username").and_then(|name| user(world, name)).ok_or(OauthError::CREDENTIALS)?;
            let password = form.first("password").unwrap_or_default();
            Ok(Grant::Password { index, password })
        }
        _ => Err(OauthError::NO_GRANT),
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

/// `+15550100001`, or `+15550100001*101` with an extension number (documented).
fn user(world: &World, name: &str) -> Option<usize> {
    let number = name.split('*').next()?;
    world.directory.owner(Number::parse(number).ok()?)
}
