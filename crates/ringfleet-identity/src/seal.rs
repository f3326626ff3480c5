//! Sealing: what lies in the store can be read only with the fleet's key, and only as what it was sealed for.

use std::{
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use chacha20poly1305::{
    XNonce,
    aead::{Aead, Payload},
};
use secrecy::zeroize::Zeroizing;

use crate::key::{Key, KeyError, KeyId, parse_keys};

/// First byte of everything sealed; another one tells of a newer program.
const FORMAT: u8 = 1;
const NONCE: usize = 24;
/// Format and key id.
const HEAD: usize = 1 + 4;
/// A key file is looked at again no sooner than this, however much can't be opened.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What a sealed thing is for. Bound to it, so that a thief of the store can't pass one extension's login off as another's.
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// Login data of one extension.
    Credential { app: &'a str, extension: &'a str, method: &'a str },
    /// The fleet's session of one extension.
    Session { app: &'a str, extension: &'a str },
    /// A document of the sender directory, under this key.
    Directory { key: &'a str },
    /// A login by authorization code that has begun in a browser.
    Login { state: &'a str },
    /// An extension's subscription to events, under this key.
    Subscription { key: &'a str },
    /// Something that came in, under this key.
    Inbound { key: &'a str },
    /// What the connect page hands to a browser to bring back: an operator's session, an invitation.
    Page { what: &'a str },
}

impl Purpose<'_> {
    fn bytes(self) -> Vec<u8> {
        let parts: &[&str] = match &self {
            Purpose::Credential { app, extension, method } => &["credential", app, extension, method],
            Purpose::Session { app, extension } => &["session", app, extension],
            Purpose::Directory { key } => &["directory", key],
            Purpose::Login { state } => &["login", state],
            Purpose::Subscription { key } => &["subscription", key],
            Purpose::Inbound { key } => &["inbound", key],
            Purpose::Page { what } => &["page", what],
        };
        parts.iter().flat_map(|part| [&(part.len() as u32).to_be_bytes(), part.as_bytes()].concat()).collect()
    }
}

/// Why something sealed can't be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("sealed with key {id}, which is not among this process's keys; add it to identity.key_file")]
    UnknownKey { id: KeyId },
    #[error("damaged, or not sealed for this")]
    Damaged,
    #[error("sealed by a newer program; update this one")]
    NewerFormat,
}

/// The fleet's keys: the first one seals, each may open. XChaCha20-Poly1305 with a random nonce of 24 bytes.
pub struct KeyRing {
    keys: ArcSwap<Vec<Key>>,
    /// Seals nothing; see [`KeyRing::also_of_app`].
    of_app: Option<Key>,
    /// How often they have changed.
    changes: AtomicU64,
    file: Option<KeyFile>,
    /// Made of the app's secret for want of a key: good for sessions only.
    makeshift: bool,
}

struct KeyFile {
    path: PathBuf,
    seen: Mutex<Seen>,
}

struct Seen {
    modified: Option<SystemTime>,
    looked: Instant,
}

/// Why there is no key ring.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    #[error("key file {} can't be read", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("key file {} is at fault", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: KeyError,
    },
    #[error("the setting holds no usable key")]
    Setting(#[source] KeyError),
}

impl KeyRing {
    /// Keys from a file, which is read again when it has changed: rotation needs no restart.
    ///
    /// # Errors
    /// [`KeyRingError`] names the file and what is wrong with it, never a key.
    pub fn from_file(path: PathBuf) -> Result<Self, KeyRingError> {
        let (keys, modified) = read(&path)?;
        let seen = Mutex::new(Seen { modified, looked: Instant::now() });
        Ok(Self::new(keys, Some(KeyFile { path, seen }), false))
    }

    /// Keys from a setting, separated by commas.
    ///
    /// # Errors
    /// [`KeyRingError::Setting`] names the place of the faulty key.
    pub fn from_text(text: &str) -> Result<Self, KeyRingError> {
        let keys = parse_keys(text).map_err(KeyRingError::Setting)?;
        Ok(Self::new(keys, None, false))
    }

    /// Also opens what a process without a key of its own sealed with one made of the app's secret, so that a fleet that is given
    /// a key goes on with its earlier sessions. Only what lies in the store and such a process may have sealed: no credential,
    /// and nothing that a browser brings back, which whoever knows the app's secret could make.
    #[must_use]
    pub fn also_of_app(mut self, client_id: &str, client_secret: &str) -> Self {
        self.of_app = Some(Key::of_app(client_id, client_secret));
        self
    }

    /// A key made of the app's secret, for a fleet that was given none. Fit for sessions; credentials want a key of their
    /// own, because a changed secret would make them unreadable.
    pub fn of_app(client_id: &str, client_secret: &str) -> Self {
        Self::new(vec![Key::of_app(client_id, client_secret)], None, true)
    }

    fn new(keys: Vec<Key>, file: Option<KeyFile>, makeshift: bool) -> Self {
        Self { keys: ArcSwap::from_pointee(keys), of_app: None, changes: AtomicU64::new(0), file, makeshift }
    }

    /// How often the keys have changed. What could not be opened before may open when it is another number.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// As [`changes`](Self::changes), after a look at the key file.
    pub fn look(&self) -> u64 {
        self.look_at_file(true);
        self.changes()
    }

    /// Whether credentials may be sealed with it.
    pub fn is_makeshift(&self) -> bool {
        self.makeshift
    }

    /// The key that seals now.
    pub fn current(&self) -> Option<KeyId> {
        self.keys.load().first().map(|key| key.id)
    }

    /// Format, key id, nonce, then the ciphertext with its tag.
    #[allow(clippy::missing_panics_doc, reason = "a ring holds a key, and the cipher refuses only 256 GiB")]
    pub fn seal(&self, purpose: Purpose<'_>, plain: &[u8]) -> Vec<u8> {
        self.look_at_file(false);
        let keys = self.keys.load();
        let key = keys.first().expect("a ring is made with at least one key");
        let nonce = XNonce::from(rand::random::<[u8; NONCE]>());
        let aad = purpose.bytes();
        let sealed = key.cipher.encrypt(&nonce, Payload { msg: plain, aad: &aad });
        let sealed = sealed.expect("the cipher refuses nothing shorter than 256 GiB");
        [&[FORMAT][..], &key.id.0, &nonce[..], &sealed].concat()
    }

    /// What was sealed for this purpose, wiped when it is dropped.
    ///
    /// # Errors
    /// [`OpenError`]. An unknown key is looked for in the key file once more first.
    pub fn open(&self, purpose: Purpose<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        match self.try_open(purpose, sealed) {
            Err(OpenError::UnknownKey { .. }) if self.look_at_file(true) => self.try_open(purpose, sealed),
            opened => opened,
        }
    }

    /// The key that something was sealed with.
    pub fn sealed_with(sealed: &[u8]) -> Option<KeyId> {
        let id = sealed.get(1..HEAD)?;
        Some(KeyId(id.try_into().ok()?))
    }

    fn try_open(&self, purpose: Purpose<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        if sealed.len() < HEAD + NONCE {
            return Err(OpenError::Damaged);
        }
        if sealed[0] != FORMAT {
            return Err(OpenError::NewerFormat);
        }
        let id = Self::sealed_with(sealed).ok_or(OpenError::Damaged)?;
        let keys = self.keys.load();
        let guarded = matches!(purpose, Purpose::Credential { .. } | Purpose::Page { .. });
        let of_app = self.of_app.as_ref().filter(|_| !guarded);
        let key = keys.iter().chain(of_app).find(|key| key.id == id).ok_or(OpenError::UnknownKey { id })?;
        let (nonce, body) = sealed[HEAD..].split_at(NONCE);
        let nonce = XNonce::try_from(nonce).map_err(|_| OpenError::Damaged)?;
        let aad = purpose.bytes();
        let plain = key.cipher.decrypt(&nonce, Payload { msg: body, aad: &aad }).map_err(|_| OpenError::Damaged)?;
        Ok(Zeroizing::new(plain))
    }

    /// Takes the key file's keys when it has changed; `true` if they are others now. A file that has become unreadable
    /// changes nothing: the keys that were read still open what they opened. `missed` says that a key is missing: it is looked
    /// for sooner, and whatever the file's time says, which may be the same after two writes in one moment.
    fn look_at_file(&self, missed: bool) -> bool {
        let Some(file) = &self.file else { return false };
        let mut seen = file.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = if missed { LOOK_AGAIN } else { 10 * LOOK_AGAIN };
        if seen.looked.elapsed() < pause {
            return false;
        }
        seen.looked = Instant::now();
        let modified = std::fs::metadata(&file.path).and_then(|data| data.modified()).ok();
        if modified == seen.modified && !missed {
            return false;
        }
        match read(&file.path) {
            Ok((keys, modified)) => {
                seen.modified = modified;
                if keys.iter().map(|key| key.id).eq(self.keys.load().iter().map(|key| key.id)) {
                    return false;
                }
                tracing::info!(keys = keys.len(), "the key file has changed; its keys are used");
                self.keys.store(keys.into());
                self.changes.fetch_add(1, Ordering::Release);
                true
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the key file can't be used");
                false
            }
        }
    }
}

fn read(path: &std::path::Path) -> Result<(Vec<Key>, Option<SystemTime>), KeyRingError> {
    let unreadable = |source| KeyRingError::Unreadable { path: path.to_owned(), source };
    let modified = std::fs::metadata(path).and_then(|data| data.modified()).ok();
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(unreadable)?);
    let keys = parse_keys(&text).map_err(|source| KeyRingError::File { path: path.to_owned(), source })?;
    Ok((keys, modified))
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRing").field("current", &self.current()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::new_key;

    const JWT: Purpose<'_> = Purpose::Credential { app: "main", extension: "101", method: "jwt" };

    #[test]
    fn what_was_sealed_opens_for_its_purpose_only() {
        let ring = KeyRing::from_text(&new_key()).unwrap();
        let sealed = ring.seal(JWT, b"canary");
        assert_eq!(&**ring.open(JWT, &sealed).unwrap(), b"canary");
        for other in [
            Purpose::Credential { app: "main", extension: "102", method: "jwt" },
            Purpose::Credential { app: "mai", extension: "n101", method: "jwt" },
            Purpose::Session { app: "main", extension: "101" },
        ] {
            assert_eq!(ring.open(other, &sealed).err(), Some(OpenError::Damaged));
        }
        assert!(!sealed.windows(6).any(|part| part == b"canary"));
        assert_ne!(sealed, ring.seal(JWT, b"canary"), "a nonce was used twice");
    }

    #[test]
    fn an_old_key_opens_and_the_new_one_seals() {
        let (old, new) = (new_key(), new_key());
        let before = KeyRing::from_text(&old).unwrap();
        let after = KeyRing::from_text(&format!("{},{}", *new, *old)).unwrap();
        let sealed = before.seal(JWT, b"x");
        assert_eq!(&**after.open(JWT, &sealed).unwrap(), b"x");
        let id = after.current().unwrap();
        assert_eq!(before.open(JWT, &after.seal(JWT, b"x")).err(), Some(OpenError::UnknownKey { id }));
    }

    #[test]
    fn what_was_sealed_with_the_apps_secret_opens_but_for_logins_and_pages_and_seals_nothing() {
        let before = KeyRing::of_app("id", "secret");
        let after = KeyRing::from_text(&new_key()).unwrap().also_of_app("id", "secret");
        let session = Purpose::Session { app: "main", extension: "101" };
        assert_eq!(&**after.open(session, &before.seal(session, b"x")).unwrap(), b"x");
        let sealed = after.seal(session, b"x");
        assert_eq!(KeyRing::sealed_with(&sealed), after.current());
        assert!(before.open(session, &sealed).is_err() && !after.is_makeshift());
        let id = before.current().unwrap();
        for guarded in [JWT, Purpose::Page { what: "operator" }] {
            let refused = after.open(guarded, &before.seal(guarded, b"x")).err();
            assert_eq!(refused, Some(OpenError::UnknownKey { id }), "{guarded:?}");
        }
    }

    #[test]
    fn a_key_that_comes_into_the_file_later_is_found_there() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (old, new) = (new_key(), new_key());
        std::fs::write(file.path(), &*old).unwrap();
        let ring = KeyRing::from_file(file.path().to_owned()).unwrap();
        let sealed = KeyRing::from_text(&new).unwrap().seal(JWT, b"x");
        assert!(ring.open(JWT, &sealed).is_err());
        std::fs::write(file.path(), format!("{}\n{}\n", *old, *new)).unwrap();
        // Some file systems tell times in whole seconds.
        let later = SystemTime::now() + Duration::from_secs(5);
        std::fs::File::options().write(true).open(file.path()).unwrap().set_modified(later).unwrap();
        ring.file.as_ref().unwrap().seen.lock().unwrap().looked -= LOOK_AGAIN;
        assert_eq!(&**ring.open(JWT, &sealed).unwrap(), b"x");
    }

    proptest! {
        #[test]
        fn nothing_that_was_changed_opens(plain: Vec<u8>, at: prop::sample::Index, flip in 1u8..) {
            let ring = KeyRing::from_text(&new_key()).unwrap();
            let mut sealed = ring.seal(JWT, &plain);
            let at = at.index(sealed.len());
            sealed[at] ^= flip;
            prop_assert!(ring.open(JWT, &sealed).is_err());
            prop_assert!(ring.open(JWT, &sealed[..at]).is_err());
        }
    }
}
