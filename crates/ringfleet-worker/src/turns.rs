//! Whose turn it is: every connected extension time and again, in the one process of the fleet that sees to it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use ringfleet_identity::{Lead, Roster};
use ringfleet_store::{SharedStore, WorkerId};
use tokio::sync::watch;

use crate::metrics;

/// When each extension is due.
pub(crate) struct Turns {
    /// What is done in turn; also names the right to do it.
    what: &'static str,
    lead: Lead,
    roster: Roster,
    changes: watch::Receiver<u64>,
    next: HashMap<Arc<str>, Instant>,
}

impl Turns {
    pub(crate) fn new(what: &'static str, store: &SharedStore, app: &str, process: &WorkerId, roster: &Roster) -> Self {
        let mut changes = roster.changes();
        // The first look takes in all there is.
        changes.mark_changed();
        let lead = Lead::new(store.clone(), app, what, process.as_str());
        Self { what, lead, roster: roster.clone(), changes, next: HashMap::new() }
    }

    /// Whether this process is the one that sees to it now. When it is its turn again after another's, everything begins anew.
    pub(crate) async fn are_ours(&mut self) -> bool {
        match self.lead.have().await {
            Ok(true) => return true,
            Ok(false) => {
                self.next.clear();
                self.changes.mark_changed();
            }
            Err(error) => metrics::store_error(self.what, &error),
        }
        false
    }

    /// How many extensions have their turn.
    pub(crate) fn len(&self) -> usize {
        self.next.len()
    }

    /// Lets another process go on at once.
    pub(crate) async fn leave(&mut self) {
        self.lead.leave().await;
    }

    /// Extensions that are due now, the longest waiting first, at most so many. Each is due again after `again_in` or so; one that
    /// is new, within `first_in`: anywhere in the round, so that a restart is no burst.
    pub(crate) fn take(&mut self, most: usize, first_in: Duration, again_in: Duration) -> Vec<Arc<str>> {
        let now = Instant::now();
        if self.changes.has_changed().unwrap_or(false) {
            self.changes.mark_unchanged();
            let connected: HashSet<Arc<str>> = self.roster.extensions().into_iter().collect();
            self.next.retain(|extension, _| connected.contains(extension));
            for extension in connected {
                let first = || now + first_in.mul_f64(rand::random_range(0.0..1.0));
                self.next.entry(extension).or_insert_with(first);
            }
        }
        let mut due: Vec<_> = self.next.iter_mut().filter(|(_, at)| **at <= now).collect();
        due.sort_unstable_by_key(|(_, at)| **at);
        let taken = due.into_iter().take(most).map(|(extension, at)| {
            *at = now + again_in.mul_f64(rand::random_range(0.9..=1.1));
            extension.clone()
        });
        taken.collect()
    }

    /// Due after `again_in` from now instead.
    pub(crate) fn put_off(&mut self, extension: Arc<str>, again_in: Duration) {
        self.next.entry(extension).and_modify(|at| *at = Instant::now() + again_in);
    }
}
