//! Every fault by its name.

use clap::ValueEnum;

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Stores {
    Redis,
    Sqlite,
    Both,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Store {
    Redis,
    Sqlite,
}

impl Stores {
    /// Both take turns; Redis, which can fail in more ways, has two of three.
    pub(crate) fn of(self, seed: u64) -> Store {
        match self {
            Stores::Redis => Store::Redis,
            Stores::Sqlite => Store::Sqlite,
            Stores::Both if seed.is_multiple_of(3) => Store::Sqlite,
            Stores::Both => Store::Redis,
        }
    }
}

/// What happens to a worker.
pub(crate) const WORKER: [&str; 18] = [
    "kill@claim.after_script",
    "kill@claim.after_reply",
    "kill@intent.before",
    "kill@intent.after",
    "kill@post.connected",
    "kill@post.body_sent",
    "kill@post.headers",
    "kill@post.body",
    "kill@settle.before",
    "kill@settle.after_script",
    "kill@refresh.after_response",
    "kill@drain.mid",
    "term@intent.before",
    "term@post.connected",
    "term@post.headers",
    "term@settle.before",
    "kill@any_time",
    "freeze_and_thaw",
];

/// What the provider does.
pub(crate) const PROVIDER: [&str; 14] = [
    "accept_then_hang",
    "accept_then_reset",
    "hang_before_read",
    "reset_before",
    "error_after_accept",
    "error_before",
    "garbage",
    "truncated",
    "drip",
    "delay",
    "storm_5xx",
    "storm_429",
    "revoked_session",
    "revoked_jwt",
];

/// What happens to Redis, or to the way there.
pub(crate) const REDIS: [&str; 11] = [
    "redis_restart",
    "redis_tail_lost",
    "redis_and_worker_die",
    "redis_freeze",
    "redis_full_stop_and_go",
    "partition",
    "latency",
    "lost_replies",
    "half_open",
    "resets",
    "clock_back",
];

pub(crate) fn names() -> Vec<&'static str> {
    WORKER.into_iter().chain(PROVIDER).chain(REDIS).collect()
}

/// Those of one kind strike by the same means, so that a means that is broken shows after few runs.
pub(crate) fn kind(name: &str) -> &'static str {
    if is_failpoint(name) {
        "failpoints"
    } else if WORKER.contains(&name) {
        "workers"
    } else if PROVIDER.contains(&name) {
        "provider"
    } else {
        "redis"
    }
}

/// A place of the code at which the first worker ends itself.
pub(crate) fn is_failpoint(name: &str) -> bool {
    name.contains('@') && name != "kill@any_time"
}

/// What the provider does to requests by a rule that lies in wait from the start.
pub(crate) fn is_rule(name: &str) -> bool {
    PROVIDER.contains(&name) && !["storm_5xx", "revoked_session", "revoked_jwt"].contains(&name)
}

pub(crate) fn is_known(name: &str) -> bool {
    names().contains(&name)
}

/// Faults of the way to Redis need a proxy on it.
pub(crate) fn needs_proxy(name: &str) -> bool {
    ["partition", "latency", "lost_replies", "half_open", "resets"].contains(&name)
}

/// Those that make the provider refuse for the rate, so that a 429 is no broken promise.
pub(crate) fn throttles(name: &str) -> bool {
    name == "storm_429"
}
