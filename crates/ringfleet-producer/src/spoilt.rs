//! Numbers as spreadsheets and the clipboard spoil them: what has happened, in words that lead to the mend.

use crate::refusal::Field;

/// The problem and its remedy, of what is no E.164 number; nothing of the number itself.
pub(crate) fn told(field: Field, raw: &str) -> Option<(String, &'static str)> {
    if is_rounded(raw) {
        let remedy = "format the column as text and export again";
        return Some(("a spreadsheet has rounded it and digits are lost".to_owned(), remedy));
    }
    if let Some(sign) = stray_sign(raw) {
        let remedy = "take it out, and what belongs to it behind the number, like +15550100123";
        return Some((format!("{sign} stands before the +"), remedy));
    }
    // A sender of digits alone may be an extension's id.
    if field != Field::To || !(7..=15).contains(&raw.len()) || !is_number(raw) || raw.starts_with('0') {
        return None;
    }
    // Ten digits are a number of North America without its 1, or one from elsewhere.
    Some(match raw.len() {
        10 => ("the + is missing, and perhaps the country code".to_owned(), "write it in front, like +15550100123"),
        _ => ("the + is missing".to_owned(), "write it in front, like +15550100123"),
    })
}

/// `1.55502E+10`, or with a comma where people write one there.
fn is_rounded(raw: &str) -> bool {
    let Some((digits, power)) = raw.split_once(['E', 'e']) else { return false };
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    let is_decimal = match digits.split_once(['.', ',']) {
        Some((whole, rest)) => is_number(whole) && is_number(rest),
        None => is_number(digits),
    };
    is_decimal && is_number(power.strip_prefix('+').unwrap_or(power))
}

/// An apostrophe that makes text of a number, the sign of a formula, a direction mark out of a list of contacts.
fn stray_sign(raw: &str) -> Option<String> {
    let (before, after) = raw.split_once('+')?;
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    // Of anything longer nobody knows what it is, and it may be private.
    if digits < 7 || before.chars().count() > 2 || before.contains(char::is_alphanumeric) {
        return None;
    }
    Some(match before.chars().next()? {
        blank if blank.is_whitespace() => "a blank".to_owned(),
        sign if sign.is_ascii_graphic() => format!("the sign {sign}"),
        unseen => format!("the sign U+{:04X}", u32::from(unseen)),
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
