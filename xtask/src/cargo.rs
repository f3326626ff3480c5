//! What cargo itself does: formatting, lints and the Rust tests.
//!
//! All builds select the whole workspace, because cargo unifies features over what is selected: `-p` here and
//! `--workspace` there would build half of the tree twice.

use std::{env, ffi::OsString, path::PathBuf, process::Command};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    child,
    tally::{Runner, Tally},
};

/// The test target whose tests start whole fleets.
const FLEET: &str = "fleet";
/// The one that needs a browser.
const BROWSER: &str = "browser";
/// The one that is a program of its own: see `faults`.
const FAULTS: &str = "faults";

/// Parts of names of the fleet's tests that measure times, or keep both cores busy.
const ALONE: [&str; 9] = [
    "told_times",
    "neighbours::",
    "due_at_once::",
    "plans::",
    "crash::",
    "streaming_import::",
    "one_send_in_ten",
    "row_36",
    "in_a_drain",
];

pub(crate) struct Workspace {
    pub root: PathBuf,
    /// Follows `CARGO_TARGET_DIR`.
    pub target: PathBuf,
    /// Names of all integration test targets.
    tests: Vec<String>,
}

impl Workspace {
    pub(crate) fn find() -> Result<Self> {
        let text = child::output(cargo("metadata").args(["--no-deps", "--format-version=1", "--locked"]))?;
        Self::parse(&text).context("can't read the output of cargo metadata")
    }

    fn parse(metadata: &str) -> Result<Self> {
        let metadata: Value = serde_json::from_str(metadata)?;
        let path = |key: &str| metadata[key].as_str().map(PathBuf::from).with_context(|| format!("no {key}"));
        let packages = metadata["packages"].as_array().into_iter().flatten();
        let targets = packages.flat_map(|package| package["targets"].as_array().into_iter().flatten());
        let is_test =
            |target: &&Value| target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == "test"));
        let mut tests: Vec<_> =
            targets.filter(is_test).filter_map(|test| test["name"].as_str()).map(str::to_owned).collect();
        tests.sort();
        tests.dedup();
        Ok(Self { root: path("workspace_root")?, target: path("target_directory")?, tests })
    }

    /// The binary as the tests use it. Building the fleet's test target builds it too, with the same features as
    /// everywhere else; after the step `fleet` there is nothing left to build.
    pub(crate) fn binary(&self) -> Result<PathBuf> {
        child::run(test().args(["--no-run", "--quiet", "--test", FLEET]))?;
        Ok(self.target.join("debug/ringfleet"))
    }
}

pub(crate) fn cargo(subcommand: &str) -> Command {
    // The cargo that runs us: with rustup, the same toolchain.
    let mut command = child::command(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.arg(subcommand);
    command
}

fn test() -> Command {
    let mut command = cargo("test");
    command.args(["--workspace", "--locked"]);
    command
}

pub(crate) fn fmt() -> Result<()> {
    child::run(cargo("fmt").args(["--all", "--check"]))
}

pub(crate) fn clippy() -> Result<()> {
    child::run(cargo("clippy").args(["--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))
}

/// Everything but the fleet's tests and the browser's. A doc test can't be selected together with other targets, so they are a second call.
pub(crate) fn unit_tests(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    let mut command = test();
    command.args(["--no-fail-fast", "--lib", "--bins", "--examples"]);
    for name in workspace.tests.iter().filter(|name| ![FLEET, BROWSER, FAULTS].contains(&name.as_str())) {
        command.args(["--test", name]);
    }
    // Many wait most of their time, for leases, windows, and servers that come and go.
    command.args(["--", "--test-threads=4"]);
    child::counted(&mut command, Runner::Libtest, tally)?;
    child::counted(test().args(["--no-fail-fast", "--doc"]), Runner::Libtest, tally)
}

/// The fault loop; its own arguments follow.
pub(crate) fn faults() -> Command {
    let mut command = test();
    command.args(["--quiet", "--test", FAULTS, "--"]);
    command
}

/// Two at a time: each has a browser of its own.
pub(crate) fn browser_tests(tally: &mut Tally) -> Result<()> {
    child::counted(test().args(["--test", BROWSER, "--", "--test-threads=2"]), Runner::Libtest, tally)
}

/// Those that want the machine for themselves run one at a time; the others wait most of their time, for leases and penalties
/// to end, and do so together.
pub(crate) fn fleet_tests(tally: &mut Tally) -> Result<()> {
    child::run(test().args(["--test", FLEET, "--no-run"]))?;
    // What the compilers wrote is on its way to the disk for half a minute, and each test's Redis waits for that disk.
    child::run(&mut child::command("sync"))?;
    let mut alone = test();
    alone.args(["--test", FLEET, "--", "--test-threads=1"]).args(ALONE);
    child::counted(&mut alone, Runner::Libtest, tally)?;
    let mut together = test();
    together.args(["--test", FLEET, "--", "--test-threads=6"]);
    together.args(ALONE.iter().flat_map(|name| ["--skip", *name]));
    child::counted(&mut together, Runner::Libtest, tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_targets_are_found_in_all_packages() {
        let metadata = r#"{"workspace_root": "/w", "target_directory": "/t", "packages": [
            {"targets": [{"kind": ["lib"], "name": "a"}, {"kind": ["test"], "name": "http"}]},
            {"targets": [{"kind": ["test"], "name": "fleet"}, {"kind": ["test"], "name": "http"}]}]}"#;
        let workspace = Workspace::parse(metadata).unwrap();
        assert_eq!(workspace.tests, ["fleet", "http"]);
        assert_eq!(workspace.target, PathBuf::from("/t"));
    }
}
