//! Telephone numbers in E.164 form.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::serde_text;

/// Fewest and most digits of a number (ITU-T E.164 allows 15; fewer than 7 is a short code, which RingCentral refuses).
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// A telephone number in strict E.164: `+`, then 7 to 15 ASCII digits of which the first is 1–9, and nothing else.
///
/// `Debug` and `Display` show `+1******0123`; [`expose`](Self::expose) gives the whole number, for the wire only.
/// `Serialize` exposes it too.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PhoneNumber(Box<str>);

/// Why a text is not an E.164 number. Never holds the number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PhoneNumberError {
    #[error("phone number is empty; write it as + and digits, like +15550100123")]
    Empty,
    #[error("phone number has no leading +; write the country code in front, like +1")]
    NoPlus,
    #[error("phone number has something other than a digit at position {position}; leave out blanks and brackets")]
    NotADigit { position: usize },
    #[error("phone number begins with 0 after the +; a country code never does")]
    LeadingZero,
    #[error("phone number has {digits} digits; it needs 7 to 15")]
    Length { digits: usize },
}

impl PhoneNumber {
    /// Parses strict E.164; the same as `str::parse`.
    ///
    /// # Errors
    /// [`PhoneNumberError`] says what is wrong, without the number.
    pub fn try_new(number: &str) -> Result<Self, PhoneNumberError> {
        let digits = match number.strip_prefix('+') {
            Some(digits) => digits,
            None if number.is_empty() => return Err(PhoneNumberError::Empty),
            None => return Err(PhoneNumberError::NoPlus),
        };
        // Only ASCII passes: full-width digits and right-to-left marks have confused number parsers before.
        if let Some(index) = digits.bytes().position(|byte| !byte.is_ascii_digit()) {
            return Err(PhoneNumberError::NotADigit { position: index + 2 });
        }
        if !DIGITS.contains(&digits.len()) {
            return Err(PhoneNumberError::Length { digits: digits.len() });
        }
        if digits.starts_with('0') {
            return Err(PhoneNumberError::LeadingZero);
        }
        Ok(Self(number.into()))
    }

    /// Normalises a number that the provider wrote: formatted (`(555) 010-0123`), or without `+`.
    ///
    /// Documented: numbers in message records "usually" are plain, but may come formatted or without the plus. Ten
    /// digits of North American shape get `+1`. Since a foreign number without its plus can have that shape too, compare
    /// with [`is_written`](Self::is_written) rather than with `==` where a wrong "no" would cost something.
    ///
    /// # Errors
    /// [`PhoneNumberError`] if no E.164 number remains, as for a short code or an extension number.
    pub fn from_provider(written: &str) -> Result<Self, PhoneNumberError> {
        let digits = digits_of(written)?;
        let international = written.trim_start().starts_with('+');
        if !international && is_north_american(&digits) {
            return Self::try_new(&format!("+1{digits}"));
        }
        Self::try_new(&format!("+{digits}"))
    }

    /// Whether what the provider wrote can mean this number: same digits, with or without plus, formatting and, for
    /// North American numbers, the leading 1.
    pub fn is_written(&self, written: &str) -> bool {
        let Ok(digits) = digits_of(written) else { return false };
        let own = &self.0[1..];
        own == digits || own.strip_prefix('1').is_some_and(|national| is_north_american(national) && national == digits)
    }

    /// The whole number. For the wire; never for a log, a metric or an error.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The digits of a formatted number; other characters than the usual separators are refused.
fn digits_of(written: &str) -> Result<String, PhoneNumberError> {
    let mut digits = String::with_capacity(written.len().min(32));
    for (index, character) in written.trim().chars().enumerate() {
        match character {
            '0'..='9' => digits.push(character),
            '+' if index == 0 => {}
            ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}' => {}
            _ => return Err(PhoneNumberError::NotADigit { position: index + 1 }),
        }
    }
    if digits.is_empty() {
        return Err(PhoneNumberError::Empty);
    }
    Ok(digits)
}

/// Ten digits whose area code and exchange begin with 2–9 (North American Numbering Plan). Exchanges such as the
/// fictional 010 are let through, because examples and simulators use them.
fn is_north_american(digits: &str) -> bool {
    digits.len() == 10 && digits.as_bytes()[0] >= b'2'
}

impl FromStr for PhoneNumber {
    type Err = PhoneNumberError;

    fn from_str(number: &str) -> Result<Self, PhoneNumberError> {
        Self::try_new(number)
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of a short number even four digits would be half of it.
        let shown = if self.0.len() > 10 { 4 } else { 2 };
        let hidden = self.0.len() - 2 - shown;
        write!(f, "{}{}{}", &self.0[..2], "*".repeat(hidden), &self.0[2 + hidden..])
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for PhoneNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PhoneNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_text::parsed(deserializer)
    }
}

/// A number as the provider wrote it. `Debug` shows its length only.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct WrittenNumber(Box<str>);

impl WrittenNumber {
    /// Whether it means this number; see [`PhoneNumber::is_written`]. `None` if that can't be told: it has characters that are
    /// not of a number, or no more than its last seven digits in common, as a national form has.
    pub fn means(&self, number: &PhoneNumber) -> Option<bool> {
        // SEND-SAFETY: a number that is taken for another one hides a text that was sent.
        let digits = digits_of(&self.0).ok()?;
        let last = &number.0[number.0.len() - DIGITS.start()..];
        match number.is_written(&self.0) {
            true => Some(true),
            false if digits.ends_with(last) => None,
            false => Some(false),
        }
    }

