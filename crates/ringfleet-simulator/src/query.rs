//! Pairs of a query string or a form body.
//!
//! The Python client sends `phoneNumber=+1555…` unescaped in queries, so a `+` there is a plus sign; in form bodies it is a space.

use std::borrow::Cow;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plus {
    IsPlus,
    IsSpace,
}

#[derive(Debug, Default)]
pub(crate) struct Pairs<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Pairs<'a> {
    pub(crate) fn parse(raw: &'a str, plus: Plus) -> Self {
        Self(
            raw.split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (decode(name, plus), decode(value, plus)))
                .collect(),
        )
    }

    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_ref())
    }

    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone().into_owned()).collect()
    }

    /// Whether a record with this value is asked for: nobody asked, or somebody for this one. Array parameters come as repeated
    /// keys (documented).
    pub(crate) fn wants(&self, name: &str, value: &str) -> bool {
        let mut asked = self.0.iter().filter(|(key, _)| key == name).peekable();
        asked.peek().is_none() || asked.any(|(_, one)| one == value)
    }
}

/// Percent-encodes all but the unreserved characters (RFC 3986), so that the value is safe in any part of a URL.
pub(crate) fn encode(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for byte in raw.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn decode(raw: &str, plus: Plus) -> Cow<'_, str> {
    let spaces = plus == Plus::IsSpace && raw.contains('+');
    if !raw.contains('%') && !spaces {
        return Cow::Borrowed(raw);
    }
    let bytes = raw.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let escaped = (bytes[i] == b'%')
            .then(|| bytes.get(i + 1..i + 3))
            .flatten()
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match escaped {
            Some(byte) => {
                out.push(byte);
                i += 3;
            }
            None => {
                out.push(if spaces && bytes[i] == b'+' { b' ' } else { bytes[i] });
                i += 1;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_plus_is_a_plus_in_queries_and_a_space_in_forms() {
        let raw = "phoneNumber=+15550100001&phoneNumber=%2B1&x=a+b%20c&bad=%zz%";
        let query = Pairs::parse(raw, Plus::IsPlus);
        assert_eq!(query.first("phoneNumber"), Some("+15550100001"));
        assert!(query.wants("phoneNumber", "+1") && !query.wants("phoneNumber", "+2") && query.wants("any", "x"));
        assert_eq!(query.first("x"), Some("a+b c"));
        assert_eq!(query.first("bad"), Some("%zz%"));
        let form = Pairs::parse(raw, Plus::IsSpace);
        assert_eq!(form.first("x"), Some("a b c"));
        assert_eq!(form.first("none"), None);
        let odd = "a b+c&d=é%/?#";
        assert_eq!(Pairs::parse(&format!("x={}", encode(odd)), Plus::IsSpace).first("x"), Some(odd));
    }
}
