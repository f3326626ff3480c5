//! Proof that whoever exchanges an authorization code also began the login (RFC 7636), and random values for it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::crypto::ring::default_provider;
use sha2::{Digest, Sha256};

use crate::secret::{CodeVerifier, LoginState};

/// A verifier and its S256 challenge: the challenge goes to the login page, the verifier to the token endpoint.
#[derive(Debug, Clone)]
pub struct Pkce {
    pub verifier: CodeVerifier,
    pub challenge: CodeChallenge,
}

/// SHA-256 of a verifier. Not secret: it stands in the address of the login page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeChallenge(Box<str>);

/// No secret can be made without randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("operating system gives no random bytes")]
pub struct NoRandomness;

impl Pkce {
    /// Makes a pair from 256 random bits of the operating system.
    ///
    /// # Errors
    /// [`NoRandomness`] if the system has no random bytes to give.
    pub fn generate() -> Result<Self, NoRandomness> {
        let verifier = CodeVerifier::of_bytes(&random_bytes()?);
        let challenge = CodeChallenge::of(&verifier);
        Ok(Self { verifier, challenge })
    }
}

impl CodeChallenge {
    /// The S256 challenge of a verifier.
    pub fn of(verifier: &CodeVerifier) -> Self {
        Self(URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose())).into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl LoginState {
    /// Makes a state from 256 random bits of the operating system.
    ///
    /// # Errors
    /// [`NoRandomness`] if the system has no random bytes to give.
    pub fn generate() -> Result<Self, NoRandomness> {
        Ok(Self::of_bytes(&random_bytes()?))
    }
}

/// As text 43 characters, the fewest that a verifier may have (RFC 7636 §4.1).
fn random_bytes() -> Result<[u8; 32], NoRandomness> {
    let mut bytes = [0; 32];
    default_provider().secure_random.fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenge_is_that_of_the_standards_example() {
        // RFC 7636, appendix B.
        let verifier = CodeVerifier::try_new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").expect("valid");
        assert_eq!(CodeChallenge::of(&verifier).as_str(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn each_pair_is_new_long_enough_and_hides_its_verifier() {
        let (one, other) = (Pkce::generate().expect("random"), Pkce::generate().expect("random"));
        assert_ne!(one.verifier.expose(), other.verifier.expose());
        assert_eq!(one.challenge, CodeChallenge::of(&one.verifier));
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        assert!(one.verifier.expose().len() >= 43 && one.verifier.expose().bytes().all(unreserved));
        assert!(!format!("{one:?}").contains(one.verifier.expose()));
        assert_ne!(LoginState::generate().expect("random").expose(), LoginState::generate().expect("random").expose());
    }
}
