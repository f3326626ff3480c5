//! What one user can log in with.

use serde::{Deserialize, Serialize};

use crate::clock::Nanos;

/// Wrong passwords in a row before the lock-out (that there is one is documented, its number is not).
const WRONG_PASSWORDS: u32 = 5;

/// `status` of an extension (documented); `Deleted` stands for one that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum ExtensionStatus {
    #[default]
    Enabled,
    Disabled,
    Frozen,
    NotActivated,
    Unassigned,
    Deleted,
}

/// `status` of the account (documented); `Deleted` stands for one that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum AccountStatus {
    #[default]
    Confirmed,
    Disabled,
    Deleted,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum JwtState {
    #[default]
    Good,
    Revoked,
    Expired,
    /// Good for these client ids only, as its owner can choose (documented).
    Restricted(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PasswordProblem {
    Wrong,
    LockedOut,
}

/// No `Debug`: it holds a password.
#[derive(Default)]
pub(crate) struct Login {
    pub(crate) status: ExtensionStatus,
    pub(crate) jwt: JwtState,
    /// Instead of the one that follows from the seed.
    pub(crate) password: Option<String>,
    wrong: u32,
    locked_until: Nanos,
}

impl Login {
    /// A lock-out refuses the right password, too.
    pub(crate) fn try_password(
        &mut self,
        given: &str,
        right: &str,
        lock_out: Nanos,
        now: Nanos,
    ) -> Result<(), PasswordProblem> {
        if now < self.locked_until {
            return Err(PasswordProblem::LockedOut);
        }
        if given == self.password.as_deref().unwrap_or(right) {
            self.wrong = 0;
            return Ok(());
        }
        self.wrong += 1;
        if self.wrong >= WRONG_PASSWORDS {
            self.wrong = 0;
            self.locked_until = now + lock_out;
        }
        Err(PasswordProblem::Wrong)
    }

    /// A new password also ends a lock-out.
    pub(crate) fn set_password(&mut self, password: String) {
        self.password = Some(password);
        self.wrong = 0;
        self.locked_until = 0;
    }
}