    /// In E.164, if it is such a number; see [`PhoneNumber::from_provider`].
    pub fn normalised(&self) -> Option<PhoneNumber> {
        PhoneNumber::from_provider(&self.0).ok()
    }

    /// All numbers that it can mean, the likeliest first: ten digits without plus may be a North American number, and a
    /// foreign one with its country code.
    pub fn readings(&self) -> Vec<PhoneNumber> {
        let Some(likely) = self.normalised() else { return Vec::new() };
        let international = digits_of(&self.0).and_then(|digits| PhoneNumber::try_new(&format!("+{digits}"))).ok();
        let other = international.filter(|other| *other != likely && !self.0.trim_start().starts_with('+'));
        [Some(likely), other].into_iter().flatten().collect()
    }
}

impl fmt::Debug for WrittenNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrittenNumber({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_strict_e164_is_accepted() {
        let accepted = ["+15550100123", "+4420790", "+3725551234", "+123456789012345"];
        for number in accepted {
            assert!(PhoneNumber::try_new(number).is_ok(), "{number}");
        }
        let refused = [
            "",
            "+",
            "15550100123",
            "+05550100123",
            "+123456",
            "+1234567890123456",
            "+1 5550100123",
            " +15550100123",
            "+15550100123\n",
            "+1555０100123",
            "+1555\u{200f}0100123",
            ".;phone-context=",
            "+dwPAA;phone-context=AA",
        ];
        for number in refused {
            assert!(PhoneNumber::try_new(number).is_err(), "{number}");
        }
    }

    #[test]
    fn printing_never_shows_the_whole_number() {
        let number = PhoneNumber::try_new("+15550100123").expect("valid");
        assert_eq!(format!("{number}"), "+1******0123");
        assert_eq!(format!("{number:?}"), "+1******0123");
        assert_eq!(PhoneNumber::try_new("+1234567").expect("valid").to_string(), "+1****67");
    }

    #[test]
    fn refusal_never_repeats_the_number() {
        let error = PhoneNumber::try_new("15550100123").expect_err("no plus");
        assert!(!format!("{error} {error:?}").contains("0100"));
        let json = serde_json::from_str::<PhoneNumber>("15550100123").expect_err("a number, not a string");
        assert!(!json.to_string().contains("0100"), "{json}");
    }

    #[test]
    fn provider_forms_are_normalised() {
        let ours = PhoneNumber::try_new("+15550100123").expect("valid");
        for written in
            ["+15550100123", "15550100123", "5550100123", "(555) 010-0123", "+1 (555) 010-0123", " 1.555.010.0123 "]
        {
            assert_eq!(PhoneNumber::from_provider(written).as_ref(), Ok(&ours), "{written}");
            assert!(ours.is_written(written), "{written}");
        }
        assert!(!ours.is_written("+445550100123"));
        assert!(PhoneNumber::from_provider("101").is_err(), "an extension number");
    }

    #[test]
    fn foreign_number_without_plus_still_matches() {
        let estonian = PhoneNumber::try_new("+3725551234").expect("valid");
        assert!(estonian.is_written("3725551234"));
    }

    #[test]
    fn a_number_is_another_one_only_if_it_can_be_read_and_ends_otherwise() {
        let british = PhoneNumber::try_new("+447911123456").expect("valid");
        let means = |written: &str| WrittenNumber(written.into()).means(&british);
        for written in ["+447911123456", "447911123456", "+44 (7911) 123-456"] {
            assert_eq!(means(written), Some(true), "{written}");
        }
        for written in
            ["07911 123456", "+44 (0)7911 123456", "+27911123456", "+447911123456 ext. 2", "\u{200e}447911", ""]
        {
            assert_eq!(means(written), None, "{written}");
        }
        for written in ["+447911123457", "07911 123457", "123456", "83675"] {
            assert_eq!(means(written), Some(false), "{written}");
        }
        assert_eq!(
            WrittenNumber("234567".into()).means(&PhoneNumber::try_new("+1234567").expect("valid")),
            Some(false)
        );
    }

    #[test]
    fn only_ten_digits_without_plus_have_two_readings() {
        let readings = |written: &str| -> Vec<String> {
            let all = WrittenNumber(written.into()).readings();
            all.iter().map(|number| number.expose().to_owned()).collect()
        };
        assert_eq!(readings("4722334455"), ["+14722334455", "+4722334455"]);
        assert_eq!(readings("(472) 233-4455"), ["+14722334455", "+4722334455"]);
        for written in ["+4722334455", "+47 22 33 44 55"] {
            assert_eq!(readings(written), ["+4722334455"], "{written}");
        }
        for written in ["14722334455", "+14722334455", "1 (472) 233-4455"] {
            assert_eq!(readings(written), ["+14722334455"], "{written}");
        }
        assert!(readings("83675").is_empty() && readings("anonymous").is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_panic_and_kept_exactly(text in "\\PC{0,20}|\\+?[0-9 ()+-]{0,20}") {
            if let Ok(number) = PhoneNumber::try_new(&text) {
                prop_assert_eq!(number.expose(), text.as_str());
                prop_assert_eq!(number.to_string().len(), text.len());
                prop_assert!(number.is_written(&text));
            }
            let _ = PhoneNumber::from_provider(&text);
        }
    }
}
