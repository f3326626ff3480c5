//! Who calls, whether the plan lets them, and where to: the first thing that happens to any request.

use http::{HeaderMap, header};

use super::error::ApiError;
use super::operation::Operation;
use crate::clock::Nanos;
use crate::limits::Admission;
use crate::world::{TokenKind, TokenProblem, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    App,
    User,
}

/// A user with a live token whose request the limiter has counted, admitted or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    pub(super) index: usize,
    pub(super) admission: Admission,
    missing: Option<Missing>,
}

impl Caller {
    /// Refused requests and missing permissions, in the order in which the provider's gateway and its API look.
    pub(super) fn may(&self) -> Result<(), ApiError> {
        match self.missing {
            _ if self.admission.refused() => Err(ApiError::throttled()),
            Some(Missing::App) => Err(ApiError::app_permission()),
            Some(Missing::User) => Err(ApiError::user_permission()),
            None => Ok(()),
        }
    }
}

/// `at` is the arrival of the request's head: the limiter must not see the time that the body took.
pub(super) fn identify(
    world: &World,
    headers: &HeaderMap,
    operation: &Operation,
    at: Nanos,
) -> Result<Caller, ApiError> {
    let token = bearer(headers)?;
    let index = world
        .directory
        .token_owner(TokenKind::Access, token)
        .ok_or_else(|| ApiError::token("OAU-149", "Invalid access token"))?;
    let settings = world.settings();
    let mut extension = world.extension(index);
    let session = extension.sessions.check(&world.config, token, at).map_err(|problem| match problem {
        TokenProblem::Expired => ApiError::token("OAU-128", "Access token expired"),
        TokenProblem::Corrupted => ApiError::token("OAU-129", "Access token corrupted"),
        TokenProblem::NotFound => ApiError::token("OAU-213", "Token not found"),
    })?;
    let missing = if operation.app.is_some_and(|permission| !session.permits(&settings, permission)) {
        Some(Missing::App)
    } else if operation.user.is_some_and(|permission| extension.lacks(permission)) {
        Some(Missing::User)
    } else {
        None
    };
    let admission = world.admit(extension.lane_mut(operation.group), operation.group, at);
    Ok(Caller { index, admission, missing })
}

/// Whose token it is, live or dead.
pub(super) fn owner(world: &World, headers: &HeaderMap) -> Option<usize> {
    world.directory.token_owner(TokenKind::Access, bearer(headers).ok()?)
}

/// `Bearer` in any case: the JavaScript client writes it small (seen on the wire).
fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let header = headers
        .get(header::AUTHORIZATION)
        .ok_or_else(|| ApiError::no_authorization("AGW-401", "Authorization header is missing"))?;
    header
        .to_str()
        .ok()
        .and_then(|header| header.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| ApiError::no_authorization("AGW-402", "Authorization header is invalid"))
}

/// Ids in a path: `~` stands for the caller's own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) account: &'a str,
    pub(super) extension: Option<&'a str>,
}

impl Place<'_> {
    /// The account must be the caller's, and so must the extension: the app has no extended scope.
    pub(super) fn check(&self, world: &World, caller: &Caller) -> Result<(), ApiError> {
        let is = |raw: &str, id: u64| raw == "~" || raw.parse() == Ok(id);
        if !is(self.account, world.directory.account_id()) {
            return Err(ApiError::not_found("accountId"));
        }
        let Some(extension) = self.extension else {
            return Ok(());
        };
        if is(extension, world.directory.extension_id(caller.index)) {
            return Ok(());
        }
        match extension.parse().ok().and_then(|id| world.directory.index_of(id)) {
            Some(_) => Err(ApiError::other_extension()),
            None => Err(ApiError::not_found("extensionId")),
        }
    }
}
