//! Keys that seal what the fleet keeps: made here, read from a file or a setting, named by a part of their hash.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::{Key as CipherKey, KeyInit, XChaCha20Poly1305};
use secrecy::zeroize::Zeroizing;
use sha2::{Digest, Sha256};

/// Why a text is no key. Never holds the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("key {place} is not base64; `ringfleet credentials new-key` makes one")]
    NotBase64 { place: usize },
    #[error("key {place} has {bytes} bytes, must have 32; `ringfleet credentials new-key` makes one")]
    Length { place: usize, bytes: usize },
    #[error("there is no key; `ringfleet credentials new-key` makes one")]
    None,
}

/// Names a key without giving it away, so that what it sealed can tell which one opens it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub(crate) [u8; 4]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// One key of 32 bytes. Wiped from memory on drop, never printed.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: KeyId,
    pub(crate) cipher: XChaCha20Poly1305,
}

impl Key {
    fn new(bytes: &[u8; 32]) -> Self {
        let print = Sha256::new_with_prefix(b"ringfleet key id").chain_update(bytes).finalize();
        Self {
            id: KeyId([print[0], print[1], print[2], print[3]]),
            cipher: XChaCha20Poly1305::new(&CipherKey::from(*bytes)),
        }
    }

    /// The `place`-th key of a list, counted from 1.
    fn parse(text: &str, place: usize) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| KeyError::NotBase64 { place })?);
        let bytes: &[u8; 32] =
            bytes.as_slice().try_into().map_err(|_| KeyError::Length { place, bytes: bytes.len() })?;
        Ok(Self::new(bytes))
    }

    /// A key made of the app's secret, for sessions of a fleet that was given no key of its own: whoever reads the store
    /// alone can't open them. A changed secret costs a login an extension and nothing else.
    pub(crate) fn of_app(client_id: &str, client_secret: &str) -> Self {
        let mut hash = Sha256::new_with_prefix(b"ringfleet sessions of app");
        for part in [client_id, client_secret] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self::new(&Zeroizing::new(hash.finalize().into()))
    }
}

/// Keys of a file (one on each line, `#` begins a comment) or of a setting (separated by commas). The first one seals.
pub(crate) fn parse_keys(text: &str) -> Result<Vec<Key>, KeyError> {
    let lines = text.split(['\n', ',']).map(|line| line.split('#').next().unwrap_or_default().trim());
    let keys = lines.filter(|line| !line.is_empty()).enumerate().map(|(at, line)| Key::parse(line, at + 1));
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() { Err(KeyError::None) } else { Ok(keys) }
}

/// A new key as a line of a key file, from the system's randomness.
pub fn new_key() -> Zeroizing<String> {
    let bytes = Zeroizing::new(rand::random::<[u8; 32]>());
    Zeroizing::new(STANDARD.encode(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_may_have_comments_and_several_keys_and_keeps_their_order() {
        let (new, old) = (new_key(), new_key());
        let text = format!("# of today\n{}\n\n  {}   # until the end of the month\n", *new, *old);
        let keys = parse_keys(&text).unwrap();
        let named = parse_keys(&format!("{},{}", *new, *old)).unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!(keys.iter().map(|k| k.id).collect::<Vec<_>>(), named.iter().map(|k| k.id).collect::<Vec<_>>());
        assert_ne!(keys[0].id, keys[1].id);
    }

    #[test]
    fn a_faulty_key_is_named_by_its_place_and_not_shown() {
        assert_eq!(parse_keys("").err(), Some(KeyError::None));
        let text = format!("{}\ncanary!", *new_key());
        let error = parse_keys(&text).err().unwrap();
        assert_eq!(error, KeyError::NotBase64 { place: 2 });
        assert!(!format!("{error} {error:?}").contains("canary"));
        assert_eq!(parse_keys("AAAA").err(), Some(KeyError::Length { place: 1, bytes: 3 }));
    }
}
