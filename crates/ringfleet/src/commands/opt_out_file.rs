//! A file of opt-outs: what `opt-out list --show-private --json` writes, or a number a line.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use anyhow::Context;
use ringcentral::{ExtensionId, PhoneNumber};
use ringfleet_producer::opt_out::may_enter;
use ringfleet_store::{OptOut, Private, opt_out::ANY_NUMBER};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

#[derive(PartialEq, Eq, Debug)]
pub(super) struct Entry {
    /// `None` = from every extension.
    pub extension: Option<String>,
    pub change: OptOut,
}

/// # Errors
/// All faults of the file with their lines, and nothing that stands in it.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<Entry>> {
    let mut bytes = Vec::new();
    let from_stdin = file.as_os_str() == "-";
    let read =
        if from_stdin { io::stdin().read_to_end(&mut bytes).map(drop) } else { fs::read(file).map(|all| bytes = all) };
    read.with_context(|| format!("can't read {}", file.display()))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        anyhow::anyhow!("nothing was entered; line {}: no UTF-8", line_after(before))
    })?;
    parse(&text).map_err(|faults| {
        let told: Vec<String> = faults.iter().map(|(line, fault)| format!("\n  line {line}: {fault}")).collect();
        anyhow::anyhow!("nothing was entered; {} to be mended first:{}", faults.len(), told.concat())
    })
}

type Faults = Vec<(usize, String)>;

fn parse(text: &str) -> Result<Vec<Entry>, Faults> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let found = if text.trim_start().starts_with('{') { json(text)? } else { plain(text) };
    let (mut entries, mut faults) = (Vec::new(), Vec::new());
    for (line, entry) in found {
        match entry {
            Ok(entry) => entries.push(entry),
            Err(fault) => faults.push((line, fault)),
        }
    }
    if faults.is_empty() { Ok(entries) } else { Err(faults) }
}

type Found = Vec<(usize, Result<Entry, String>)>;

fn plain(text: &str) -> Found {
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
    lines.map(|(at, line)| (at + 1, whole(line).map(|to| entry(None, Private::new(ANY_NUMBER), to)))).collect()
}

/// SEND-SAFETY: written by hand, and a digit too few stops nothing; see `may_enter`. A list of the fleet's own is taken as it was.
fn whole(line: &str) -> Result<Private, String> {
    let to = phone("the number", line)?;
    let number = PhoneNumber::try_new(to.expose()).map_err(|error| error.to_string())?;
    may_enter(&number).map_err(|_| "the number begins with +1 and has not eleven digits".to_owned())?;
    Ok(to)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    found: usize,
    opt_outs: Vec<Map<String, Value>>,
}

/// One as the list writes it. What is left out is not taken for null: the opt-out would be a wider one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    #[serde(rename = "since")]
    _since: String,
    to: String,
    #[serde(deserialize_with = "there")]
    extension: Option<String>,
    #[serde(deserialize_with = "there")]
    from: Option<String>,
}

fn there<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(value)
}

fn json(text: &str) -> Result<Found, Faults> {
    // The words of an error may quote what stands there.
    let no_list = |error: serde_json::Error| {
        vec![(error.line(), "not what `ringfleet opt-out list --show-private --json` writes".to_owned())]
    };
    let list: List = serde_json::from_str(text).map_err(no_list)?;
    // SEND-SAFETY: whoever imports a list that was cut believes that all of it counts, and the others are texted.
    if list.found != list.opt_outs.len() {
        let fault = format!(
            "it lists {} opt-outs of {}: have it written anew with a larger --limit",
            list.opt_outs.len(),
            list.found
        );
        return Err(vec![(1, fault)]);
    }
    Ok(lines_of(text).into_iter().zip(list.opt_outs.into_iter().map(of_row)).collect())
}

fn of_row(row: Map<String, Value>) -> Result<Entry, String> {
    let row: Row = serde_json::from_value(row.into())
        .map_err(|_| "an opt-out has since, to, extension and from, the last two text or null".to_owned())?;
    let from = row.from.map(|from| phone("from", &from)).transpose()?.unwrap_or_else(|| Private::new(ANY_NUMBER));
    let extension =
        row.extension.map(|id| ExtensionId::try_new(&id).map_err(|_| "extension is no extension's id")).transpose()?;
    Ok(entry(extension.map(|id| id.to_string()), from, phone("to", &row.to)?))
}

