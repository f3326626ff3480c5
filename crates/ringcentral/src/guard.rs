//! The guard against going over a usage plan, inside this process.
//!
//! governor decides, keyed by (extension, group); the memory is our own [`StateStore`], so that a 429 and the rate headers
//! can be written into it. Each decision builds governor's limiter anew for the key's present plan and the present
//! instant. That costs a few arithmetic steps, and spares a limiter per learnt plan whose clocks would have to agree.

mod shape;
mod state;
#[cfg(test)]
mod tests;

use std::time::Duration;

use governor::RateLimiter;
use governor::clock::{Clock, DefaultClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;

use crate::ids::ExtensionId;
use crate::plan::{UsageGroup, UsagePlans};
use shape::{Limit, Shape};
use state::View;

pub use shape::GuardMode;
pub use state::StateStore;

/// Whose quota a call uses: one extension's or, for an Auth plan that is counted per application, the app's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GuardKey {
    /// `None` is the app itself.
    extension: Option<ExtensionId>,
    group: UsageGroup,
}

impl GuardKey {
    pub fn extension(extension: &ExtensionId, group: UsageGroup) -> Self {
        Self { extension: Some(extension.clone()), group }
    }

    pub fn app(group: UsageGroup) -> Self {
        Self { extension: None, group }
    }

    pub fn group(&self) -> UsageGroup {
        self.group
    }
}

/// The guard refused: the same check passes after this time, if nobody else takes the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait(pub Duration);

/// Limits requests per key. Shared by reference; all methods take `&self`. Memory follows the keys in use: idle ones are
/// dropped.
#[derive(Debug)]
pub struct Guard<C: Clock = DefaultClock> {
    mode: GuardMode,
    plans: UsagePlans,
    store: StateStore,
    clock: C,
    epoch: C::Instant,
}

impl Guard {
    pub fn new(mode: GuardMode, plans: UsagePlans) -> Self {
        Self::with_clock(mode, plans, DefaultClock::default())
    }

    /// Waits until the key has a request left, and takes it.
    ///
    /// Cancel-safe: the request is taken in the last step only, so a dropped wait costs nothing.
    ///
    /// # Errors
    /// [`Wait`], at once, if the turn would come later than `patience` from now.
    pub async fn until_ready(&self, key: &GuardKey, patience: Duration) -> Result<(), Wait> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let Err(Wait(wait)) = self.check(key) else { return Ok(()) };
            let turn = tokio::time::Instant::now() + wait;
            if turn > deadline {
                return Err(Wait(wait));
            }
            tokio::time::sleep_until(turn).await;
        }
    }
}

impl<C: Clock> Guard<C> {
    /// A guard with its own clock, for tests.
    pub fn with_clock(mode: GuardMode, plans: UsagePlans, clock: C) -> Self {
        let epoch = clock.now();
        Self { mode, plans, store: StateStore::new(), clock, epoch }
    }

    pub fn mode(&self) -> GuardMode {
        self.mode
    }

    /// Takes one request of the key's quota.
    ///
    /// # Errors
    /// [`Wait`] if there is none now, or a penalty runs; nothing is taken then.
    pub fn check(&self, key: &GuardKey) -> Result<(), Wait> {
        let now = self.now();
        let shape = self.shape(key);
        let view = View { store: &self.store, now, burst_ns: shape.burst_ns() };
        let limiter: Limiter<'_> = RateLimiter::new(shape.quota(), view, ThisInstant);
        limiter.check_key(key).map_err(|refusal| Wait(refusal.wait_time_from(ThisInstant.now())))
    }

    /// Gives back a request that for certain never reached the server. In [`GuardMode::Limiter`] it does nothing: the
    /// proof of its limit has no room for a place given back late.
    pub fn give_back(&self, key: &GuardKey) {
        if self.mode == GuardMode::Limiter {
            return;
        }
        let (now, shape) = (self.now(), self.shape(key));
        let mut lanes = self.store.lock();
        let lane = lanes.lane(key, now);
        lane.tat = lane.tat.saturating_sub(shape.interval_ns());
    }

    /// Closes a key for a time from now, as after a 429. A longer penalty that runs already is kept.
    pub fn penalise(&self, key: &GuardKey, penalty: Duration) {
        let now = self.now();
        let until = now.saturating_add(nanos(penalty));
        let mut lanes = self.store.lock();
        let lane = lanes.lane(key, now);
        lane.closed_until = lane.closed_until.max(until);
    }

    /// Closes every key of a group for a time from now: for a 429 that is no single extension's.
    pub fn penalise_group(&self, group: UsageGroup, penalty: Duration) {
        let until = self.now().saturating_add(nanos(penalty));
        self.store.lock().close_group(group, until);
    }

    /// Takes over what the provider says is left: at most `remaining` requests now, and one more each interval. Only ever
    /// lowers, since answers overtake each other.
    ///
    /// With an exact window in the store, leave this to the store: it knows *when* the other requests were made, while
    /// here they all count as made now, which would delay what the exact window admits.
    pub fn learn_remaining(&self, key: &GuardKey, remaining: u32) {
        let now = self.now();
        let shape = self.shape(key);
        let used = shape.burst.saturating_sub(remaining);
        let tat = now.saturating_add(shape.interval_ns().saturating_mul(u64::from(used)));
        let mut lanes = self.store.lock();
        let lane = lanes.lane(key, now);
        lane.tat = lane.tat.max(tat);
    }

    /// Takes over the plan that the provider's headers state. What is used of the old plan stays used. An absurd plan
    /// (no requests, no window, over a million requests or a day) is ignored.
    pub fn learn_plan(&self, key: &GuardKey, limit: u32, window: Duration) {
        let Some(learnt) = Limit::try_new(limit, window) else { return };
        let (now, before) = (self.now(), self.shape(key));
        let mut lanes = self.store.lock();
        if lanes.limit(key) == Some(learnt) {
            return;
        }
        let after = Shape::of(self.mode, learnt);
        let lane = lanes.lane(key, now);
        let used = lane.tat.saturating_sub(now).div_ceil(before.interval_ns());
        let used = used.min(u64::from(after.burst));
        lane.tat = now.saturating_add(used.saturating_mul(after.interval_ns()));
        lanes.learn_limit(key, learnt, now);
    }

    /// How many keys are remembered.
    pub fn len(&self) -> usize {
        self.store.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn now(&self) -> u64 {
        self.clock.now().duration_since(self.epoch).as_u64()
    }

    fn shape(&self, key: &GuardKey) -> Shape {
        let learnt = self.store.lock().limit(key);
        Shape::of(self.mode, learnt.unwrap_or_else(|| Limit::of(self.plans.of(key.group))))
    }
}

/// governor, for one decision.
type Limiter<'a> = RateLimiter<GuardKey, View<'a>, ThisInstant, NoOpMiddleware<Nanos>>;

/// The clock of one decision: it stands at 0, and [`View`] translates.
struct ThisInstant;

impl Clock for ThisInstant {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::default()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
