//! Identifiers: not secret, but kept apart by type so that they cannot be mixed up.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::serde_text;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("{kind} id is empty")]
    Empty { kind: &'static str },
    #[error("{kind} id has {length} characters; 64 is the most")]
    TooLong { kind: &'static str, length: usize },
    #[error("{kind} id has a character other than a letter, a digit, - or _ at position {position}")]
    Character { kind: &'static str, position: usize },
}

/// RingCentral's schema calls these ids strings; seen are only digits. The character set keeps them safe in a path, a
/// key and a log line. `~` is refused: it means "whoever owns the token", which names nobody.
fn check(kind: &'static str, id: &str) -> Result<(), IdError> {
    if id.is_empty() {
        return Err(IdError::Empty { kind });
    }
    if id.len() > 64 {
        return Err(IdError::TooLong { kind, length: id.chars().count() });
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match id.chars().position(|c| !allowed(c)) {
        Some(index) => Err(IdError::Character { kind, position: index + 1 }),
        None => Ok(()),
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks an id: 1 to 64 ASCII letters, digits, `-` and `_`.
            ///
            /// # Errors
            /// [`IdError`] says what is wrong.
            pub fn try_new(id: &str) -> Result<Self, IdError> {
                check($kind, id)?;
                Ok(Self(id.into()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(id: &str) -> Result<Self, IdError> {
                Self::try_new(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                serde_text::parsed(deserializer)
            }
        }
    };
}

text_id!(
    /// An extension: a RingCentral user, the `owner_id` of its token.
    ExtensionId,
    "extension"
);
text_id!(
    /// A RingCentral account.
    AccountId,
    "account"
);

text_id!(
    /// A phone number of the account, as the provider keeps it; not the number itself.
    PhoneNumberId,
    "phone number"
);
text_id!(
    /// A call of the call log.
    CallId,
    "call"
);
text_id!(
    /// A subscription to events.
    SubscriptionId,
    "subscription"
);

/// The provider's id of a message (documented as int64; events carry it as a string).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ProviderMessageId(i64);

/// Why a value is not a provider's message id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("provider message id is not a positive whole number")]
pub struct ProviderMessageIdError;

impl ProviderMessageId {
    /// # Errors
    /// [`ProviderMessageIdError`] unless the number is positive.
    pub fn try_new(id: i64) -> Result<Self, ProviderMessageIdError> {
        if id > 0 { Ok(Self(id)) } else { Err(ProviderMessageIdError) }
    }

    pub fn get(self) -> i64 {
        self.0
    }
}

impl FromStr for ProviderMessageId {
    type Err = ProviderMessageIdError;

    fn from_str(id: &str) -> Result<Self, ProviderMessageIdError> {
        Self::try_new(id.parse().map_err(|_| ProviderMessageIdError)?)
    }
}

impl fmt::Display for ProviderMessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for ProviderMessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_text::parsed(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_safe_in_a_path() {
        assert_eq!(ExtensionId::try_new("400129284008").expect("valid").as_str(), "400129284008");
        for refused in ["", "~", "1/2", "1 ", "1\n", "é", &"9".repeat(65)] {
            assert!(ExtensionId::try_new(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn ids_come_as_number_or_string() {
        assert_eq!(serde_json::from_str::<ExtensionId>("101").expect("number").as_str(), "101");
        assert_eq!(serde_json::from_str::<ProviderMessageId>("\"1001\"").expect("string").get(), 1001);
        assert_eq!(serde_json::from_str::<ProviderMessageId>("1001").expect("number").get(), 1001);
        for refused in ["0", "-1", "1.5", "\"\"", "null", "9223372036854775808"] {
            assert!(serde_json::from_str::<ProviderMessageId>(refused).is_err(), "{refused}");
        }
    }
}
