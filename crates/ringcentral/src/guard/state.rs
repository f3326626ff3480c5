//! The guard's memory: one lane per key, readable and writable from outside governor.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use governor::nanos::Nanos;

use super::GuardKey;
use super::shape::Limit;
use crate::plan::UsageGroup;

/// Idle lanes are looked for when this many lanes are known, and then each time their number has doubled.
const FIRST_SWEEP: usize = 1024;

/// What is remembered of one key. Times are nanoseconds since the guard was made.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lane {
    /// GCRA's theoretical arrival time: when the whole burst is free again.
    pub(super) tat: u64,
    /// End of a penalty.
    pub(super) closed_until: u64,
    /// The plan learnt for this very key.
    pub(super) limit: Option<Limit>,
}

/// The state behind governor's limiters. governor's own stores are sealed: a penalty or a learnt remaining could not be
/// written into them, and a limiter per plan would each have its own.
#[derive(Debug)]
pub struct StateStore(Mutex<Lanes>);

#[derive(Debug)]
pub(super) struct Lanes {
    lanes: HashMap<GuardKey, Lane>,
    sweep_at: usize,
    /// End of a penalty for every key of a group, by `UsageGroup as usize`.
    closed: [u64; UsageGroup::ALL.len()],
    /// The plan last learnt in a group: plans are set per app, so it is the best guess for a key not met yet.
    learnt: [Option<Limit>; UsageGroup::ALL.len()],
}

impl StateStore {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Lanes {
            lanes: HashMap::new(),
            sweep_at: FIRST_SWEEP,
            closed: Default::default(),
            learnt: Default::default(),
        }))
    }

    /// No holder of the lock can panic half-way through a change, so a poisoned one is still sound.
    pub(super) fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lanes {
    pub(super) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// The lane of a key, made if new; before that, idle lanes are dropped, so that memory follows the busy keys.
    pub(super) fn lane(&mut self, key: &GuardKey, now: u64) -> &mut Lane {
        if self.lanes.len() >= self.sweep_at && !self.lanes.contains_key(key) {
            // An idle lane is a full burst and an open gate: what a new one is as well.
            self.lanes.retain(|_, lane| lane.tat > now || lane.closed_until > now);
            self.sweep_at = FIRST_SWEEP.max(self.lanes.len() * 2);
        }
        self.lanes.entry(key.clone()).or_default()
    }

    pub(super) fn limit(&self, key: &GuardKey) -> Option<Limit> {
        let own = self.lanes.get(key).and_then(|lane| lane.limit);
        own.or(self.learnt[key.group() as usize])
    }

    pub(super) fn learn_limit(&mut self, key: &GuardKey, limit: Limit, now: u64) {
        self.learnt[key.group() as usize] = Some(limit);
        self.lane(key, now).limit = Some(limit);
    }

    pub(super) fn close_group(&mut self, group: UsageGroup, until: u64) {
        let closed = &mut self.closed[group as usize];
        *closed = until.max(*closed);
    }

    /// When the penalties on this key, its own and its group's, end.
    fn closed_until(&self, key: &GuardKey) -> u64 {
        let own = self.lanes.get(key).map_or(0, |lane| lane.closed_until);
        own.max(self.closed[key.group() as usize])
    }
}

/// The store as one decision sees it: governor's instant 0 is `now`, so that limiters made at different times and for
/// different plans agree on what the remembered times mean.
pub(super) struct View<'a> {
    pub(super) store: &'a StateStore,
    pub(super) now: u64,
    /// Length of the burst, `(burst − 1) × interval`, in nanoseconds.
    pub(super) burst_ns: u64,
}

impl governor::state::StateStore for View<'_> {
    type Key = GuardKey;

    fn measure_and_replace<T, F, E>(&self, key: &GuardKey, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut lanes = self.store.lock();
        let closed_for = lanes.closed_until(key).saturating_sub(self.now);
        if closed_for > 0 {
            // An arrival time one burst after the end of the penalty makes governor refuse until exactly that end. It is
            // not stored: when the penalty ends, the window is empty, and the lane has its burst again.
            return decide(Some(Nanos::new(closed_for.saturating_add(self.burst_ns)))).map(|(pass, _)| pass);
        }
        let lane = lanes.lane(key, self.now);
        let (pass, tat) = decide(Some(Nanos::new(lane.tat.saturating_sub(self.now))))?;
        lane.tat = self.now.saturating_add(tat.as_u64());
        Ok(pass)
    }
}
