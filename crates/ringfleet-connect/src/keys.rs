//! Who may see and change which extensions are connected: whoever knows one of these keys.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The keys of operators, as hashes only. Without any, the operator's page is off.
pub struct OperatorKeys(Vec<KeyHash>);

/// Names a key in a browser's session, so that the session ends when the key is taken out of the settings.
pub(crate) type KeyHash = [u8; 32];

impl OperatorKeys {
    pub fn new(keys: impl IntoIterator<Item = SecretString>) -> Self {
        Self(keys.into_iter().map(|key| hash(key.expose_secret())).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The hash of the key that was given, if it is one of these. Compares with every key in a time that depends on none of
    /// them: hashes are of one length, and no comparison ends early.
    pub(crate) fn admit(&self, candidate: &str) -> Option<KeyHash> {
        let candidate = hash(candidate.trim());
        self.knows(&candidate).then_some(candidate)
    }

    /// Whether a key with this hash still opens the page.
    pub(crate) fn knows(&self, candidate: &KeyHash) -> bool {
        let found = self.0.iter().fold(Choice::from(0), |found, key| found | key.ct_eq(candidate));
        found.into()
    }
}

impl std::fmt::Debug for OperatorKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OperatorKeys({})", self.0.len())
    }
}

fn hash(key: &str) -> KeyHash {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_key_opens_and_none_is_shown() {
        let keys = OperatorKeys::new(["first-key-0123456789", "second-key-0123456789"].map(SecretString::from));
        let hash = keys.admit(" second-key-0123456789\n").unwrap();
        assert!(keys.knows(&hash));
        for wrong in ["", "second-key-012345678", "second-key-01234567890"] {
            assert!(keys.admit(wrong).is_none());
        }
        let fewer = OperatorKeys::new([SecretString::from("first-key-0123456789")]);
        assert!(!fewer.knows(&hash), "a session outlives its key");
        assert!(OperatorKeys::new([]).admit("").is_none());
        assert_eq!(format!("{keys:?}"), "OperatorKeys(2)");
    }
}
