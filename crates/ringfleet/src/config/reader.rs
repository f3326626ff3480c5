//! Reads values out of the merged layers and collects every fault on the way, instead of stopping at the first.

use std::{collections::BTreeSet, fmt, net::SocketAddr, path::Path, time::Duration};

use ringfleet_producer::callbacks::CallbackUrl;
use serde_json::Value;

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// `section.key`, or the file.
    pub at: String,
    /// What is wrong, with the value unless it is private, and what to write instead.
    pub problem: String,
}

/// All that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Faults(pub Vec<Fault>);

impl Faults {
    pub(crate) fn one(at: &str, problem: impl Into<String>) -> Self {
        Self(vec![Fault { at: at.to_owned(), problem: problem.into() }])
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.0.len() == 1 { "fault" } else { "faults" };
        write!(f, "the configuration has {} {s}:", self.0.len())?;
        for fault in &self.0 {
            write!(f, "\n  {}: {}", fault.at, fault.problem)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Keys whose values are never shown.
const SECRETS: [&str; 5] =
    ["ringcentral.client_secret", "identity.key", "api.keys", "api.read_keys", "connect.operator_keys"];

pub(super) struct Reader<'a> {
    tree: &'a Value,
    faults: Vec<Fault>,
}

/// Runs `build` over the tree. Its value counts only when nothing was at fault.
pub(super) fn read<T>(tree: &Value, known: &Value, build: fn(&mut Reader<'_>) -> Option<T>) -> Result<T, Faults> {
    let mut reader = Reader::new(tree);
    let known = names(known);
    for (key, _) in leaves(tree) {
        if !known.contains(&key) {
            reader.fault(&key, "there is no such setting; `ringfleet config show` lists them all");
        }
    }
    let value = build(&mut reader);
    match value {
        Some(value) if reader.faults.is_empty() => Ok(value),
        _ => Err(Faults(reader.faults)),
    }
}

pub(super) fn names(tree: &Value) -> BTreeSet<String> {
    leaves(tree).into_iter().map(|(key, _)| key).collect()
}

/// Every setting as `section.key` with its value, in order.
fn leaves(tree: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for (section, keys) in tree.as_object().into_iter().flatten() {
        match keys.as_object() {
            Some(keys) => found.extend(keys.iter().map(|(key, value)| (format!("{section}.{key}"), value))),
            None => found.push((section.clone(), keys)),
        }
    }
    found
}

/// `known` has the settings that there are. What is not certain to be no secret is not shown.
pub(super) fn show(tree: &Value, known: &Value) -> String {
    let known = names(known);
    let mut lines = String::new();
    let mut last = String::new();
    for (key, value) in leaves(tree) {
        let (section, name) = key.split_once('.').unwrap_or(("", &key));
        if section != last {
            lines.push_str(&format!("{}[{section}]\n", if last.is_empty() { "" } else { "\n" }));
            last = section.to_owned();
        }
        let secret = SECRETS.contains(&key.as_str());
        let shown = match value {
            // A secret whose name was misspelt stands under a name that is none.
            _ if !known.contains(&key) => "[not shown: there is no such setting]".to_owned(),
            Value::String(text) if secret => if text.is_empty() { "[unset]" } else { "[set]" }.to_owned(),
            _ if secret => "[set]".to_owned(),
            // Addresses with their passwords may have been written as a list.
            Value::Array(_) | Value::Object(_) => "[not shown: must be text]".to_owned(),
            // Whoever mistook the setting wrote there what belongs into the file.
            Value::String(text) if key.ends_with("_file") && !text.is_empty() && !Path::new(text.trim()).exists() => {
                "[not shown: no file of that name can be seen]".to_owned()
            }
            // A password in a URL is as private as any.
            Value::String(text) if key == "store.url" => format!("{:?}", without_password(text)),
            // Its path and its query may be a key.
            Value::String(text) if key == "callbacks.url" && !text.trim().is_empty() => {
                CallbackUrl::try_new(text.trim())
                    .map_or_else(|_| "[not shown]".to_owned(), |url| format!("{:?}", url.to_string()))
            }
            other => other.to_string(),
        };
        lines.push_str(&format!("{name} = {shown}\n"));
    }
    lines
}

/// `redis://user:secret@host` → `redis://[redacted]@host`, for each address of a list. A comma after which no other
/// address begins stands in a password, and must not end it.
pub(crate) fn without_password(urls: &str) -> String {
    if urls.starts_with("sqlite:") {
        return urls.to_owned();
    }
    let mut addresses: Vec<String> = Vec::new();
    for part in urls.split(',') {
        match addresses.last_mut().filter(|_| !is_redis(part)) {
            Some(before) => *before += &format!(",{part}"),
            None => addresses.push(part.to_owned()),
        }
    }
    let hide = |url: &String| {
        let start = url.find("://").map_or(0, |at| at + 3);
        match url.rfind('@') {
            Some(at) if start <= at => format!("{}[redacted]{}", &url[..start], &url[at..]),
            _ => url.clone(),
        }
    };
    addresses.iter().map(hide).collect::<Vec<_>>().join(",")
}

/// Whether an address of a Redis begins here.
pub(super) fn is_redis(url: &str) -> bool {
    ["redis://", "rediss://"].iter().any(|start| url.trim_start().starts_with(start))
}

impl<'a> Reader<'a> {
    pub(super) fn new(tree: &'a Value) -> Self {
        Self { tree, faults: Vec::new() }
    }

    pub(super) fn fault(&mut self, at: &str, problem: impl Into<String>) {
        self.faults.push(Fault { at: at.to_owned(), problem: problem.into() });
    }

    fn value(&self, key: &str) -> &Value {
        let (section, name) = key.split_once('.').unwrap_or(("", key));
        &self.tree[section][name]
    }

    /// Text as it stands, or as the environment gave it.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        match self.value(key) {
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => {
                self.fault(key, "must be text");
                None
            }
        }
    }

    pub(super) fn number(&mut self, key: &str, least: u64, most: u64) -> Option<u64> {
        let text = self.text(key)?;
        match text.parse::<u64>() {
            Ok(number) if (least..=most).contains(&number) => Some(number),
            _ => {
                self.fault(key, format!("is {text:?}, must be a whole number from {least} to {most}"));
                None
            }
        }
    }

    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        let text = self.text(key)?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => Some(true),
            "false" | "no" | "0" => Some(false),
            _ => {
                self.fault(key, format!("is {text:?}, must be true or false"));
                None
            }
        }
    }

    pub(super) fn duration(&mut self, key: &str, least: Duration, most: Duration) -> Option<Duration> {
        let text = self.text(key)?;
        let parsed = parse_duration(&text).filter(|duration| (least..=most).contains(duration));
        if parsed.is_none() {
            self.fault(
                key,
                format!("is {text:?}, must be a duration from {least:?} to {most:?}, written like \"500ms\", \"15s\", \"10m\""),
            );
        }
        parsed
    }

    pub(super) fn address(&mut self, key: &str) -> Option<SocketAddr> {
        let text = self.text(key)?;
        match text.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                self.fault(key, format!("is {text:?}, must be an address and port such as 127.0.0.1:8480"));
                None
            }
        }
    }

    /// Parses `key` with `parse`; its error becomes the fault.
    pub(super) fn parsed<T, E: fmt::Display>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(key)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(key, error.to_string());
                None
            }
        }
    }
}

/// `"500ms"`, `"15s"`, `"10m"`, `"24h"`, `"7d"`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(at);
    let number: f64 = number.trim().parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0 && *n < 1e9)?;
    let seconds = match unit.trim() {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Some(Duration::from_secs_f64(number * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("1.5s"), Some(Duration::from_millis(1_500)));
        assert_eq!(parse_duration("7d"), Some(Duration::from_secs(604_800)));
        assert_eq!(parse_duration("10"), None);
        assert_eq!(parse_duration("-1s"), None);
    }

    #[test]
    fn a_password_in_a_url_is_hidden() {
        assert_eq!(without_password("redis://u:canary@h:1/0,redis://h"), "redis://[redacted]@h:1/0,redis://h");
        for (url, shown) in [
            ("redis://u:can,ary@h:1/0", "redis://[redacted]@h:1/0"),
            ("rediss://u:can,ary@a, rediss://:c@n/ary@b", "rediss://[redacted]@a, rediss://[redacted]@b"),
            ("redis://a,u:canary@b", "redis://[redacted]@b"),
            ("u:canary@h", "[redacted]@h"),
            ("sqlite:/a@b,c.db", "sqlite:/a@b,c.db"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
