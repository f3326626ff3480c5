//! What a worker is told: the times it lives by.

use std::{path::PathBuf, sync::Arc, time::Duration};

use ringfleet_quiet::QuietHours;

use crate::webhooks::Hints;

#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// For people; the incarnation id is made of it.
    pub name: String,
    /// Messages in hand at once, from the claim to the answer.
    pub concurrency: u32,
    /// A dead worker's messages go on after this time (and the reaper's interval). Kept alive every third of it.
    pub lease: Duration,
    /// How often this worker looks for what dead ones left behind.
    pub reap_every: Duration,
    /// Final records are kept this long: status lookups and duplicate detection end with them.
    pub retention: Duration,
    /// What a drain may take before the process gives up on what is still in flight.
    pub drain: Duration,
    /// Attempts before a message that certainly was not sent is dead.
    pub max_attempts: u32,
    /// Longest sleep without asking the store, should every wake-up be lost.
    pub poll: Duration,
    pub reconcile: ReconcileOptions,
    /// How often this worker looks for texts whose delivery report is due; `None` reads none.
    pub delivery_every: Option<Duration>,
    pub inbound: InboundOptions,
    /// How old what is known of extensions and numbers may grow before the provider is asked again; `None` asks never.
    pub directory_refresh: Option<Duration>,
    /// When nothing is sent, by the recipient's clock; `None` always sends. They are to know how long a text is
    /// [on its way](crate::on_its_way) with these leases.
    pub quiet_hours: Option<QuietHours>,
    /// Where this worker keeps what it has sent last, for a store that loses its last moments. `None` keeps it in memory
    /// only.
    pub journal_dir: Option<PathBuf>,
}

/// How sends whose fate is unknown are looked up in the provider's message store.
#[derive(Clone, Debug)]
pub struct ReconcileOptions {
    /// A text that is not on record this long after its fate became unknown will not come.
    pub settle_time: Duration,
    /// How far the provider's clock may be behind the store's.
    pub clock_skew: Duration,
    /// A send that could not be looked up for so long is held; of times in which nobody looked little counts.
    pub give_up: Duration,
    /// How often this worker looks for sends to look up.
    pub every: Duration,
}

/// How what comes in is looked for.
#[derive(Clone, Debug)]
pub struct InboundOptions {
    /// How often each connected extension is looked into; `None` leaves it to others.
    pub poll: Option<Duration>,
    /// Also for calls that nobody took.
    pub calls: bool,
    /// What came in is kept so long.
    pub retention: Duration,
    /// The address under which the provider reaches the fleet's webhooks; `None` subscribes to nothing.
    pub public_url: Option<String>,
    /// A subscription lives so long unless it is renewed.
    pub subscription_life: Duration,
    /// What this process's own webhook hears.
    pub hints: Arc<Hints>,
}

impl Default for InboundOptions {
    fn default() -> Self {
        Self {
            poll: None,
            calls: false,
            retention: Duration::from_secs(30 * 86_400),
            public_url: None,
            subscription_life: Duration::from_secs(7 * 86_400),
            hints: Arc::default(),
        }
    }
}

impl Default for ReconcileOptions {
    fn default() -> Self {
        Self {
            settle_time: Duration::from_secs(90),
            clock_skew: Duration::from_secs(120),
            give_up: Duration::from_secs(3_600),
            every: Duration::from_millis(500),
        }
    }
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            name: "worker".to_owned(),
            concurrency: 64,
            lease: Duration::from_secs(10),
            reap_every: Duration::from_secs(2),
            retention: Duration::from_secs(7 * 86_400),
            drain: Duration::from_secs(20),
            max_attempts: 5,
            poll: Duration::from_secs(1),
            reconcile: ReconcileOptions::default(),
            delivery_every: None,
            inbound: InboundOptions::default(),
            directory_refresh: None,
            quiet_hours: None,
            journal_dir: None,
        }
    }
}
