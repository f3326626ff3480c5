//! docs/fault-matrix.md: what the fleet survives, which test shows it, and what the last long run of faults came to.

use std::{collections::BTreeMap, fmt::Write, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::files;

pub(crate) const FILE: &str = "docs/fault-matrix.md";

/// Number, fault, promise. A test carries the number in its name: `row_07_…`.
const ROWS: [(u8, &str, &str); 36] = [
    (1, "Redis is killed and restarted, append-only file on", "nothing lost, nothing twice, the fleet goes on"),
    (
        2,
        "power cut: the last commands of Redis are gone",
        "nothing sent twice: workers, or their journals, tell what was sent",
    ),
    (3, "failover to a replica that lags", "noticed; the gate closes until every worker has told its sends"),
    (4, "Redis is slow, or stands still for seconds", "slower, nothing else"),
    (5, "Redis' reply is lost after the script ran", "no message stranded, none doubled"),
    (6, "Redis is full", "new messages are refused; what was begun is settled"),
    (7, "Redis evicts, keeps no append-only file, or is a replica", "refused at the start, with the remedy"),
    (
        8,
        "Redis turns read-only, or can't write its snapshot",
        "as if it were away; goes on by itself. A full disk ends a Redis with `appendfsync always`: away until it has room and runs again",
    ),
    (9, "worker killed after its claim", "back in the queue after the lease, no attempt burnt"),
    (10, "worker killed before the intent", "sent once, by another"),
    (11, "worker killed after the intent, before a byte leaves", "proven absent, sent again"),
    (12, "worker killed, or no answer, after the provider took the text", "found at the provider, not sent again"),
    (13, "worker killed between answer and settle", "found at the provider, or told by the journal"),
    (14, "worker killed after the settle ran", "settled once"),
    (15, "SIGTERM at any of these places", "what was begun is finished, the rest is given back"),
    (16, "worker frozen past its lease, then thawed", "nothing is sent on the old lease"),
    (17, "a message that kills its worker", "dead after three recoveries; the others go on"),
    (18, "workers' clocks differ by minutes", "no effect: the store's clock counts"),
    (19, "Redis' clock steps back", "the fleet's time goes on; no stall"),
    (20, "worker cut off from Redis", "stops claiming; what was sent is settled later"),
    (21, "worker cut off from the provider", "not sent is not sent: no attempt burnt"),
    (22, "half-open connections", "noticed by deadlines"),
    (23, "429", "nothing follows until the penalty is over"),
    (24, "429 without Retry-After, or with an absurd one", "30 s; kept between 1 s and 1 h"),
    (
        25,
        "storm of 5xx, or one extension whose answers hang",
        "the breaker opens, a canary probes, the backlog is left alone; where one alone hangs, the others go on",
    ),
    (26, "answers that drip in", "a deadline over all; found at the provider"),
    (27, "accepted, with an answer that can't be read", "found at the provider"),
    (28, "tokens that live for seconds", "renewed in time; nothing fails"),
    (29, "worker killed between a login and its keeping", "one session goes on; no 429 at the token endpoint"),
    (30, "a revoked credential", "its lane waits, the others go on; no login loop"),
    (31, "the same message handed in twice", "taken once"),
    (32, "junk in Redis", "isolated; the others go on"),
    (33, "10,000 messages due at one instant", "sent as the plans allow"),
    (34, "Redis is flushed or exchanged", "the fleet stops and says so"),
    (35, "data of a newer version", "an older worker leaves them alone"),
    (36, "20 workers start at once", "one login an extension, no 429"),
];

/// Rows that no test on one machine can show, and why.
const NOT_TESTED: [(u8, &str); 0] = [];

/// Every row has a test or a reason, and the document speaks of no test that is not there.
pub(crate) fn check(root: &Path) -> Result<()> {
    let tests = tests_by_row(root)?;
    let open: Vec<_> = ROWS
        .iter()
        .map(|(row, ..)| *row)
        .filter(|row| !tests.contains_key(row) && !NOT_TESTED.iter().any(|(known, _)| known == row))
        .collect();
    ensure!(open.is_empty(), "rows of the fault matrix without a test row_NN_… and without a reason: {open:?}");
    let document = files::read(&root.join(FILE))?;
    let gone: Vec<_> = document
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.starts_with("row_") && !tests.values().flatten().any(|t| t == word))
        .collect();
    ensure!(gone.is_empty(), "{FILE} names tests that are not there: {gone:?}; run cargo xtask faults --write-docs");
    Ok(())
}

pub(crate) fn document(root: &Path, figures: Option<&Value>) -> Result<String> {
    let tests = tests_by_row(root)?;
    let mut text = String::from(
        "# What the fleet survives\n\n\
         Written by `cargo xtask faults --write-docs`; don't edit it. Every row has a test that carries its number, most of them with real\n\
         worker processes, a real Redis and the simulator as the judge; those of row 31 are the producer's own. `cargo xtask test`\n\
         runs them all.\n\n\
         | row | fault | promise | test |\n|---|---|---|---|\n",
    );
    for (row, fault, promise) in ROWS {
        let named =
            tests.get(&row).map(|names| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" "));
        let reason = NOT_TESTED.iter().find(|(known, _)| *known == row).map(|(_, why)| format!("not tested: {why}"));
        writeln!(text, "| {row} | {fault} | {promise} | {} |", named.or(reason).unwrap_or_default())?;
    }
    if let Some(figures) = figures {
        write_figures(&mut text, figures)?;
    }
    Ok(text)
}

