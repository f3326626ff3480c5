//! In how many segments a text goes over the air: each of them is counted, and paid for.

use serde::{Serialize, Serializer};

/// The basic table of GSM 03.38, of one septet each.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
                     abcdefghijklmnopqrstuvwxyzäöñüà";
/// Its extension: an escape and one more septet.
const EXTENDED: &str = "\u{c}^{}\\[~]|€";

/// Units of a text that is one segment, and of each of several: their numbering takes room.
const SEPTETS: [u32; 2] = [160, 153];
const UTF16_UNITS: [u32; 2] = [70, 67];

/// What a text comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segments {
    pub count: u32,
    /// The first character that GSM-7 has not: for its sake all of them take two bytes, and fewer go into a segment.
    pub outside_gsm7: Option<char>,
}

impl Segments {
    /// Of a text as it stands: what a carrier puts in place of characters that it does not know is not counted.
    pub fn of(text: &str) -> Self {
        match text.chars().find(|c| septets(*c).is_none()) {
            None => Self { count: parts(text.chars().filter_map(septets), SEPTETS), outside_gsm7: None },
            // No character is torn in two.
            outside => {
                Self { count: parts(text.chars().map(|c| c.len_utf16() as u32), UTF16_UNITS), outside_gsm7: outside }
            }
        }
    }
}

fn septets(c: char) -> Option<u32> {
    if BASIC.contains(c) {
        return Some(1);
    }
    EXTENDED.contains(c).then_some(2)
}

fn parts(units: impl Iterator<Item = u32> + Clone, [alone, each]: [u32; 2]) -> u32 {
    if units.clone().sum::<u32>() <= alone {
        return 1;
    }
    let (mut count, mut filled) = (1, 0);
    for unit in units {
        if filled + unit > each {
            (count, filled) = (count + 1, 0);
        }
        filled += unit;
    }
    count
}

/// Where a file first has such a character.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct OutsideGsm7 {
    /// On which its row begins.
    pub line: u64,
    /// As `U+2019`, since many of them can't be told by eye.
    #[serde(serialize_with = "code_point")]
    pub character: char,
}

fn code_point<S: Serializer>(c: &char, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("U+{:04X}", u32::from(*c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> u32 {
        Segments::of(text).count
    }

    #[test]
    fn gsm7_takes_160_septets_alone_and_153_in_each_of_several() {
        for (septets, segments) in [(1, 1), (160, 1), (161, 2), (306, 2), (307, 3), (459, 3), (460, 4)] {
            assert_eq!(count(&"a".repeat(septets)), segments, "{septets}");
        }
        assert_eq!(Segments::of("Grüße, Señor @ £5\r\nΩ"), Segments { count: 1, outside_gsm7: None });
    }

    #[test]
    fn a_character_of_the_extension_takes_two_septets_that_are_not_torn() {
        assert_eq!((count(&"€".repeat(80)), count(&"[".repeat(81))), (1, 2));
        // Of 153 septets the last one stays empty: 76 to a segment.
        assert_eq!((count(&"€".repeat(152)), count(&"€".repeat(153))), (2, 3));
        assert_eq!(Segments::of("^{}\\[~]|€").outside_gsm7, None);
    }

    #[test]
    fn one_character_outside_makes_it_70_units_alone_and_67_in_each_of_several() {
        for (units, segments) in [(1, 1), (70, 1), (71, 2), (134, 2), (135, 3)] {
            let text = "a".repeat(units - 1) + "\u{2019}";
            assert_eq!(Segments::of(&text), Segments { count: segments, outside_gsm7: Some('\u{2019}') }, "{units}");
        }
        assert_eq!((count(&"😀".repeat(35)), count(&"😀".repeat(36))), (1, 2));
        // 33 whole ones to a segment.
        assert_eq!((count(&"😀".repeat(66)), count(&"😀".repeat(67))), (2, 3));
        assert_eq!(Segments::of("ç \u{2019}").outside_gsm7, Some('ç'), "only the capital one has a place in the table");
    }

    #[test]
    fn the_table_has_128_places_less_the_escape() {
        assert_eq!((BASIC.chars().count(), EXTENDED.chars().count()), (127, 10));
    }
}
