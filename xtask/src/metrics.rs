//! Holds docs/metrics.md and the code together: every metric with its type and its labels, both ways. And its alerts must see
//! a counter's first event.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, Result, ensure};

use crate::files;

/// The macros of the crate `metrics`.
const KINDS: [&str; 3] = ["counter", "gauge", "histogram"];
pub(crate) const DOCUMENT: &str = "docs/metrics.md";

pub(crate) fn check(root: &Path) -> Result<()> {
    let mut counted = BTreeSet::new();
    for file in files::below(&root.join("crates"), "rs")? {
        if file.components().any(|part| part.as_os_str() == "src") {
            let found = in_source(&files::read(&file)?).with_context(|| file.display().to_string())?;
            counted.extend(found);
        }
    }
    let text = files::read(&root.join(DOCUMENT))?;
    let blind = blind_to_the_first_event(&text);
    ensure!(
        blind.is_empty(),
        "{DOCUMENT}: a counter appears with its first event, in which increase sees nothing; add \
         `or sum(X unless X offset W) > 0` to the expressions with\n  {}",
        blind.join("\n  ")
    );
    let documented = in_document(&text);
    let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>().join("\n  ");
    ensure!(
        counted == documented,
        "{DOCUMENT} and the code differ\nonly in the code:\n  {}\nonly in the document:\n  {}",
        only(&counted, &documented),
        only(&documented, &counted)
    );
    Ok(())
}

/// How a metric is written down here: `counter name{label,label}`.
fn shown(kind: &str, name: &str, labels: &BTreeSet<&str>) -> String {
    format!("{kind} {name}{{{}}}", labels.iter().copied().collect::<Vec<_>>().join(","))
}

fn in_source(source: &str) -> Result<Vec<String>> {
    let code: String = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let mut found = Vec::new();
    for kind in KINDS {
        for (at, _) in code.match_indices(&format!("{kind}!(")) {
            let call = arguments(&code[at + kind.len() + 2..]);
            let name = call.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"')).map(|(name, _)| name);
            let name =
                name.with_context(|| format!("{kind}!({call}): the name must be a literal, to be found here"))?;
            let before_arrows = call.rsplit("=>").skip(1);
            let labels =
                before_arrows.filter_map(|part| part.trim_end().strip_suffix('"')?.rsplit('"').next()).collect();
            found.push(shown(kind, name, &labels));
        }
    }
    Ok(found)
}

/// Up to the parenthesis that closes the call.
fn arguments(rest: &str) -> &str {
    let mut depth = 1;
    let end = rest.find(|c| {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth == 0
    });
    &rest[..end.unwrap_or(rest.len())]
}

/// A metric as the document's tables tell it.
pub(crate) struct Row<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) labels: BTreeSet<&'a str>,
    pub(crate) meaning: &'a str,
    /// Told by each process alike, as it is the store that knows.
    pub(crate) of_fleet: bool,
}

/// Rows such as ``| `name` | counter | `label`, `label` | meaning |``.
pub(crate) fn rows(text: &str) -> Vec<Row<'_>> {
    let mut of_fleet = false;
    let rows = text.lines().filter_map(|line| {
        if let Some(section) = line.strip_prefix("## ") {
            of_fleet = section == "Of the whole fleet";
        }
        let mut cells = line.strip_prefix("| `ringfleet_").map(|_| line)?.split('|').skip(1).map(str::trim);
        let (name, kind, labels, meaning) = (cells.next()?, cells.next()?, cells.next()?, cells.next()?);
        let labels = labels.split('`').skip(1).step_by(2).collect();
        Some(Row { name: name.trim_matches('`'), kind, labels, meaning, of_fleet })
    });
    rows.collect()
}

fn in_document(text: &str) -> BTreeSet<String> {
    rows(text).iter().map(|row| shown(row.kind, row.name, &row.labels)).collect()
}

/// Each `increase(X[W])` whose expression does not ask for an X that is new as well.
fn blind_to_the_first_event(text: &str) -> Vec<&str> {
    let name = "increase(";
    let blind = |(at, _): (usize, &str)| {
        let rest = &text[at + name.len()..];
        let call = arguments(rest);
        let (counter, window) = call.strip_suffix(']')?.rsplit_once('[')?;
        let expression = format!("{}{}", text[..at].rsplit('`').next()?, rest.split('`').next()?);
        (!expression.contains(&format!("({counter} unless {counter} offset {window}) > 0"))).then_some(call)
    };
    text.match_indices(name).filter_map(blind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_with_their_labels() {
        let source = r#"
            gauge!("ringfleet_messages", "state" => state.as_str()).set(1.0);
            // counter!("ringfleet_old")
            metrics::counter!(
                "ringfleet_requests_total",
                "status" => status, "route" => route(a)
            ).increment(n("x" => 1));"#;
        assert_eq!(
            in_source(source).unwrap(),
            ["counter ringfleet_requests_total{route,status}", "gauge ringfleet_messages{state}"]
        );
        assert!(in_source("counter!(NAME).increment(1)").is_err());
    }

    #[test]
    fn rows_are_read_from_the_document() {
        let text = "| metric | type |\n|---|---|\n| `ringfleet_a_total` | counter | `b`, `a` | what `ringfleet_x` is |\n\
            | `ringfleet_c` | gauge | – | y |";
        let expected = ["counter ringfleet_a_total{a,b}", "gauge ringfleet_c{}"].map(str::to_owned);
        assert_eq!(in_document(text), BTreeSet::from(expected));
    }

    #[test]
    fn an_increase_that_cannot_see_a_first_event_is_found() {
        let seeing = |counter: &str| {
            format!("`sum(increase({counter}[1h])) > 0 or sum({counter} unless {counter} offset 1h) > 0`")
        };
        let counter = r#"ringfleet_a_total{b=~"c\|d"}"#;
        assert_eq!(blind_to_the_first_event(&seeing(counter)), [""; 0]);
        let new_ones_first = "`sum((ringfleet_a unless ringfleet_a offset 1h) > 0 or increase(ringfleet_a[1h]))`";
        assert_eq!(blind_to_the_first_event(new_ones_first), [""; 0]);
        let other_window = seeing(counter).replace("offset 1h", "offset 1m");
        let elsewhere = format!("`sum(increase({counter}[1h])) > 0` {}", seeing("ringfleet_e_total"));
        for text in [other_window, elsewhere] {
            assert_eq!(blind_to_the_first_event(&text), [format!("{counter}[1h]")], "{text}");
        }
        assert_eq!(blind_to_the_first_event("take `sum(increase(…))`"), [""; 0]);
    }

    #[test]
    fn the_document_lists_the_metrics_of_the_code_and_no_others() {
        check(&files::root()).unwrap();
    }
}
