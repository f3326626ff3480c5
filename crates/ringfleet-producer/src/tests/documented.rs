//! docs/api.md tells of every word that the API answers with, and of no other.

use std::collections::BTreeSet;

use ringfleet_store::State;

use crate::http::{MAX_BODY_BYTES, MAX_LINE_BYTES, MAX_MESSAGES, MAX_NDJSON_BYTES, MAX_SENDERS};

fn document() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/api.md")).unwrap()
}

/// The first cells of a section's table, such as ``| `not-e164` | … |``.
fn listed<'a>(document: &'a str, section: &str) -> BTreeSet<&'a str> {
    let (_, rest) = document.split_once(&format!("\n## {section}\n")).unwrap();
    let section = rest.split("\n## ").next().unwrap();
    let rows: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let listed: BTreeSet<&str> = rows.iter().copied().collect();
    assert_eq!(listed.len(), rows.len(), "a word stands there twice");
    listed
}

/// The words of the enum, read from its source: an enum can't be walked through.
pub(super) fn refusals() -> BTreeSet<&'static str> {
    let source = include_str!("../refusal.rs");
    let code = |line: &'static str| line.trim().strip_prefix("Code::")?.split_once(" => \"")?.1.split('"').next();
    let known: BTreeSet<&str> = source.lines().filter_map(code).collect();
    assert!(known.len() > 20, "the codes are no longer found: {known:?}");
    known
}

pub(super) fn problems() -> BTreeSet<&'static str> {
    let source = include_str!("../http/problem.rs");
    let quoted = source.split('"').skip(1).step_by(2);
    let word = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let kinds = quoted.map(|text| text.strip_prefix("urn:ringfleet:problem:").unwrap_or(text)).filter(word);
    // The name of the field that holds it.
    let known: BTreeSet<&str> = kinds.filter(|kind| *kind != "type").collect();
    assert!(known.len() > 10, "the kinds are no longer found: {known:?}");
    known
}

#[test]
fn every_refusal_of_the_code_stands_in_the_document_and_no_other() {
    assert_eq!(listed(&document(), "Refusals"), refusals());
}

#[test]
fn every_problem_of_the_code_stands_in_the_document_and_no_other() {
    assert_eq!(listed(&document(), "Problems"), problems());
}

#[test]
fn every_state_stands_in_the_document_and_the_limits_are_those_of_the_code() {
    let document = document();
    assert_eq!(listed(&document, "States"), State::ALL.iter().map(|state| state.as_str()).collect());
    assert_eq!((MAX_MESSAGES, MAX_SENDERS), (1_000, 1_000));
    let bytes = [MAX_BODY_BYTES, MAX_LINE_BYTES, MAX_NDJSON_BYTES].map(|bytes| format!("{bytes} bytes"));
    for limit in bytes.iter().map(String::as_str).chain(["1 to 1,000 messages"]) {
        assert!(document.contains(limit), "{limit}");
    }
}
