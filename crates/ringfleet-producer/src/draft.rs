//! What somebody wrote, before anything is checked.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny},
};

/// One message as it came in. All fields are raw text; [`crate::Producer::check`] judges them.
///
/// `Debug` tells which fields are set and nothing else: a customer's number may stand in any of them by mistake.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// The sender: an E.164 number of a connected extension, or the extension's number (`102`) or id, if it has one number
    /// that it can text from.
    #[serde(deserialize_with = "text")]
    pub from: String,
    /// The recipient, in E.164.
    #[serde(deserialize_with = "text")]
    pub to: String,
    #[serde(deserialize_with = "text")]
    pub text: String,
    /// Not before this time: RFC 3339 with an offset.
    #[serde(default, deserialize_with = "optional_text")]
    pub send_at: Option<String>,
    /// Not after this time: RFC 3339 with an offset.
    #[serde(default, deserialize_with = "optional_text")]
    pub send_by: Option<String>,
    /// `high`, `normal` or `low`.
    #[serde(default, deserialize_with = "optional_text")]
    pub priority: Option<String>,
    /// What becomes of it when nobody knows whether it was sent: `reconcile`, `hold` or `resend`.
    #[serde(default, deserialize_with = "optional_text")]
    pub on_unknown: Option<String>,
    /// What the producer calls this message, 1 to 200 bytes: the same key with the same content is taken in once.
    #[serde(default, deserialize_with = "optional_text")]
    pub key: Option<String>,
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft")
            .field("text_bytes", &self.text.len())
            .field("send_at", &self.send_at.is_some())
            .field("send_by", &self.send_by.is_some())
            .field("priority", &self.priority.is_some())
            .field("on_unknown", &self.on_unknown.is_some())
            .field("key", &self.key.is_some())
            .finish_non_exhaustive()
    }
}

/// serde's own "invalid type" error quotes the value, and a phone number written without quotation marks is one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Quiet {
    Text(String),
    Other(IgnoredAny),
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Quiet::deserialize(deserializer)? {
        Quiet::Text(text) => Ok(text),
        Quiet::Other(_) => Err(D::Error::custom("expected a string")),
    }
}

fn optional_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Option::<Quiet>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Quiet::Text(text)) => Ok(Some(text)),
        Some(Quiet::Other(_)) => Err(D::Error::custom("expected a string or null")),
    }
}

/// Enough of a refused number to find it in one's own list: the first two and the last two digits, six stars for the
/// rest whatever its length. A short input, or one that is no number at all, shows stars only.
pub(crate) fn masked(raw: &str) -> String {
    const STARS: &str = "******";
    let count = raw.chars().count();
    if count < 8 {
        return STARS.to_owned();
    }
    let shown = |c: char| if c.is_ascii_digit() || c == '+' { c } else { '*' };
    let head = raw.chars().take(2).map(shown);
    let tail = raw.chars().skip(count - 2).map(shown);
    head.chain(STARS.chars()).chain(tail).collect()
}

/// A foreign field or column name, shown only when it can't be a customer's data: a file without a header row has its
/// first recipient where the names should be.
pub(crate) fn shown_name(name: &str) -> &str {
    let plain = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '-';
    if !name.is_empty() && name.len() <= 32 && name.chars().all(plain) { name } else { "(not shown)" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_content() {
        let draft = Draft {
            from: "+15550100001".into(),
            to: "+15550200001".into(),
            text: "canary".into(),
            key: Some("canary-key".into()),
            ..Draft::default()
        };
        let shown = format!("{draft:?}");
        assert!(!shown.contains("555") && !shown.contains("canary"), "{shown}");
    }

    #[test]
    fn a_refused_type_is_not_quoted() {
        let error = serde_json::from_str::<Draft>(r#"{"from":15550100001,"to":"","text":""}"#).unwrap_err();
        assert!(!error.to_string().contains("0100"), "{error}");
        let error = serde_json::from_str::<Draft>(r#"{"from":"","to":"","text":"","key":42424242}"#).unwrap_err();
        assert!(!error.to_string().contains("4242"), "{error}");
        assert!(serde_json::from_str::<Draft>(r#"{"from":"","to":"","text":"","sendat":""}"#).is_err());
    }

    #[test]
    fn masks_hide_the_middle_and_all_of_a_short_one() {
        assert_eq!(masked("+15550100134"), "+1******34");
        assert_eq!(masked("1234567"), "******");
        assert_eq!(masked("Dear Ms Miller"), "**********");
        assert_eq!(shown_name("recipient_name"), "recipient_name");
        assert_eq!(shown_name("+15550100134"), "(not shown)");
    }
}
