//! What may happen in a history.

use std::fmt;

use proptest::sample::Index;
use ringfleet_store::{LaneRules, Millis, OnUnknown, PlanSeen, Priority, Resolution};

pub(crate) const LANES: usize = 4;
pub(crate) const WORKERS: usize = 2;
pub(crate) const READERS: usize = 3;

/// One run: the plans that bite, and what is done.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) heavy: (u32, u32),
    pub(crate) light: (u32, u32),
    pub(crate) in_flight_cap: u32,
    pub(crate) delivery_wait_ms: Millis,
    pub(crate) ops: Vec<Op>,
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Enqueue(Vec<New>),
    Claim {
        worker: usize,
        want: u32,
        lease_ms: Millis,
    },
    Begin {
        which: Vec<Pick>,
        lease_ms: Millis,
    },
    Settle(Vec<Report>),
    /// A worker begins and sends all it has, and all answers tell the same of the plan.
    SendAll {
        worker: usize,
        seen: PlanSeen,
    },
    Extend {
        which: Pick,
        lease_ms: Millis,
    },
    Reap {
        limit: u32,
        retention_ms: Millis,
    },
    /// A worker dies; what it had in hand is known to nobody else.
    Crash {
        worker: usize,
    },
    Pause {
        lane: usize,
        on: bool,
    },
    Park {
        lane: usize,
        on: bool,
    },
    Gate(GateTurn),
    Cancel {
        which: Index,
    },
    /// Cancels it and lets its record be forgotten at once, so that its key is free while its place may still stand.
    Forget {
        which: Index,
    },
    /// A worker claims and dies; its leases are reaped.
    Die {
        worker: usize,
    },
    /// Looks up unknown sends as reconcilers do.
    Take {
        lanes: u32,
        lock_ms: Millis,
    },
    /// What readings show of unknown sends, or of any other.
    Decide {
        readings: Vec<Reading>,
        settle_ms: Millis,
        max_attempts: u32,
    },
    Resolve {
        which: Index,
        how: Resolution,
    },
    /// Workers tell what they know once more.
    Reassert(Vec<Report>),
    OptOut(OptingOut),
    TakeDeliveries {
        lanes: u32,
        lock_ms: Millis,
    },
    TellDeliveries {
        lane: usize,
        told: Vec<Told>,
    },
    DocPut(DocPut),
    DocsSince {
        reader: usize,
        limit: u32,
    },
    Step(Step),
    Acquire {
        lane: usize,
        hold_ms: Millis,
    },
    Release {
        which: Index,
        how: Given,
        age_permille: i64,
        seen: PlanSeen,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct New {
    pub(crate) lane: usize,
    pub(crate) key: Option<u8>,
    /// Two requests with one key are the same only if this is.
    pub(crate) body: u8,
    pub(crate) priority: Priority,
    pub(crate) on_unknown: OnUnknown,
    /// Some of a lane's messages go to the same few.
    pub(crate) recipient: Option<u8>,
    pub(crate) send_in: Option<Millis>,
    pub(crate) expires_in: Option<Millis>,
}

/// One of the leases that were ever given out.
#[derive(Clone, Debug)]
pub(crate) enum Pick {
    /// What a living worker believes to have.
    InHand(usize, Index),
    /// Any: also of dead workers, and those long settled.
    Ever(Index),
}

#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) which: Pick,
    pub(crate) ending: Ending,
    /// When the answer was read: 0 = just now, 1000 = as soon as the request began.
    pub(crate) age_permille: i64,
    pub(crate) seen: PlanSeen,
}

#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// One of those whose fate is unknown, or a lease of any other message.
    pub(crate) which: Which,
    pub(crate) shows: Shows,
    /// How long ago it began.
    pub(crate) age: Millis,
}

#[derive(Clone, Debug)]
pub(crate) enum Which {
    Unknown(Index),
    Ever(Index),
}

#[derive(Clone, Debug)]
pub(crate) enum Shows {
    /// So many texts that nobody has seen before, and so many that were counted for other messages.
    Texts { new: usize, counted: Vec<Index> },
    /// Nobody can say.
    Nothing,
}

#[derive(Clone, Debug)]
pub(crate) struct OptingOut {
    /// Whose extension, and whose number.
    pub(crate) lane: usize,
    pub(crate) any_number: bool,
    pub(crate) every_extension: bool,
    pub(crate) recipient: u8,
    pub(crate) wish: Wish,
}

#[derive(Clone, Debug)]
pub(crate) enum Wish {
    Out,
    In,
    /// Said so many milliseconds after one of the opt-outs was entered, or before it.
    InSaid {
        of: Index,
        after: Millis,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) of: ToldOf,
    pub(crate) delivered: bool,
    pub(crate) opted_out: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum ToldOf {
    /// One that waits for it.
    Waiting(Index),
    /// Any text of the lane.
    Ever(Index),
    Stranger,
}

#[derive(Clone, Debug)]
pub(crate) struct DocPut {
    pub(crate) login: bool,
    pub(crate) key: u8,
    pub(crate) expect: Expecting,
    pub(crate) body: Option<u8>,
    pub(crate) ttl: Option<Millis>,
}

#[derive(Clone, Debug)]
pub(crate) enum Expecting {
    Anything,
    Absent,
    /// What is there now.
    Known,
    /// Any revision that was ever given.
    Any(Index),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    Sent,
    /// Under another id than it is told of otherwise: a text too many.
    SentOther,
    Rejected,
    Unknown,
    UnderWay,
    Throttled(Millis),
    NotSent(Millis),
    Later(Millis),
    Parked,
    Retry {
        delay_ms: Millis,
        max_attempts: u32,
    },
    Released,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum GateTurn {
    Open,
    Stop,
    Until(Millis),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Given {
    Used,
    Unused,
    Throttled(Millis),
}

/// How the clock moves. The edges are where faults live, so it goes to them on purpose.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    By(Millis),
    /// To the instant at which the next message may go, or just beside it.
    ToNext(Millis),
    /// To the end of the next lease, or just beside it.
    ToLeaseEnd(Millis),
    /// To the time at which the next lane's unknown sends are looked up, or just beside it.
    ToLook(Millis),
    /// To the time at which the next lane's delivery reports are looked for, or just beside it.
    ToReports(Millis),
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (heavy, light) = (self.heavy, self.light);
        write!(f, "heavy {heavy:?}, light {light:?} (limit, window in ms), in-flight cap {}", self.in_flight_cap)?;
        writeln!(f, ", delivery reports are waited for {} ms", self.delivery_wait_ms)?;
        self.ops.iter().enumerate().try_for_each(|(n, op)| writeln!(f, "{n:3} {op:?}"))
    }
}

impl History {
    pub(crate) fn rules(&self) -> LaneRules {
        use ringfleet_store::{Group, Plan};
        let mut rules = LaneRules::documented();
        rules.set_plan(Group::Heavy, Plan { limit: self.heavy.0, window_ms: self.heavy.1 });
        rules.set_plan(Group::Light, Plan { limit: self.light.0, window_ms: self.light.1 });
        rules.in_flight_cap = self.in_flight_cap;
        rules.delivery_wait = std::time::Duration::from_millis(self.delivery_wait_ms as u64);
        rules
    }
}
