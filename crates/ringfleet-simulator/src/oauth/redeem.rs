//! Turns an authorization code into a user.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::error::OauthError;
use crate::clock::{Nanos, nanos};
use crate::query::Pairs;
use crate::world::{Challenge, World};

/// Spends the code. A wrong client, redirect URI or verifier leaves it as it was.
pub(super) fn redeem(
    world: &World,
    client_id: &str,
    code: &str,
    form: &Pairs<'_>,
    now: Nanos,
) -> Result<(), OauthError> {
    let mut app = world.app();
    let details = app.codes.find(code).filter(|details| !details.spent).ok_or(OauthError::CODE_INVALID)?;
    if details.issued_at + nanos(world.config.code_ttl) <= now {
        return Err(OauthError::CODE_EXPIRED);
    }
    if details.client_id != client_id {
        return Err(OauthError::CODE_OF_OTHER_APP);
    }
    if form.first("redirect_uri") != Some(details.redirect_uri.as_str()) {
        return Err(OauthError::REDIRECT_DIFFERS);
    }
    let verifier = form.first("code_verifier").unwrap_or_default();
    if details.challenge.as_ref().is_some_and(|challenge| !challenge.met_by(verifier)) {
        // RFC 7636 asks for `invalid_grant`; which code RingCentral gives is not known.
        return Err(OauthError::CODE_INVALID);
    }
    details.spent = true;
    Ok(())
}

impl Challenge {
    fn met_by(&self, verifier: &str) -> bool {
        match self {
            Self::Plain(challenge) => challenge == verifier,
            Self::S256(challenge) => *challenge == URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_meets_its_challenge() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = Challenge::S256("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".to_owned());
        assert!(challenge.met_by(verifier));
        assert!(!challenge.met_by("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"));
        assert!(Challenge::Plain("abc".to_owned()).met_by("abc"));
        assert!(!Challenge::Plain("abc".to_owned()).met_by(""));
    }
}
