//! Who wants no texts: kept for each pair of numbers (documented), and for the whole account where the API says so.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::lock;
use super::number::Number;
use crate::clock::Nanos;

/// `optStatus` (documented).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OptStatus {
    OptOut,
    OptIn,
}

/// `source` of a consent (documented).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ConsentSource {
    Recipient,
    Api,
    Upstream,
    Carrier,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Consent {
    pub(crate) status: OptStatus,
    pub(crate) source: ConsentSource,
    pub(crate) at: Nanos,
}

impl OptStatus {
    /// What a text of one of these words, and nothing else, makes of the consent (documented). Case does not matter.
    pub(crate) fn of_keyword(text: &str) -> Option<Self> {
        let is = |words: &[&str]| words.iter().any(|word| text.trim().eq_ignore_ascii_case(word));
        if is(&["STOP", "UNSUBSCRIBE", "QUIT", "CANCEL", "END"]) {
            return Some(Self::OptOut);
        }
        is(&["START", "SUBSCRIBE", "RESUME", "CONTINUE", "UNSTOP"]).then_some(Self::OptIn)
    }
}

/// Consents of one extension's numbers: (own number, the other's).
pub(crate) type PairConsents = HashMap<(Number, Number), Consent>;

/// Consents that hold for all numbers of the account.
#[derive(Default)]
pub(crate) struct AccountConsents {
    /// Read before the lock: most accounts have none, and every send asks.
    any: AtomicBool,
    all: Mutex<HashMap<Number, Consent>>,
}

impl AccountConsents {
    pub(crate) fn set(&self, number: Number, consent: Consent) {
        lock(&self.all).insert(number, consent);
        self.any.store(true, Ordering::Release);
    }

    pub(crate) fn opted_out(&self, number: Number) -> bool {
        self.any.load(Ordering::Acquire)
            && lock(&self.all).get(&number).is_some_and(|consent| consent.status == OptStatus::OptOut)
    }

    pub(crate) fn list(&self) -> Vec<(Number, Consent)> {
        lock(&self.all).iter().map(|(number, consent)| (*number, *consent)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyword_stands_alone() {
        for text in ["STOP", " stop\n", "Unsubscribe", "end"] {
            assert_eq!(OptStatus::of_keyword(text), Some(OptStatus::OptOut), "{text}");
        }
        assert_eq!(OptStatus::of_keyword("unstop"), Some(OptStatus::OptIn));
        for text in ["please stop", "", "stop it", "help"] {
            assert_eq!(OptStatus::of_keyword(text), None, "{text}");
        }
    }
}
