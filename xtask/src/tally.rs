//! How many tests passed, read from what the runners print.

use std::fmt;

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Tally {
    pub passed: u64,
    pub failed: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Whose output is read. None has a machine-readable summary that is stable and free of nightly flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Runner {
    /// `cargo test`: one summary per test target.
    Libtest,
    /// `node --test`: TAP or "spec", depending on its version.
    Node,
    /// `python -m unittest`: two lines, on standard error.
    Unittest,
}

/// Reads one run of one runner, line by line.
pub(crate) struct Reading {
    runner: Runner,
    /// unittest tells the number of tests one line before the verdict.
    ran: u64,
}

impl Reading {
    pub(crate) fn new(runner: Runner) -> Self {
        Self { runner, ran: 0 }
    }

    pub(crate) fn line(&mut self, line: &str, tally: &mut Tally) {
        let line = line.trim_end();
        match self.runner {
            Runner::Libtest => {
                if let Some(summary) = line.strip_prefix("test result: ") {
                    tally.passed += before(summary, " passed");
                    tally.failed += before(summary, " failed");
                }
            }
            Runner::Node => {
                let Some(summary) = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ ")) else { return };
                match summary.split_once(' ').map(|(word, n)| (word, n.parse::<u64>())) {
                    Some(("pass", Ok(n))) => tally.passed += n,
                    Some(("fail" | "cancelled", Ok(n))) => tally.failed += n,
                    _ => {}
                }
            }
            Runner::Unittest => self.unittest(line, tally),
        }
    }

    fn unittest(&mut self, line: &str, tally: &mut Tally) {
        if let Some(rest) = line.strip_prefix("Ran ") {
            self.ran = before(rest, " test");
        } else if line == "OK" || line.starts_with("OK (") || line.starts_with("FAILED (") {
            let of = |wanted: &[&str]| details(line).filter(|(word, _)| wanted.contains(word)).map(|(_, n)| n).sum();
            let failed: u64 = of(&["failures", "errors", "unexpected successes"]);
            let skipped: u64 = of(&["skipped"]);
            // Errors outside of a test, as in setUpClass, are not among those that ran.
            tally.passed += self.ran.saturating_sub(failed + skipped);
            tally.failed += failed;
            self.ran = 0;
        }
    }
}

/// The number that stands right before `word`.
fn before(text: &str, word: &str) -> u64 {
    let head = text.split_once(word).map_or("", |(head, _)| head);
    let digits = head.rfind(|c: char| !c.is_ascii_digit()).map_or(head, |at| &head[at + 1..]);
    digits.parse().unwrap_or(0)
}

/// `FAILED (failures=1, errors=2)` → failures 1, errors 2.
fn details(verdict: &str) -> impl Iterator<Item = (&str, u64)> {
    let inside = verdict.split_once('(').map_or("", |(_, rest)| rest.trim_end_matches(')'));
    inside.split(", ").filter_map(|detail| detail.split_once('=')).filter_map(|(word, n)| Some((word, n.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(runner: Runner, output: &str) -> (u64, u64) {
        let mut tally = Tally::default();
        let mut reading = Reading::new(runner);
        output.lines().for_each(|line| reading.line(line, &mut tally));
        (tally.passed, tally.failed)
    }

    #[test]
    fn libtest_summaries_add_up_over_targets() {
        let output = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\n\
            test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\n\
            test result: ok. 40 passed; 0 failed; 2 ignored; 0 measured; 3 filtered out; finished in 1.05s\n";
        assert_eq!(read(Runner::Libtest, output), (41, 1));
    }

    #[test]
    fn node_is_read_in_both_of_its_shapes() {
        let tap = "TAP version 13\n# pass the salt\nok 1 - logs in\n1..5\n# tests 5\n# suites 0\n# pass 3\n# fail 1\n\
            # cancelled 1\n# skipped 0\n# duration_ms 812.5\n";
        assert_eq!(read(Runner::Node, tap), (3, 2));
        let spec = "✔ logs in (12ms)\nℹ tests 5\nℹ pass 5\nℹ fail 0\nℹ cancelled 0\n";
        assert_eq!(read(Runner::Node, spec), (5, 0));
    }

    #[test]
    fn unittest_tells_the_number_first_and_the_verdict_later() {
        assert_eq!(read(Runner::Unittest, "....\n-----\nRan 4 tests in 2.101s\n\nOK\n"), (4, 0));
        assert_eq!(read(Runner::Unittest, "Ran 1 test in 0.1s\n\nOK\n"), (1, 0));
        assert_eq!(read(Runner::Unittest, "Ran 6 tests in 1s\n\nFAILED (failures=1, errors=2, skipped=1)\n"), (2, 3));
        assert_eq!(read(Runner::Unittest, "Ran 3 tests in 1s\n\nOK (skipped=1, expected failures=1)\n"), (2, 0));
        assert_eq!(read(Runner::Unittest, "Ran 0 tests in 1s\n\nFAILED (errors=1)\n"), (0, 1));
    }

    #[test]
    fn the_last_line_has_its_exact_form() {
        assert_eq!(Tally { passed: 712, failed: 0 }.to_string(), "712 passed, 0 failed");
    }
}
