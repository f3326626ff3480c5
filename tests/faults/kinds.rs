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
pub(crate) const PROVIDER: [&str; 18] = [
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
    "token_error",
    "token_lost",
    "lookup_error",
    "lookup_garbage",
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

/// Which requests a rule of this name meets that lies in wait from the start.
pub(crate) fn endpoint(rule: &str) -> &'static str {
    match rule.split_once('_') {
        Some(("token", _)) => "token",
        Some(("lookup", _)) => "message-store",
        _ => "sms",
    }
}

/// Those by which the provider's message store can't be read.
pub(crate) fn hides_messages(name: &str) -> bool {
    endpoint(name) == "message-store"
}

/// How often it may cost an extension one more login, and one more session beside the first: a login that was granted and not
/// kept, by a worker or by the store, or a session that was ended.
pub(crate) fn logins_lost(name: &str) -> u64 {
    match name {
        "token_lost" => TOKENS_LOST,
        "latency" | "clock_back" => 0,
        "revoked_session" | "revoked_jwt" | "freeze_and_thaw" => 1,
        name => u64::from(name.starts_with("kill@") || REDIS.contains(&name)),
    }
}

/// Answers of the token endpoint that get lost in a run, at most.
pub(crate) const TOKENS_LOST: u64 = 3;

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
