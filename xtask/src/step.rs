//! The steps of `test` and `check`, one after the other.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::{
    cargo::{self, Workspace},
    contract, demo, deploy, docs, faults,
    tally::Tally,
    tools,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Step {
    /// Finds redis-server, Node and Python; installs what a Debian machine lacks
    Tools,
    /// Formatting
    Fmt,
    /// Lints, every warning an error
    Clippy,
    /// Doc comments build without a warning, links between documents lead somewhere
    Docs,
    /// All tests of all crates, doc tests too, except the fleet's and the browser's
    Unit,
    /// Whole fleets of real processes, one test at a time
    Fleet,
    /// Thirty runs of the fault loop: kills, freezes, partitions, storms, rollbacks
    Faults,
    /// RingCentral's own client libraries against the simulator; the API against its document, with the clients of examples/
    Contract,
    /// The connect page in headless Chromium, against the simulator's login page
    Browser,
    /// The demo, over SQLite and over Redis with worker processes
    Demo,
    /// Lints of the files of containers, Kubernetes and systemd; Prometheus' alerts in their tests, Grafana's board over a fleet
    Deploy,
}

impl Step {
    /// In the order in which they run: what fails fast and often comes first.
    pub(crate) const ALL: [Step; 11] = [
        Step::Tools,
        Step::Fmt,
        Step::Clippy,
        Step::Docs,
        Step::Unit,
        Step::Fleet,
        Step::Faults,
        Step::Contract,
        Step::Browser,
        Step::Demo,
        Step::Deploy,
    ];

    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    fn run(self, workspace: &Workspace, tally: &mut Tally) -> Result<()> {
        match self {
            Step::Tools => tools::provide(),
            Step::Fmt => cargo::fmt(),
            Step::Clippy => cargo::clippy(),
            Step::Docs => docs::check(&workspace.root),
            Step::Unit => cargo::unit_tests(workspace, tally),
            Step::Fleet => cargo::fleet_tests(tally),
            Step::Faults => faults::short(tally),
            Step::Contract => contract::test(workspace, tally),
            Step::Browser => cargo::browser_tests(tally),
            Step::Demo => demo::run(workspace),
            Step::Deploy => deploy::check(workspace),
        }
    }
}

/// Runs `steps` up to the first that fails. The last line on standard output is `N passed, M failed`, for programs.
pub(crate) fn run(steps: &[Step]) -> ExitCode {
    let mut tally = Tally::default();
    let mut times = Vec::new();
    let result = Workspace::find().and_then(|workspace| {
        steps.iter().try_for_each(|step| {
            println!("\n=== {} ===", step.name());
            let began = Instant::now();
            let result = step.run(&workspace, &mut tally);
            times.push(format!("{} {}", step.name(), seconds(began.elapsed())));
            println!("--- {}: {}", step.name(), seconds(began.elapsed()));
            result.with_context(|| format!("step {} failed", step.name()))
        })
    });
    println!("\n{}", times.join(" · "));
    if let Err(error) = &result {
        eprintln!("{error:#}");
        // A step can fail without a failed test, and programs that read only the line must see it all the same.
        tally.failed = tally.failed.max(1);
    }
    println!("{tally}");
    if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
