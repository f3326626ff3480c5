//! Everything that can go wrong, and what the person before the page is told: what happened, the next step, and the
//! provider's code where there is one. Nothing private stands in it.

mod words;

use std::time::Duration;

use axum::http::StatusCode;
use ringcentral::{ErrorCode, ExtensionId};
use ringfleet_identity::{OpenError, VaultError};
use ringfleet_store::StoreError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The person pressed "deny" on the provider's page.
    Denied,
    /// The provider sent the browser back with another error.
    SentBack {
        code: Option<ErrorCode>,
    },
    /// Neither a code nor an error came back.
    NothingBack,
    /// Never begun here, or too long ago.
    StateUnknown,
    StateUsed {
        connected: Option<ExtensionId>,
    },
    OtherBrowser,
    CodeExpired {
        code: ErrorCode,
    },
    CodeRefused {
        code: ErrorCode,
    },
    /// The provider knows another redirect URI, or none.
    RedirectUri {
        code: ErrorCode,
        uri: String,
    },
    /// The app's id, secret or settings are wrong.
    App {
        code: Option<ErrorCode>,
    },
    /// This user may not sign in.
    User {
        code: Option<ErrorCode>,
    },
    NoRefreshToken,
    NoOwner,
    OtherAccount,
    AccountUnread {
        code: Option<ErrorCode>,
    },
    OtherExtension {
        invited: ExtensionId,
        signed_in: ExtensionId,
    },
    InvitationOver,
    Busy {
        wait: Duration,
    },
    ProviderAway,
    StoreAway,
    /// It was flushed or exchanged.
    StoreReplaced,
    /// The fleet has no key of its own, or not the right one.
    Sealed(OpenError),
    NoKey,
    /// A credential of the store that this process can't open.
    Unreadable,
    NoRandomness,
    ForeignForm,
    TooMany {
        wait: Duration,
    },
    TooLarge,
    TooSlow,
    NoSuchPage,
    /// What stands behind the address can't be read, or stands there twice.
    BadAddress,
    NoSuchCredential,
    WrongMethod,
    /// The operator's page has no key that would open it.
    OperatorOff,
}

/// A trouble in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) status: StatusCode,
    pub(crate) title: &'static str,
    pub(crate) what: String,
    pub(crate) next: String,
    pub(crate) code: Option<ErrorCode>,
    pub(crate) step: Step,
}

/// What the button below leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Again,
    None,
}

impl Trouble {
    /// One word, for metric and log.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Trouble::Denied => "denied",
            Trouble::SentBack { .. } | Trouble::NothingBack => "sent_back",
            Trouble::StateUnknown | Trouble::StateUsed { .. } | Trouble::OtherBrowser => "state",
            Trouble::CodeExpired { .. } | Trouble::CodeRefused { .. } => "code",
            Trouble::RedirectUri { .. } | Trouble::App { .. } | Trouble::NoRefreshToken | Trouble::NoOwner => "app",
            Trouble::User { .. } => "user",
            Trouble::OtherAccount | Trouble::AccountUnread { .. } => "account",
            Trouble::OtherExtension { .. } | Trouble::InvitationOver => "invitation",
            Trouble::Busy { .. } => "busy",
            Trouble::ProviderAway => "provider_away",
            Trouble::StoreAway => "store_away",
            Trouble::StoreReplaced => "store_replaced",
            _ => "other",
        }
    }

    /// The provider's code, where it told one.
    pub(crate) fn code(&self) -> Option<&ErrorCode> {
        match self {
            Trouble::CodeExpired { code } | Trouble::CodeRefused { code } | Trouble::RedirectUri { code, .. } => {
                Some(code)
            }
            Trouble::SentBack { code }
            | Trouble::App { code }
            | Trouble::User { code }
            | Trouble::AccountUnread { code } => code.as_ref(),
            _ => None,
        }
    }

    pub(crate) fn told(&self) -> Told {
        let (status, title, what, next, step) = self.words();
        Told { status, title, what, next, code: self.code().cloned(), step }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        tracing::warn!(error = &error as &dyn std::error::Error, "the store failed under the connect page");
        if matches!(error, StoreError::Replaced { .. }) { Trouble::StoreReplaced } else { Trouble::StoreAway }
    }
}

impl From<VaultError> for Trouble {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::NoKey => Trouble::NoKey,
            VaultError::Store(error) => error.into(),
            VaultError::Record { .. } => Trouble::Unreadable,
            VaultError::Busy { .. } => Trouble::StoreAway,
        }
    }
}
