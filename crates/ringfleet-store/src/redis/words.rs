//! A message's text as its record holds it: as it is, or shorter by the Huffman code of HTTP/2 (RFC 7541, appendix B), whose
//! letters of English take 5 to 8 bits.
//!
//! A queued text is most of what it takes in Redis. 300 letters become about 220 bytes, which brings a record into a smaller
//! size of the allocator.

use std::borrow::Cow;

use httlib_huffman::{DecoderSpeed, decode, encode};

/// Stands before a coded text. UTF-8 has no such byte, so that no text begins with it.
const CODED: u8 = 0xff;

/// The shorter of both forms; nothing of nothing, which says that a message has no text.
pub(super) fn pack(text: &str) -> Cow<'_, [u8]> {
    let mut coded = Vec::with_capacity(text.len() + 1);
    coded.push(CODED);
    // What the code has no letter for, or makes longer, stays as it is.
    match encode(text.as_bytes(), &mut coded) {
        Ok(()) if coded.len() < text.len() => coded.into(),
        _ => text.as_bytes().into(),
    }
}

/// The text, or `None` if these bytes are none.
pub(super) fn unpack(raw: &[u8]) -> Option<String> {
    let Some((&CODED, coded)) = raw.split_first() else { return String::from_utf8(raw.to_vec()).ok() };
    // No letter takes less than 5 bits.
    let mut text = Vec::with_capacity(coded.len() * 8 / 5);
    decode(coded, &mut text, DecoderSpeed::FourBits).ok()?;
    // SEND-SAFETY: a customer gets these letters. Bytes of which some letters were lost or turned must not pass for a text:
    // what is read is what would be written.
    let text = String::from_utf8(text).ok()?;
    (*pack(&text) == *raw).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REMINDER: &str = "Dear Mrs. Miller, this is a reminder of your appointment with Dr. Brown on Monday, 7 December 2026 at \
                            10:30 AM. Please reply C to confirm or call us at (650) 555-0123 to reschedule.";

    #[test]
    fn a_reminder_takes_less_than_three_quarters() {
        let packed = pack(REMINDER);
        assert_eq!(unpack(&packed).as_deref(), Some(REMINDER));
        assert!(packed.len() * 4 < REMINDER.len() * 3, "{} bytes of {}", packed.len(), REMINDER.len());
    }

    /// Stores of before hold such texts, and those that the code would make longer.
    #[test]
    fn a_text_as_it_is_is_read_as_it_is() {
        assert_eq!(*pack(""), *b"");
        for text in ["", "a", "~", "Ваш визит завтра", "明日の予約", "👋🏽"] {
            assert_eq!(unpack(text.as_bytes()).as_deref(), Some(text));
            assert_eq!(unpack(&pack(text)).as_deref(), Some(text));
            assert!(pack(text).len() <= text.len());
        }
    }

    #[test]
    fn bytes_that_no_text_becomes_are_no_text() {
        // A code that no letter has, the end of a text that is none, and a code for a text that is shorter as it is.
        for raw in [&[CODED][..], &[CODED, 0xff, 0xff, 0xff, 0xff], &[CODED, 0], &[CODED, 0x07], &[0xfe], b"caf\xe9"] {
            assert_eq!(unpack(raw), None, "{raw:x?}");
        }
        // Of every letter that is turned into another one, the text tells.
        let packed = pack(REMINDER).into_owned();
        for at in 0..packed.len() * 8 {
            let mut turned = packed.clone();
            turned[at / 8] ^= 1 << (at % 8);
            assert_ne!(unpack(&turned).as_deref(), Some(REMINDER));
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in any::<String>()) {
            prop_assert_eq!(unpack(&pack(&text)), Some(text));
        }

        #[test]
        fn every_text_of_common_letters_comes_back(text in "[ -~\n]{0,500}") {
            prop_assert_eq!(unpack(&pack(&text)), Some(text));
        }

        #[test]
        fn no_bytes_panic_or_pass_for_what_another_text_becomes(raw in prop::collection::vec(any::<u8>(), 0..80), coded in any::<bool>()) {
            let mut raw = raw;
            if coded { raw.insert(0, CODED); }
            if let Some(text) = unpack(&raw) {
                prop_assert!(raw == text.as_bytes() || raw == *pack(&text));
            }
        }
    }
}
