//! The text of a message.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::serde_text;

/// Longest text in UTF-16 code units (documented for `createSMSMessage`; a character outside the BMP counts two).
pub const MAX_TEXT_UTF16: usize = 1000;

/// A text that may be sent: 1 to 1000 UTF-16 code units, not blank, no control characters except tab and line ends.
///
/// `Debug` shows the length only; [`expose`](Self::expose) and `Serialize` give the text, for the wire only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MessageText(Box<str>);

/// Why a text can't be sent. Never holds the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageTextError {
    #[error("message text is empty or blank; give it at least one visible character")]
    Blank,
    #[error("message text has {utf16_len} UTF-16 units; 1000 is the most, so shorten or split it")]
    TooLong { utf16_len: usize },
    #[error("message text has a control character at position {position}; remove it")]
    ControlCharacter { position: usize },
}

impl MessageText {
    /// Checks a text; the same as `str::parse`.
    ///
    /// # Errors
    /// [`MessageTextError`] says what is wrong, without the text.
    pub fn try_new(text: impl Into<String>) -> Result<Self, MessageTextError> {
        let text = text.into();
        let utf16_len = text.encode_utf16().count();
        if utf16_len > MAX_TEXT_UTF16 {
            return Err(MessageTextError::TooLong { utf16_len });
        }
        if text.trim().is_empty() {
            return Err(MessageTextError::Blank);
        }
        let refused = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        if let Some(index) = text.chars().position(refused) {
            return Err(MessageTextError::ControlCharacter { position: index + 1 });
        }
        Ok(Self(text.into_boxed_str()))
    }

    /// The text itself. For the wire; never for a log, a metric or an error.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Length in UTF-16 code units, as the provider counts.
    pub fn utf16_len(&self) -> usize {
        self.0.encode_utf16().count()
    }
}

impl FromStr for MessageText {
    type Err = MessageTextError;

    fn from_str(text: &str) -> Result<Self, MessageTextError> {
        Self::try_new(text)
    }
}

impl fmt::Debug for MessageText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageText({} utf-16 units)", self.utf16_len())
    }
}

impl Serialize for MessageText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MessageText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_text::parsed(deserializer)
    }
}

/// A text as the message store returns it: any length, since sandbox and developer accounts add a prefix.
///
/// `Debug` shows the length only.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
pub struct StoredText(String);

impl StoredText {
    /// The text itself. For comparing; never for a log, a metric or an error.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// So many bytes of its beginning at most, for who has no room for any length. As private as the text itself.
    pub fn beginning(&self, bytes: usize) -> &str {
        let mut end = bytes.min(self.0.len());
        while !self.0.is_char_boundary(end) {
            end -= 1;
        }
        &self.0[..end]
    }
}

impl From<String> for StoredText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for StoredText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredText({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn length_is_counted_in_utf16_units() {
        assert!(MessageText::try_new("a".repeat(1000)).is_ok());
        assert_eq!(MessageText::try_new("a".repeat(1001)), Err(MessageTextError::TooLong { utf16_len: 1001 }));
        assert!(MessageText::try_new("😀".repeat(500)).is_ok());
        assert_eq!(MessageText::try_new("😀".repeat(501)), Err(MessageTextError::TooLong { utf16_len: 1002 }));
    }

    #[test]
    fn blank_and_control_characters_are_refused() {
        assert_eq!(MessageText::try_new(""), Err(MessageTextError::Blank));
        assert_eq!(MessageText::try_new(" \n\u{a0}"), Err(MessageTextError::Blank));
        assert_eq!(MessageText::try_new("a\u{1b}[0m"), Err(MessageTextError::ControlCharacter { position: 2 }));
        assert!(MessageText::try_new("two\r\nlines\tand a tab").is_ok());
    }

    #[test]
    fn debug_shows_the_length_only() {
        let text = MessageText::try_new("canary 😀").expect("valid");
        assert_eq!(format!("{text:?}"), "MessageText(9 utf-16 units)");
        assert_eq!(format!("{:?}", StoredText::from(String::from("canary"))), "StoredText(6 bytes)");
    }

    #[test]
    fn beginning_ends_between_two_characters() {
        let text = StoredText::from(String::from("a😀b"));
        let beginnings: Vec<_> = [0, 1, 4, 5, 6, 100].into_iter().map(|bytes| text.beginning(bytes)).collect();
        assert_eq!(beginnings, ["", "a", "a", "a😀", "a😀b", "a😀b"]);
    }

    proptest! {
        #[test]
        fn accepted_text_survives_json(text in any::<String>()) {
            if let Ok(accepted) = MessageText::try_new(text.clone()) {
                let json = serde_json::to_string(&accepted).expect("a string");
                let back: MessageText = serde_json::from_str(&json).expect("its own output");
                prop_assert_eq!(back.expose(), text.as_str());
            }
        }
    }
}