fn entry(extension: Option<String>, from: Private, to: Private) -> Entry {
    Entry { extension, change: OptOut { from, to, out: true } }
}

fn phone(what: &str, text: &str) -> Result<Private, String> {
    if text.contains('*') {
        return Err(format!("{what} is shortened: have the list written with --show-private"));
    }
    let number = PhoneNumber::try_new(text).map_err(|error| format!("{what} can't be read: {error}"))?;
    Ok(Private::new(number.expose()))
}

/// The lines on which the objects in the list begin; of JSON that was read already.
fn lines_of(text: &str) -> Vec<usize> {
    let (mut lines, mut line, mut depth, mut quoted, mut escaped) = (Vec::new(), 1, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'\n' => line += 1,
            b'{' | b'[' => {
                depth += 1;
                lines.extend((depth == 3).then_some(line));
            }
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    lines
}

fn line_after(before: &[u8]) -> usize {
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn out(extension: Option<&str>, from: &str, to: &str) -> Entry {
        entry(extension.map(str::to_owned), Private::new(from), Private::new(to))
    }

    fn faults(text: &str) -> Vec<usize> {
        let faults = parse(text).unwrap_err();
        let told = format!("{faults:?}");
        assert!(!told.contains("555") && !told.contains("canary"), "{told}");
        faults.into_iter().map(|(line, _)| line).collect()
    }

    #[test]
    fn each_opt_out_of_a_list_stays_as_narrow_as_it_was() {
        let row = |extension: Value, from: Value| json!({"since": "x", "to": "+15550200001", "extension": extension, "from": from});
        let rows = [
            row(Value::Null, Value::Null),
            row(json!("400100001"), Value::Null),
            row(Value::Null, json!("+15550100001")),
            row(json!("400100001"), json!("+15550100001")),
        ];
        let text = serde_json::to_string_pretty(&json!({"found": 4, "opt_outs": rows})).unwrap();
        let expected =
            [(None, "*"), (Some("400100001"), "*"), (None, "+15550100001"), (Some("400100001"), "+15550100001")];
        assert_eq!(parse(&text).unwrap(), expected.map(|(extension, from)| out(extension, from, "+15550200001")));
    }

    #[test]
    fn a_number_a_line_is_an_opt_out_from_everybody() {
        let text = "\u{feff}+15550200001\r\n\n  +15550200002\n";
        assert_eq!(parse(text).unwrap(), ["+15550200001", "+15550200002"].map(|to| out(None, "*", to)));
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn all_faults_are_told_with_their_lines_and_nothing_that_stands_there() {
        assert_eq!(faults("+15550200001\n5550200002\n\n+1******0003\ncanary\n+1555020000\n"), [2, 4, 5, 6]);
        let good = r#"{"since": "\" {[", "to": "+15550200001", "extension": null, "from": null}"#;
        let bad = [
            r#"{"since": "x", "to": "+15550200001", "extension": null}"#,
            r#"{"since": "x", "to": "+1******0001", "extension": null, "from": null}"#,
            r#"{"since": "x", "to": "canary", "extension": null, "from": null}"#,
            r#"{"since": "x", "to": "+15550200001", "extension": "canary!", "from": null}"#,
            r#"{"since": "x", "to": "+15550200001", "extension": null, "from": null, "canary": 1}"#,
        ];
        let rows = |rows: &[&str]| format!("{{\"found\": {}, \"opt_outs\": [\n{}\n]}}", rows.len(), rows.join(",\n"));
        assert_eq!(parse(&rows(&[good, good])).unwrap().len(), 2);
        assert_eq!(faults(&rows(&[&[good][..], &bad[..]].concat())), [3, 4, 5, 6, 7]);
        assert_eq!(faults(&rows(&[good, bad[0], good, bad[2]])), [3, 5]);
        assert_eq!(faults(&rows(&[good, "5"])), [3]);
        for broken in ["{", "{\"canary\": 5}", r#"{"found": "canary", "opt_outs": []}"#] {
            assert_eq!(faults(broken), [1], "{broken}");
        }
    }

    #[test]
    fn a_list_that_was_cut_is_refused() {
        assert_eq!(
            faults(
                r#"{"found": 2, "opt_outs": [{"since": "x", "to": "+15550200001", "extension": null, "from": null}]}"#
            ),
            [1]
        );
    }
}
