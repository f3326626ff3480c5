//! Words of the provider that may be logged.

use std::fmt;

use serde::Deserializer;

use crate::serde_text;

const MAX_BYTES: usize = 48;
/// No known code has more. A telephone number has seven or more, a code to sign in with mostly six.
const MAX_DIGITS: usize = 4;

/// A short word that the provider wrote, such as `MSG-304`, `FeatureNotAvailable` or `to.phoneNumber`: it begins with a
/// letter and has only ASCII letters, digits and `-_.[]`, 48 bytes and four digits in all at most. A phone number that
/// strays into the field can't pass, nor can a text with a space in it, nor a token that is longer; so a label may stand
/// in a log. It is no proof: a single word, or a few that are joined by dashes, would pass.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(Box<str>);

impl Label {
    /// `None` if the text is not such a word.
    pub fn try_new(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.[]".contains(&byte);
        let sound = text.len() <= MAX_BYTES
            && text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.bytes().all(allowed)
            && text.bytes().filter(u8::is_ascii_digit).count() <= MAX_DIGITS;
        sound.then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it has the shape of a numbered code: capitals, a dash, digits (`SMS-RC-413` too).
    pub(crate) fn is_numbered(&self) -> bool {
        self.0.rsplit_once('-').is_some_and(|(family, number)| {
            let capitals = family.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
            capitals && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a label leniently: anything that is not one becomes `None` instead of failing the whole answer.
pub(crate) fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Label>, D::Error> {
    let text: Option<String> = serde_text::lenient(deserializer)?;
    Ok(text.as_deref().and_then(Label::try_new))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codes_and_names_pass_private_values_do_not() {
        for word in ["MSG-304", "FeatureNotAvailable", "invalid_grant", "to[0].phoneNumber", "SMS-RC-413"] {
            assert_eq!(Label::try_new(word).expect(word).as_str(), word);
        }
        let long = "A".repeat(49);
        for word in ["", "+15550100123", "15550100123", "n15550100123", "Hi there", "a\nb", "café", "<html>", &long] {
            assert_eq!(Label::try_new(word), None, "{word}");
        }
    }

    #[test]
    fn digits_are_counted_over_the_whole_word() {
        for word in ["n1-555-020-0001", "Meet-me-at-9.Door-code-1234", "n1.5.5.5.0", "code-123456"] {
            assert_eq!(Label::try_new(word), None, "{word}");
        }
        assert!(Label::try_new("SMS-A2P-413").is_some() && Label::try_new("ABC-1234").is_some());
    }

    #[test]
    fn numbered_codes_are_told_from_names() {
        let numbered = |word: &str| Label::try_new(word).expect(word).is_numbered();
        assert!(numbered("MSG-304") && numbered("SMS-RC-413"));
        assert!(!numbered("TokenInvalid") && !numbered("invalid-grant") && !numbered("MSG-"));
    }

    proptest! {
        #[test]
        fn accepted_words_stay_on_one_short_line(text in any::<String>()) {
            if let Some(label) = Label::try_new(&text) {
                prop_assert!(label.as_str().len() <= MAX_BYTES);
                prop_assert!(label.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }
}
