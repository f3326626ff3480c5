//! Whether a user may log in, whatever the credential is worth.

use super::error::OauthError;
use crate::app::GrantKind;
use crate::clock::{Nanos, nanos};
use crate::world::{AccountStatus, Extension, ExtensionStatus, JwtState, PasswordProblem, World, lock};

pub(super) fn account(world: &World) -> Result<(), OauthError> {
    match *lock(&world.account_status) {
        AccountStatus::Confirmed => Ok(()),
        AccountStatus::Disabled => Err(OauthError::ACCOUNT_STATE),
        AccountStatus::Deleted => Err(OauthError::NO_ACCOUNT),
    }
}

/// RingCentral has two codes each for a user who is gone and for one who is switched off. The newer ones are known from
/// JWT and refresh requests, the older ones from people who type a password; which comes when is a guess.
pub(super) fn extension(extension: &Extension, grant: GrantKind) -> Result<(), OauthError> {
    let machine = matches!(grant, GrantKind::Jwt | GrantKind::RefreshToken);
    match extension.login.status {
        ExtensionStatus::Enabled => Ok(()),
        ExtensionStatus::Disabled | ExtensionStatus::Frozen if machine => Err(OauthError::EXTENSION_DISABLED),
        ExtensionStatus::Deleted if machine => Err(OauthError::NO_EXTENSION),
        ExtensionStatus::Deleted => Err(OauthError::EXTENSION_GONE),
        ExtensionStatus::Disabled
        | ExtensionStatus::Frozen
        | ExtensionStatus::NotActivated
        | ExtensionStatus::Unassigned => Err(OauthError::EXTENSION_STATE),
    }
}

/// `invalid_grant` is sure for a revoked and for an expired JWT, the codes are not.
pub(super) fn jwt(extension: &Extension, client_id: &str) -> Result<(), OauthError> {
    match &extension.login.jwt {
        JwtState::Good => Ok(()),
        JwtState::Revoked => Err(OauthError::REVOKED),
        JwtState::Expired => Err(OauthError::EXPIRED),
        JwtState::Restricted(apps) if apps.iter().any(|app| app == client_id) => Ok(()),
        JwtState::Restricted(_) => Err(OauthError::JWT_OF_OTHER_APP),
    }
}

pub(super) fn password(
    world: &World,
    extension: &mut Extension,
    index: usize,
    given: &str,
    now: Nanos,
) -> Result<(), OauthError> {
    let right = world.directory.password(index);
    let lock_out = nanos(world.config.lock_out);
    extension.login.try_password(given, &right, lock_out, now).map_err(|problem| match problem {
        PasswordProblem::Wrong => OauthError::CREDENTIALS,
        PasswordProblem::LockedOut => OauthError::LOCKED_OUT,
    })
}
