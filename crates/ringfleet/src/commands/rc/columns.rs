//! Records as cells. What stands where is documented; a field that is missing leaves its cell empty.

use ringcentral::{PhoneNumber, Raw};
use serde_json::Value;

/// One column, and the places of a record where it may stand; `*` means each element of a list. The first place that holds
/// something counts.
pub(super) struct Column {
    pub(super) name: &'static str,
    places: &'static [&'static str],
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Open,
    /// A phone number, or an extension's.
    Number,
    /// What people wrote.
    Text,
}

pub(super) const fn open(name: &'static str, places: &'static [&'static str]) -> Column {
    Column { name, places, kind: Kind::Open }
}

pub(super) const fn number(name: &'static str, places: &'static [&'static str]) -> Column {
    Column { name, places, kind: Kind::Number }
}

pub(super) const fn text(name: &'static str, places: &'static [&'static str]) -> Column {
    Column { name, places, kind: Kind::Text }
}

impl Column {
    /// All of it.
    pub(super) fn full(&self, record: &Raw) -> String {
        self.values(record).join(" ")
    }

    /// All of it, for a spreadsheet: what begins like a formula would be reckoned there, and may be a stranger's. A phone number
    /// begins with a + as well, and stays what it is.
    pub(super) fn inert(&self, record: &Raw) -> String {
        let value = self.full(record);
        let number =
            || matches!(self.kind, Kind::Number) && value.bytes().all(|b| b.is_ascii_digit() || b"+ ".contains(&b));
        if value.starts_with(['=', '+', '-', '@', '\t', '\r']) && !number() { format!("'{value}") } else { value }
    }

    /// As it may be shown to whoever looks over the operator's shoulder.
    pub(super) fn shown(&self, record: &Raw) -> String {
        let shown = self.values(record).into_iter().map(|value| match self.kind {
            Kind::Open => value,
            Kind::Number => shortened(value),
            Kind::Text => length(&value),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    fn values(&self, record: &Raw) -> Vec<String> {
        let found = self.places.iter().map(|place| {
            let mut values = Vec::new();
            collect(record.expose(), place.trim_start_matches('/'), &mut values);
            values
        });
        found.into_iter().find(|values| !values.is_empty()).unwrap_or_default()
    }
}

fn collect(value: &Value, place: &str, values: &mut Vec<String>) {
    let (head, rest) = place.split_once('/').unwrap_or((place, ""));
    match (head, value) {
        ("", Value::String(text)) => values.push(text.clone()),
        ("", Value::Number(_) | Value::Bool(_)) => values.push(value.to_string()),
        ("*", Value::Array(all)) => all.iter().for_each(|one| collect(one, rest, values)),
        (_, Value::Object(fields)) => fields.get(head).into_iter().for_each(|one| collect(one, rest, values)),
        _ => {}
    }
}

/// A phone number loses its middle, an extension's nothing.
fn shortened(value: String) -> String {
    const LONGEST_EXTENSION_NUMBER: usize = 6;
    match PhoneNumber::from_provider(&value) {
        Ok(number) => number.to_string(),
        Err(_) if value.len() <= LONGEST_EXTENSION_NUMBER => value,
        Err(_) => length(&value),
    }
}

fn length(text: &str) -> String {
    format!("[{} characters]", text.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Raw {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_first_place_that_holds_something_counts_and_lists_are_joined() {
        let column = open("to", &["/to/*/phoneNumber", "/to/*/extensionNumber"]);
        let full = |json| column.full(&raw(json));
        assert_eq!(
            full(r#"{"to":[{"phoneNumber":"+15550100001"},{"phoneNumber":"+15550100002"}]}"#),
            "+15550100001 +15550100002"
        );
        assert_eq!(full(r#"{"to":[{"extensionNumber":101}]}"#), "101");
        assert_eq!(full(r#"{"to":{"extensionNumber":101}}"#), "");
        assert_eq!(full(r#"{"to":null}"#), "");
    }

    #[test]
    fn what_a_stranger_wrote_is_no_formula_in_a_spreadsheet_and_a_phone_number_stays_one() {
        let inert = |column: Column, value: &str| column.inert(&raw(&serde_json::json!({ "x": value }).to_string()));
        for formula in ["=HYPERLINK(\"http://x\")", "+1+cmd|x", "-2+3", "@SUM(1)", "\t=1", "\r=1"] {
            for column in [text("x", &["/x"]), open("x", &["/x"]), number("x", &["/x"])] {
                assert_eq!(inert(column, formula), format!("'{formula}"));
            }
        }
        for usual in ["See you = Monday", "'quoted", "", "2026-11-01T00:00:00Z"] {
            assert_eq!(inert(text("x", &["/x"]), usual), usual);
        }
        for numbers in ["+15550100001", "+15550100001 +15550100002", "101"] {
            assert_eq!(inert(number("x", &["/x"]), numbers), numbers);
        }
    }

    #[test]
    fn numbers_are_shortened_texts_are_hidden_and_extension_numbers_are_not() {
        let shown = |column: Column, json| column.shown(&raw(json));
        for written in [r#"{"x":"+15550100001"}"#, r#"{"x":"15550100001"}"#] {
            let told = shown(number("x", &["/x"]), written);
            assert!(told.starts_with("+1") && !told.contains("0100"), "{told}");
        }
        assert_eq!(shown(number("x", &["/x"]), r#"{"x":"101"}"#), "101");
        assert_eq!(shown(number("x", &["/x"]), r#"{"x":"anonymous"}"#), "[9 characters]");
        assert_eq!(shown(text("x", &["/x"]), r#"{"x":"123456"}"#), "[6 characters]");
    }
}
