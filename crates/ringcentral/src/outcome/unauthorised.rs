//! Why a token was refused, and what helps.

use crate::provider_error::ProviderError;
use crate::token_outcome::is_the_apps_fault;

/// Why a token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnauthorisedKind {
    /// Its time is over, or a clock is wrong.
    Expired,
    /// A refresh put another one in its place, moments ago: told for about ten seconds after it, later as `Displaced` (seen
    /// in RingCentral's own experiment). Somebody has the newer one.
    Replaced,
    /// The server does not know it any more: replaced, revoked, or pushed out by a newer session of the same user and app, of
    /// which about five live at a time (documented).
    Displaced,
    /// The server can't read it: cut, quoted, or of another server.
    Unparsable,
    /// Its session was ended: a logout, a revoked credential, a changed password.
    Revoked,
    /// Extension or account are disabled, frozen, gone, or may not sign in.
    ExtensionDisabled,
    /// The app's id, secret, permissions or settings are at fault: no token of the app helps.
    AppTrouble,
    /// 401 without a code: most likely a gateway on the way.
    Unexplained,
    /// A code that this version does not know.
    Other,
}

/// What helps against a refused token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cure {
    /// Take the newest session that there is, else renew it, once. If a fresh token is refused too, park the extension.
    Renew,
    /// A new token would be refused as well: park the extension until a person has acted.
    ParkExtension,
    /// Every token of the app would be refused: park the app until a person has acted.
    ParkApp,
}

impl UnauthorisedKind {
    /// What helps. An unexplained 401 gets one renewal: it costs one Auth request, while parking costs a person's time. So
    /// does a revoked session, because its JWT may still be good; the token endpoint tells if it is not.
    pub fn cure(self) -> Cure {
        match self {
            Self::Expired | Self::Replaced | Self::Displaced | Self::Unparsable | Self::Revoked | Self::Unexplained => {
                Cure::Renew
            }
            Self::ExtensionDisabled | Self::Other => Cure::ParkExtension,
            Self::AppTrouble => Cure::ParkApp,
        }
    }
}

/// By the code; the codes are documented on the errors page and in the 2021 specification.
pub(super) fn unauthorised(error: &ProviderError) -> UnauthorisedKind {
    match error.code_str() {
        "OAU-128" | "TokenExpired" => UnauthorisedKind::Expired,
        "OAU-129" => UnauthorisedKind::Replaced,
        "OAU-213" | "TokenInvalid" => UnauthorisedKind::Displaced,
        // AGW-402 refuses the header; this client writes it well, so it is the token inside that the gateway can't read.
        "OAU-149" | "AGW-402" => UnauthorisedKind::Unparsable,
        "OAU-210" | "OAU-211" => UnauthorisedKind::Revoked,
        "OAU-105" | "OAU-119" | "OAU-136" | "OAU-141" | "OAU-142" | "OAU-147" | "OAU-148" | "OAU-167" | "OAU-222"
        | "OAU-232" | "OAU-236" => UnauthorisedKind::ExtensionDisabled,
        "-" => UnauthorisedKind::Unexplained,
        _ if is_the_apps_fault(error) => UnauthorisedKind::AppTrouble,
        _ => UnauthorisedKind::Other,
    }
}
