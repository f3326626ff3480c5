//! What is wrong with the wire at this moment, and with which of its connections.

use std::{
    collections::BTreeMap,
    io, mem,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

/// So many bytes of a connection's requests are remembered, so that a match may lie across two reads.
const REMEMBERED: usize = 1_024;

/// What a connection is told from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    Run,
    HalfOpen,
    Reset,
}

/// Every byte passes under one lock: a fault that was set holds for all that comes after.
pub(super) struct Faults {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    upstream: String,
    delay: Duration,
    jitter: Duration,
    blackhole: bool,
    refuse: bool,
    /// One for each request whose reply is to be dropped; an empty one takes any request.
    traps: Vec<Vec<u8>>,
    links: BTreeMap<u64, Live>,
    admitted: u64,
    dropped: u64,
    dice: u64,
}

struct Live {
    orders: watch::Sender<Order>,
    /// It lost bytes, or the end of the other side.
    harmed: bool,
    trapped: bool,
    /// The last bytes that the client sent.
    sent: Vec<u8>,
}

impl Faults {
    pub(super) fn new(upstream: String) -> Self {
        Self { state: Mutex::new(State { upstream, ..State::default() }) }
    }

    pub(super) fn latency(&self, delay: Duration, jitter: Duration) {
        let mut state = self.state();
        (state.delay, state.jitter) = (delay, jitter);
    }

    pub(super) fn blackhole(&self, on: bool) {
        let mut state = self.state();
        state.blackhole = on;
        if !on {
            state.reset(|live| live.harmed);
        }
    }

    pub(super) fn refuse(&self, on: bool) {
        self.state().refuse = on;
    }

    pub(super) fn reset_all(&self) {
        self.state().reset(|_| true);
    }

    pub(super) fn retarget(&self, upstream: String) {
        let mut state = self.state();
        state.upstream = upstream;
        state.reset(|_| true);
    }

    pub(super) fn half_open(&self) {
        for live in self.state().links.values() {
            live.orders.send_replace(Order::HalfOpen);
        }
    }

    pub(super) fn trap(&self, matching: &[u8]) {
        assert!(matching.len() <= REMEMBERED, "so long a match is not remembered");
        self.state().traps.push(matching.to_owned());
    }

    pub(super) fn heal(&self) {
        let mut state = self.state();
        (state.delay, state.jitter) = Default::default();
        (state.blackhole, state.refuse) = (false, false);
        state.traps.clear();
        state.reset(|live| live.harmed || *live.orders.borrow() == Order::HalfOpen);
        state.links.values_mut().for_each(|live| live.trapped = false);
    }

    pub(super) fn connections(&self) -> usize {
        self.state().links.len()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.state().dropped
    }

    pub(super) fn upstream(&self) -> String {
        self.state().upstream.clone()
    }

    /// A new connection's number and its orders; `None` when it is refused.
    pub(super) fn admit(&self) -> Option<(u64, watch::Receiver<Order>)> {
        let mut state = self.state();
        if state.refuse {
            return None;
        }
        state.admitted += 1;
        let (id, (orders, heard)) = (state.admitted, watch::channel(Order::Run));
        // In a real partition it would not have been opened at all.
        let harmed = state.blackhole;
        state.links.insert(id, Live { orders, harmed, trapped: false, sent: Vec::new() });
        Some((id, heard))
    }

    pub(super) fn forget(&self, id: u64) {
        self.state().links.remove(&id);
    }

    pub(super) fn is_harmed(&self, id: u64) -> bool {
        self.state().links.get(&id).is_none_or(|live| live.harmed)
    }

    /// A request came; perhaps one whose reply is to be dropped.
    pub(super) fn requested(&self, id: u64, chunk: &[u8]) {
        let mut state = self.state();
        let State { traps, links, blackhole, .. } = &mut *state;
        let Some(live) = links.get_mut(&id) else { return };
        let known = live.sent.len();
        live.sent.extend_from_slice(chunk);
        let sent = &live.sent;
        // At least one byte must be new, or one request would be taken twice.
        let holds = |trap: &Vec<u8>| {
            let from = (known + 1).saturating_sub(trap.len());
            trap.is_empty() || sent[from..].windows(trap.len()).any(|window| window == trap)
        };
        // A connection loses all its replies with the first, so that one trap is enough for it.
        if !(*blackhole || live.trapped)
            && let Some(at) = traps.iter().position(holds)
        {
            traps.remove(at);
            live.trapped = true;
        }
        let old = live.sent.len().saturating_sub(REMEMBERED);
        live.sent.drain(..old);
    }

    /// A reply came: when it is due, or `None` when it is one to be dropped.
    pub(super) fn replied(&self, id: u64) -> Option<Instant> {
        let mut state = self.state();
        let trapped = state.links.get(&id).is_some_and(|live| live.trapped);
        if trapped && !state.blackhole {
            state.dropped += 1;
            return None;
        }
        let part = state.roll();
        Some(Instant::now() + state.delay + state.jitter.mul_f64(part))
    }

    /// Lets `write` do its work, or `None` when its bytes are swallowed.
    pub(super) fn pass(&self, id: u64, write: impl FnOnce() -> io::Result<usize>) -> Option<io::Result<usize>> {
        let mut state = self.state();
        let blackhole = state.blackhole;
        let live = state.links.get_mut(&id)?;
        live.harmed |= blackhole;
        (!live.harmed && *live.orders.borrow() == Order::Run).then(write)
    }

    /// Whether one side may learn that the other has ended.
    pub(super) fn may_end(&self, id: u64) -> bool {
        self.pass(id, || Ok(0)).is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with the lock")
    }
}

impl State {
    fn reset(&mut self, which: impl Fn(&Live) -> bool) {
        let (gone, stay) = mem::take(&mut self.links).into_iter().partition(|(_, live)| which(live));
        self.links = stay;
        for live in BTreeMap::into_values(gone) {
            live.orders.send_replace(Order::Reset);
        }
    }

    /// Somewhere from 0 to 1, the same in every run (SplitMix64).
    fn roll(&mut self) -> f64 {
        self.dice = self.dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.dice;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        f64::from((mixed >> 40) as u32) / f64::from(1_u32 << 24)
    }
}
