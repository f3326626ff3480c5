//! Names of things: messages, lanes, workers, leases. Distinct types, so that they cannot be mixed up.

use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};

/// A message's id: 128 bits, written `msg_` and 26 characters of Crockford base 32.
///
/// A message with an idempotency key gets its id *from* the key, so that the record itself is the proof of
/// a duplicate and no second index can disagree with it. One without a key gets a time-ordered ULID.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId([u8; 16]);

impl MessageId {
    /// A new, time-ordered id.
    pub fn random() -> Self {
        Self(ulid::Ulid::generate().to_bytes())
    }

    /// The id that belongs to `key`; the same key always gives the same id.
    pub fn from_key(key: &IdempotencyKey) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"ringfleet message key v1\0");
        hash.update(key.0.as_bytes());
        Self(first_16(&hash.finalize()))
    }

    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "msg_{}", ulid::Ulid::from_bytes(self.0))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MessageId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        text.strip_prefix("msg_")
            .and_then(|rest| ulid::Ulid::from_string(rest).ok())
            .map(|ulid| Self(ulid.to_bytes()))
            .ok_or(IdError::Message)
    }
}

/// What a producer calls one message, so that a repeated request is recognised: 1 to 200 bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    pub fn try_new(key: impl Into<String>) -> Result<Self, IdError> {
        let key = key.into();
        if key.is_empty() || key.len() > 200 || key.chars().any(char::is_control) {
            return Err(IdError::Key { bytes: key.len() });
        }
        Ok(Self(key))
    }
}

/// A key may be built from a customer's data, so it is never printed.
impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdempotencyKey({} bytes)", self.0.len())
    }
}

/// What was asked for, in 128 bits: two requests with one key and different fingerprints are a conflict.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// Hashes the parts with their lengths, so that no two lists of parts look alike.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(first_16(&hash.finalize()))
    }

    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

fn first_16(digest: &[u8]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes
}

/// The usage-plan group of a lane. RingCentral counts each group on its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Group {
    Heavy,
    Medium,
    Light,
    Auth,
}

impl Group {
    pub const ALL: [Group; 4] = [Group::Heavy, Group::Medium, Group::Light, Group::Auth];

    pub fn as_str(self) -> &'static str {
        match self {
            Group::Heavy => "heavy",
            Group::Medium => "medium",
            Group::Light => "light",
            Group::Auth => "auth",
        }
    }
}

/// A lane: the thing that has a quota, (app, extension, group), written `app/extension/group`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneId {
    name: String,
    app_end: usize,
    group: Group,
}

impl LaneId {
    /// Both names are 1 to 64 characters of `A-Z a-z 0-9 - _ . ~ *`, so that a lane is a safe part of a key.
    pub fn try_new(app: &str, extension: &str, group: Group) -> Result<Self, IdError> {
        for part in [app, extension] {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.~*".contains(c);
            if part.is_empty() || part.len() > 64 || !part.chars().all(plain) {
                return Err(IdError::Lane { name: part.chars().take(64).collect() });
            }
        }
        Ok(Self { name: format!("{app}/{extension}/{}", group.as_str()), app_end: app.len(), group })
    }

    pub fn app(&self) -> &str {
        &self.name[..self.app_end]
    }

    pub fn extension(&self) -> &str {
        let end = self.name.len() - self.group.as_str().len() - 1;
        &self.name[self.app_end + 1..end]
    }

    pub fn group(&self) -> Group {
        self.group
    }

    pub fn as_str(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FromStr for LaneId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let bad = || IdError::Lane { name: text.chars().take(64).collect() };
        let mut parts = text.split('/');
        let (Some(app), Some(extension), Some(group), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(bad());
        };
        let group = Group::ALL.into_iter().find(|g| g.as_str() == group).ok_or_else(bad)?;
        Self::try_new(app, extension, group)
    }
}

/// One run of one worker process. A restarted worker is another one, so that a new process never hides the
/// death of the old one of the same name.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct WorkerId(String);

impl WorkerId {
    /// `name` is for people; the random end makes the incarnation unique.
    pub fn incarnation(name: &str) -> Self {
        let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
        Self(format!("{name}.{}", ulid::Ulid::generate()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The fence: grows with every claim, so that an old lease never passes for a new one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LeaseToken(pub u64);

impl LeaseToken {
    /// With several shards a token carries its own in the low bits, so that the calls after a claim find it.
    pub(crate) const SHARD_BITS: u32 = 6;

    /// Which of the store's [`shards`](crate::Store::shards) it is of.
    pub fn shard(self, shards: usize) -> usize {
        (self.0 & ((1 << Self::SHARD_BITS) - 1)) as usize % shards.max(1)
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdError {
    #[error("not a message id: expected `msg_` and 26 characters")]
    Message,
    #[error("idempotency key has {bytes} bytes or a control character: use 1 to 200 printable bytes")]
    Key { bytes: usize },
    #[error("{name:?} can't be part of a lane: use 1 to 64 of A-Z a-z 0-9 - _ . ~")]
    Lane { name: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_being_written_and_read() {
        let id = MessageId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("msg_nonsense".parse::<MessageId>(), Err(IdError::Message));
    }

    #[test]
    fn one_key_is_one_id() {
        let key = |text: &str| IdempotencyKey::try_new(text).unwrap();
        assert_eq!(MessageId::from_key(&key("a")), MessageId::from_key(&key("a")));
        assert_ne!(MessageId::from_key(&key("a")), MessageId::from_key(&key("b")));
        assert!(IdempotencyKey::try_new("").is_err());
    }

    #[test]
    fn a_lane_gives_its_parts_back() {
        let lane = LaneId::try_new("main", "400100001", Group::Medium).unwrap();
        assert_eq!((lane.app(), lane.extension(), lane.group()), ("main", "400100001", Group::Medium));
        assert_eq!(lane.as_str().parse(), Ok(lane.clone()));
        assert!(LaneId::try_new("a/b", "1", Group::Auth).is_err());
        assert!("a/b".parse::<LaneId>().is_err());
    }

    #[test]
    fn fingerprints_keep_parts_apart() {
        assert_ne!(Fingerprint::of(&[b"ab", b"c"]), Fingerprint::of(&[b"a", b"bc"]));
    }
}
