//! How both stores write down what a call names: times and words.

use std::time::Duration;

use crate::message::Millis;

/// Milliseconds; what is too long for a number is longer than any time.
pub(crate) fn millis(duration: Duration) -> Millis {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

/// Reasons and codes: short, and without the sign that parts the fields of a note.
pub(crate) fn short(word: &str) -> String {
    word.chars().filter(|c| !c.is_control() && *c != '|').take(120).collect()
}
