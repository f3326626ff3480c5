//! The number that colleagues dial.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use crate::serde_text;

/// An extension's short number, such as `101`: up to eight digits. Not the extension's id, and not a telephone number.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShortNumber(Box<str>);

/// Why a text is not a short number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShortNumberError {
    #[error("extension number is empty")]
    Empty,
    #[error("extension number has {digits} characters; 8 is the most, so this may be a telephone number")]
    TooLong { digits: usize },
    #[error("extension number has something other than a digit at position {position}")]
    NotADigit { position: usize },
}

impl ShortNumber {
    /// Checks a number; the same as `str::parse`.
    ///
    /// # Errors
    /// [`ShortNumberError`] says what is wrong, without the number.
    pub fn try_new(number: &str) -> Result<Self, ShortNumberError> {
        if number.is_empty() {
            return Err(ShortNumberError::Empty);
        }
        if number.len() > 8 {
            return Err(ShortNumberError::TooLong { digits: number.chars().count() });
        }
        match number.chars().position(|c| !c.is_ascii_digit()) {
            Some(index) => Err(ShortNumberError::NotADigit { position: index + 1 }),
            None => Ok(Self(number.into())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ShortNumber {
    type Err = ShortNumberError;

    fn from_str(number: &str) -> Result<Self, ShortNumberError> {
        Self::try_new(number)
    }
}

impl fmt::Display for ShortNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ShortNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ShortNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_text::parsed(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_digits_only() {
        assert_eq!(ShortNumber::try_new("101").expect("valid").as_str(), "101");
        assert_eq!(serde_json::from_str::<ShortNumber>("101").expect("a number").as_str(), "101");
        for refused in ["", "+1", "1 1", "é", "15550100123"] {
            let error = ShortNumber::try_new(refused).expect_err(refused);
            assert!(!format!("{error} {error:?}").contains("5550100"), "{error}");
        }
    }
}