fn write_figures(text: &mut String, figures: &Value) -> Result<()> {
    let number = |value: &Value, name: &str| value[name].as_f64().unwrap_or_default();
    writeln!(
        text,
        "\n## The last long run\n\n{} faults struck, of {} that were planned, in {} runs ({} on Redis, {} on SQLite), {} s, seed {}: **{} lost, {} sent twice**, {} held ({} of \
         them undecidable for anybody); {} broken promises of any kind. Each run: four extensions, 48 messages, two or \
         three worker processes, windows of 1 s with six texts or of 3 s with eight, a lease of 2 s, a settle time of 1.2 s (3.5 s where \
         a worker is told to end, and what is unknown then is held; 5 s with a worker that freezes). In some runs tokens live for 3 s, or the provider's message store lags by half the \
         settle time. Recovery is the time from the end of the last fault of a run until every \
         message had ended; a run with two faults stands in two rows. A fault has struck when it happened while there was \
         something to send: a worker came to the place at which it dies, a request met the provider's fault.\n",
        number(figures, "faults_struck"),
        number(figures, "faults_planned"),
        number(figures, "runs"),
        number(figures, "redis_runs"),
        number(figures, "sqlite_runs"),
        number(figures, "seconds"),
        number(figures, "seed"),
        number(figures, "lost"),
        number(figures, "twice"),
        number(figures, "held"),
        number(figures, "undecidable"),
        number(figures, "broken"),
    )?;
    text.push_str(
        "| fault | planned | struck | lost | twice | held | recovery, median | longest |\n|---|---|---|---|---|---|---|---|\n",
    );
    for (name, row) in figures["by_fault"].as_object().into_iter().flatten() {
        let n = |field| number(row, field);
        let (median, longest) = (n("recovery_median_s"), n("recovery_longest_s"));
        let counts = format!("{} | {} | {} | {} | {}", n("runs"), n("struck"), n("lost"), n("twice"), n("held"));
        writeln!(text, "| {name} | {counts} | {median:.1} s | {longest:.1} s |")?;
    }
    Ok(())
}

/// The names `row_NN_…` of all tests.
fn tests_by_row(root: &Path) -> Result<BTreeMap<u8, Vec<String>>> {
    let mut found: BTreeMap<u8, Vec<String>> = BTreeMap::new();
    for folder in ["tests", "crates"] {
        for file in files::below(&root.join(folder), "rs")? {
            for (row, name) in rows_of(&files::read(&file)?).with_context(|| file.display().to_string())? {
                found.entry(row).or_default().push(name);
            }
        }
    }
    for names in found.values_mut() {
        names.sort();
        names.dedup();
    }
    Ok(found)
}

/// The rows that the tests of a file carry in their names. What is no test, or one that is passed over, shows nothing.
fn rows_of(source: &str) -> Result<Vec<(u8, String)>> {
    let mut rows = Vec::new();
    for (at, _) in source.match_indices("row_") {
        let name: String = source[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let Some(row) = name.get(4..6).and_then(|row| row.parse().ok()) else { continue };
        // Either a function, or what a macro of the same file makes a function of: `row_07_…: "place"`.
        let function = if source[..at].ends_with("fn ") {
            Some(at)
        } else if source[at + name.len()..].starts_with(": \"") {
            source.find("fn $name").map(|at| at + "fn ".len())
        } else {
            None
        };
        let Some(function) = function else { continue };
        let above = source[..function].lines().rev().skip(1).map(|line| line.trim_start_matches([' ', '$', '(']));
        let above = above.take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        let attributes: Vec<&str> = above.filter(|line| line.starts_with("#[")).collect();
        ensure!(
            !attributes.iter().any(|line| line.contains("ignore")),
            "{name} is ignored; a row wants a test that runs"
        );
        if attributes.iter().any(|line| line.contains("test")) {
            rows.push((row, name));
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_carried_by_tests_that_run_and_by_nothing_else() {
        let rows = |source: &str| rows_of(source).map(|rows| rows.into_iter().map(|(row, _)| row).collect::<Vec<_>>());
        let none: [u8; 0] = [];
        assert_eq!(rows("#[test]\nfn row_07_is_kept() {}\n").unwrap(), [7_u8]);
        assert_eq!(
            rows("    #[tokio::test(start_paused = true)]\n    async fn row_31_is_kept() {}\n").unwrap(),
            [31_u8]
        );
        assert_eq!(rows("#[test]\nfn other() {}\n\nfn row_07_helps() {}\n").unwrap(), none);
        assert_eq!(rows("// see row_07_is_kept\nlet row_07 = {};\n").unwrap(), none);
        let made = "($($name:ident: $place:literal,)*) => {\n$(#[test]\n// why\nfn $name() {})*\n}\nmade! { row_09_dies: \"here\", }";
        assert_eq!(rows(made).unwrap(), [9_u8]);
        assert_eq!(rows(&made.replace("#[test]", "")).unwrap(), none);
        for ignored in ["#[ignore]", "#[ignore = \"slow\"]", "#[cfg_attr(debug_assertions, ignore)]"] {
            let told = rows(&format!("#[test]\n{ignored}\nfn row_07_is_kept() {{}}\n")).unwrap_err().to_string();
            assert!(told.contains("row_07_is_kept is ignored"), "{told}");
        }
    }
}
