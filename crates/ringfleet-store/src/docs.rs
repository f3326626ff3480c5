//! Documents: small records that the whole fleet shares, e.g. a credential, a number's extension, a page of a long run.
//!
//! One is changed by compare-and-set on its revision, and whoever keeps copies of a kind asks from time to time what has
//! changed ([`Store::docs_since`](crate::Store::docs_since)), so that no process needs a restart to notice. What a body
//! means is its owner's business; the store seals nothing.

use std::fmt;

use crate::{message::Millis, store::StoreError};

/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 200;
/// Largest body, in bytes.
pub const MAX_BODY_BYTES: usize = 65_536;
/// Most documents of one [`Store::docs_since`](crate::Store::docs_since).
pub const MAX_CHANGES: u32 = 500;

/// A removal is remembered for a day, and the last ten thousand of a shard at most.
pub(crate) const REMEMBER_MS: Millis = 86_400_000;
pub(crate) const MOST_GONE: i64 = 10_000;
/// An answer is cut when its bodies reach so many bytes.
pub(crate) const ANSWER_BYTES: i64 = 1_048_576;

/// What a document is about. Keys are unique within a kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum DocKind {
    /// What an extension logs in with.
    Credential,
    /// What is known of an extension.
    Extension,
    /// To whom a number belongs.
    Number,
    /// An authorization-code login that somebody has begun.
    Login,
    /// A webhook that the provider calls.
    Subscription,
    /// How far a long run has come, who leads it, and which STOPs it has heard.
    Progress,
    /// What the fleet has found out of its app: that it was refused, whose logins were throttled, and when some were granted.
    Setting,
    /// Something that came in at an extension: a text, a voicemail, a call that nobody took.
    Inbound,
    /// How far the changes of a shard were told to the producers' endpoint, and by whom.
    Callback,
}

impl DocKind {
    pub const ALL: [DocKind; 9] = [
        DocKind::Credential,
        DocKind::Extension,
        DocKind::Number,
        DocKind::Login,
        DocKind::Subscription,
        DocKind::Progress,
        DocKind::Setting,
        DocKind::Inbound,
        DocKind::Callback,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            DocKind::Credential => "credential",
            DocKind::Extension => "extension",
            DocKind::Number => "number",
            DocKind::Login => "login",
            DocKind::Subscription => "subscription",
            DocKind::Progress => "progress",
            DocKind::Setting => "setting",
            DocKind::Inbound => "inbound",
            DocKind::Callback => "callback",
        }
    }
}

/// Key and body may be private (a number, a credential), so neither is printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Doc {
    pub key: String,
    /// Grows with every change and never comes back, also after a removal.
    pub rev: u64,
    pub body: Vec<u8>,
    pub changed_at: Millis,
}

impl fmt::Debug for Doc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.body.len();
        f.debug_struct("Doc")
            .field("rev", &self.rev)
            .field("changed_at", &self.changed_at)
            .field("body_bytes", &bytes)
            .finish_non_exhaustive()
    }
}

/// What a change is made on top of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    Anything,
    Absent,
    Rev(u64),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Put {
    /// Done, under this revision; 0 for the removal of what was not there.
    Stored(u64),
    /// Not what was expected: nothing was changed, and this is what is there. A change that is repeated because its answer
    /// was lost meets itself here.
    Conflict(Option<Doc>),
}

/// How far a process has read the changes of one kind. The default has read nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DocCursor {
    pub(crate) shards: Vec<Read>,
    /// The shard that is asked first, so that a busy one does not keep the others from being read.
    pub(crate) first: usize,
    /// All there was has been read once: from then on a shard that does not answer is read later.
    pub(crate) whole: bool,
}

/// How far one shard was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Read {
    pub(crate) rev: u64,
    /// Another one means that changes that were read may be lost.
    pub(crate) incarnation: u64,
    /// The newest token when the reading began: nobody holds a copy of what was removed before that.
    pub(crate) begun: u64,
}

#[derive(Clone, PartialEq, Eq, Default)]
pub struct DocChanges {
    /// Each document once, as it is now.
    pub changed: Vec<Doc>,
    /// Keys that are gone; some of them may never have been seen.
    pub removed: Vec<String>,
    /// From where to ask next.
    pub cursor: DocCursor,
    /// There is more to read now.
    pub more: bool,
    /// What was read before is void: a removal may have been overlooked, or the store has lost its last moments. Nothing is
    /// told here, and `cursor` begins anew: forget the copies once all is read.
    pub reset: bool,
}

impl DocChanges {
    pub(crate) fn reset() -> Self {
        Self { more: true, reset: true, ..Self::default() }
    }
}

impl fmt::Debug for DocChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocChanges")
            .field("changed", &self.changed)
            .field("removed", &self.removed.len())
            .field("more", &self.more)
            .field("reset", &self.reset)
            .finish_non_exhaustive()
    }
}

/// The key is not quoted: it may be a number.
pub(crate) fn check(call: &'static str, key: &str, body: Option<&[u8]>) -> Result<(), StoreError> {
    let refused = |reason| Err(StoreError::Refused { call, reason });
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return refused(format!("the key has {} bytes: use 1 to {MAX_KEY_BYTES}", key.len()));
    }
    if !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.~*+/:@-".contains(&byte)) {
        return refused("the key has other characters than A-Z a-z 0-9 _ . ~ * + / : @ -".to_owned());
    }
    match body.map_or(0, <[u8]>::len) {
        bytes if bytes > MAX_BODY_BYTES => refused(format!(
            "the body has {bytes} bytes: keep it below {MAX_BODY_BYTES}, in several documents if need be"
        )),
        _ => Ok(()),
    }
}
