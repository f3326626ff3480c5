//! What is counted here. No label ever names an extension; `docs/metrics.md` lists them all.

use metrics::{counter, gauge};
use ringfleet_store::{Group, StoreError};

use crate::health::{ConnectionState, Health, SessionState};

pub(crate) fn store_error(call: &'static str, error: &StoreError) {
    counter!("ringfleet_store_errors_total", "call" => call, "kind" => error.kind()).increment(1);
}

pub(crate) fn token(result: &'static str) {
    counter!("ringfleet_token_renewals_total", "result" => result).increment(1);
}

/// A connection that was due to be kept alive was looked after.
pub(crate) fn kept_alive(result: &'static str) {
    counter!("ringfleet_connections_kept_alive_total", "result" => result).increment(1);
}

/// How the sessions and connections of the fleet stand, as this process sees them.
pub(crate) fn health(health: &Health) {
    for state in SessionState::ALL {
        gauge!("ringfleet_sessions", "state" => state.as_str()).set(health.sessions(state) as f64);
    }
    for state in ConnectionState::ALL {
        gauge!("ringfleet_connections", "state" => state.as_str()).set(health.connections(state) as f64);
    }
}

pub(crate) fn app_refused(refused: bool) {
    gauge!("ringfleet_app_refused").set(if refused { 1.0 } else { 0.0 });
}

pub(crate) fn logins_waiting(extensions: usize) {
    gauge!("ringfleet_logins_waiting").set(extensions as f64);
}

pub(crate) fn throttled(group: Group, scope: &'static str) {
    counter!("ringfleet_http_429_total", "group" => group.as_str(), "scope" => scope).increment(1);
}

/// A read went out: quota is used.
pub(crate) fn read(group: Group) {
    counter!("ringfleet_quota_used_total", "group" => group.as_str()).increment(1);
}

/// A reading of the sender directory has ended.
pub(crate) fn directory_read(what: &'static str, result: &'static str) {
    counter!("ringfleet_directory_reads_total", "what" => what, "result" => result).increment(1);
}
