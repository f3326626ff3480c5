//! The end of a test: what it says of its end, and the look at every promise.

use std::{collections::BTreeMap, time::Duration};

use ringfleet_simulator::Report;
use ringfleet_store::Stats;

use super::{Rig, checker};

/// A drain takes a second; on a machine that is busy with other tests it may take longer.
const DRAIN: Duration = Duration::from_secs(30);

/// What a test says of its end.
pub(crate) struct Ends {
    pub(super) waiting: Waiting,
    pub(super) exceptions: Vec<Except>,
}

/// How many messages have not ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Waiting {
    Exactly(u64),
    /// Some.
    Rest,
}

impl Waiting {
    pub(super) fn allows(self, count: u64) -> bool {
        match self {
            Waiting::Exactly(expected) => count == expected,
            Waiting::Rest => count > 0,
        }
    }
}

/// What a test provokes on purpose, and how much of it at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Except {
    /// Requests that were refused for the rate, those inside a penalty among them. No reason for too many of them.
    Throttled { at_most: u64 },
    /// Requests more than a plan allows in a window: somebody else spends of it, or the plan is not known yet.
    OverPlan { at_most: u64 },
    /// The same of logins.
    LoginsThrottled { at_most: u64 },
    /// Messages that end without being sent: refused, given up, expired, taken back, or held for a person.
    NotSent { at_most: u64 },
    /// Messages of which a person said that they were sent, so that no text of the provider's stands for them.
    ClosedByHand { at_most: u64 },
    /// Texts that went out once more.
    SentTwice { at_most: u64 },
    /// Texts that the provider has and the store, brought back from a backup, knows nothing of.
    Forgotten { at_most: u64 },
    /// Records, or queues, that the test has spoilt.
    Junk { at_most: u64 },
    /// The test has taken the store away: nothing can be asked of it.
    StoreGone,
}

impl Ends {
    /// Every message was sent.
    pub(crate) fn all() -> Self {
        Self { waiting: Waiting::Exactly(0), exceptions: Vec::new() }
    }

    /// Some wait, visibly, because of what the test has done; `because` says what that is.
    pub(crate) fn waiting(waiting: Waiting, because: &str) -> Self {
        eprintln!("waiting at the end, {waiting:?}: {because}");
        Self { waiting, ..Self::all() }
    }

    /// A promise that is broken on purpose; `because` says why that is no fault.
    pub(crate) fn except(mut self, what: Except, because: &str) -> Self {
        eprintln!("excepted, {what:?}: {because}");
        self.exceptions.push(what);
        self
    }

    pub(super) fn store_is_gone(&self) -> bool {
        self.exceptions.contains(&Except::StoreGone)
    }

    /// How much of it is permitted.
    pub(super) fn at_most(&self, of: impl Fn(&Except) -> Option<u64>) -> u64 {
        self.exceptions.iter().filter_map(of).sum()
    }
}

/// What the ledgers said at the end, for the test's own questions.
#[derive(Debug)]
pub(crate) struct Finished {
    pub report: Report,
    pub stats: Stats,
}

impl Rig {
    /// Drains the workers and looks whether every promise was kept.
    ///
    /// # Panics
    /// When one was not; all that are broken are told together.
    pub(crate) async fn finish(mut self, ends: Ends) -> Finished {
        let (finished, broken) = self.look(&ends).await;
        assert!(broken.is_empty(), "broken promises:\n- {}\n{finished:?}", broken.join("\n- "));
        finished
    }

    /// The same for those who tell of broken promises in another way.
    pub(crate) async fn look(&mut self, ends: &Ends) -> (Finished, Vec<String>) {
        self.finished = true;
        let mut broken = Vec::new();
        let pages = checker::canary::metrics_pages(self).await;
        broken.extend(self.drain(DRAIN));
        let report = self.simulator.report();
        let ledger = checker::ledger(self).await;
        broken.extend(checker::plans::kept(ends, &report));
        broken.extend(checker::plans::nothing_after_the_kill_switch(self, &ledger));
        if ends.store_is_gone() {
            broken.extend(checker::plans::back_after_the_last_fault(self, ends, &BTreeMap::new(), &ledger));
            broken.extend(checker::canary::leaks(self, &pages));
            return (Finished { report, stats: Stats::default() }, broken);
        }
        let stats = self.stats().await;
        let walk = checker::walk::through(self, ends).await;
        broken.extend(walk.problems.iter().map(|problem| format!("I8, the store is not tidy: {problem}")));
        broken.extend(checker::plans::back_after_the_last_fault(self, ends, &walk.records, &ledger));
        broken.extend(checker::books::balance(self, ends, &stats, &walk.records, &ledger));
        broken.extend(checker::explained::all_is_explained(self, &walk.records).await);
        // Last, so that it sees what the commands have printed that were run for the others.
        broken.extend(checker::canary::leaks(self, &pages));
        (Finished { report, stats }, broken)
    }
}
