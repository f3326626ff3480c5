//! Opt-outs: who wants no texts of a sender, an extension, or anybody.

use std::fmt;

use crate::{
    message::{Millis, Private},
    store::{MAX_BATCH, StoreError},
};

/// `from` of an opt-out from all numbers of its extension.
pub const ANY_NUMBER: &str = "*";
/// The longest number that can opt out, in bytes. E.164 allows 15 digits.
const MAX_NUMBER_BYTES: usize = 64;

/// One change. Numbers are written as messages write them: they are compared byte by byte.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OptOut {
    /// The sender's number, or [`ANY_NUMBER`] of the extension.
    pub from: Private,
    /// Who wants no texts.
    pub to: Private,
    /// `false` lifts the same opt-out for messages that come later; a wider or narrower one stays.
    pub out: bool,
}

/// An opt-out as operators see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OptedOut {
    /// `None` = from every extension.
    pub extension: Option<String>,
    pub from: Private,
    pub to: Private,
    pub since: Millis,
}

/// How far the opt-outs were read. The default begins with the oldest.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OptOutCursor {
    pub(crate) shard: usize,
    pub(crate) rev: u64,
}

/// Opt-outs in the order in which they came, shard by shard.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct OptOuts {
    pub opted_out: Vec<OptedOut>,
    pub cursor: OptOutCursor,
    pub more: bool,
}

impl fmt::Debug for OptOuts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OptOuts")
            .field("opted_out", &self.opted_out.len())
            .field("more", &self.more)
            .finish_non_exhaustive()
    }
}

/// A revision is made of its time; see `next_token`.
pub(crate) fn since(rev: u64) -> Millis {
    (rev >> 11) as Millis
}

/// The first revision that can be of that time.
pub(crate) fn first_rev(at: Millis) -> i64 {
    at.saturating_mul(1 << 11)
}

/// Values are not quoted: they are private.
pub(crate) fn check(call: &'static str, extension: Option<&str>, numbers: &[&Private]) -> Result<(), StoreError> {
    let refused = |reason| Err(StoreError::Refused { call, reason });
    if extension.is_some_and(|name| name.is_empty() || name.len() > 64 || name.contains('\0')) {
        return refused("the extension must have 1 to 64 bytes, none of them zero".to_owned());
    }
    match numbers
        .iter()
        .map(|number| number.expose())
        .find(|n| n.is_empty() || n.len() > MAX_NUMBER_BYTES || n.contains('\0'))
    {
        Some(bad) => refused(format!("a number has {} bytes or a zero byte: use 1 to {MAX_NUMBER_BYTES}", bad.len())),
        None => Ok(()),
    }
}

pub(crate) fn limit(asked: u32) -> usize {
    (asked as usize).clamp(1, MAX_BATCH)
}
