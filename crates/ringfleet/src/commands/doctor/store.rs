//! The store and the keys: reachable, durable, in step with the provider, and readable.

use std::{path::Path, time::Duration};

use jiff::{SignedDuration, Timestamp};
use ringcentral::{Client, ServerProbe};
use ringfleet_identity::{Kept, KeyRing};
use ringfleet_store::{Gate, SharedStore, State, Store, StoreError};
use ringfleet_worker::JournalError;

use super::{
    finding::{Finding, Section},
    server::store_clock,
};
use crate::{
    config::{KeySource, Settings},
    store::{ask_journals, describe},
};

/// What is to be done about a store that was put in another one's place.
pub(super) const REPLACED: &str =
    "docs/delivery-semantics.md, A lost store, tells what to do before anybody hands in again";

pub(super) async fn look(store: &SharedStore, client: &Client, settings: &Settings) -> Section {
    let mut findings = vec![];
    let seen = format!("{} ({})", describe(&settings.store), store.kind());
    // Version, eviction and append-only file were judged when it was opened.
    let is_redis = settings.store.is_redis();
    let volatile = if is_redis { settings.store.allow_volatile } else { !settings.store.sqlite_full };
    findings.push(if volatile {
        let step =
            "for trials only: take store.allow_volatile, or sqlite_synchronous = \"normal\", out of the settings";
        Finding::warn("store", format!("{seen}, which may forget in a crash what was sent"), step)
    } else if is_redis {
        Finding::ok("store", format!("{seen}, fit for a queue"))
    } else {
        Finding::ok("store", format!("{seen}, fit for a queue and durable"))
    });
    if is_redis && !volatile {
        findings.push(appendfsync(store.appendfsync().await));
    }
    findings.extend(data(store, settings).await);
    findings.push(clock(store, client, settings.worker.reconcile.clock_skew).await);
    findings.extend(messages(&**store).await);
    Section::new("Store", findings)
}

/// Whether these are the data that the workers of this machine, if there are any, have worked with.
async fn data(store: &SharedStore, settings: &Settings) -> Option<Finding> {
    const CHECK: &str = "data";
    let named = || Finding::ok(CHECK, format!("named {}; another name would stop the fleet", store.epoch()));
    match ask_journals(settings, store).await {
        Ok(()) => settings.store.is_redis().then(named),
        Err(error @ JournalError::OtherStore { .. }) => Some(Finding::fail(CHECK, error.to_string(), REPLACED)),
        Err(error) => Some(Finding::skip("journals", chain(&error))),
    }
}

/// How soon Redis has on its disk what it has accepted.
fn appendfsync(told: Result<Option<String>, StoreError>) -> Finding {
    const CHECK: &str = "appendfsync";
    let lost = match told.as_ref().map(Option::as_deref) {
        Ok(Some("always")) => return Finding::ok(CHECK, "always: what was accepted is on the disk"),
        Ok(Some("everysec")) => "what was accepted in the last second, or two if the disk is slow",
        Ok(_) => "all that the system had not yet written, which may be half a minute",
        Err(error) if error.is_transient() => return Finding::skip(CHECK, chain(error)),
        Err(_) => {
            let unseen = "Redis does not show it to this user (ACL: +config|get); it must be always, or a power cut takes \
                          what was accepted last";
            return Finding::skip(CHECK, unseen);
        }
    };
    let how = told.ok().flatten().unwrap_or_default();
    Finding::warn(
        CHECK,
        format!("{how}: a power cut takes {lost}; of the sends in it some may go out twice"),
        "set appendfsync always; docs/delivery-semantics.md tells what another value costs",
    )
}

/// Compares the store's clock with the provider's, both asked at the same moment.
async fn clock(store: &SharedStore, client: &Client, allowed: Duration) -> Finding {
    let (now, probe) = tokio::join!(store.now(), client.probe());
    let (Ok(now), Ok(ServerProbe { date: Some(date), elapsed, .. })) = (now, probe) else {
        return Finding::skip("clock", "the server does not tell its time");
    };
    let Ok(now) = Timestamp::from_millisecond(now) else {
        return Finding::fail("clock", "the store's time can't be read", "look at the clock of the store's machine");
    };
    // HTTP tells whole seconds, cut off; the answer was made somewhere inside its own time.
    let half = SignedDuration::try_from(elapsed / 2).unwrap_or_default();
    let ahead = (date + SignedDuration::from_millis(500)).duration_since(now + half);
    store_clock(ahead, allowed)
}

async fn messages(store: &dyn Store) -> Vec<Finding> {
    let mut findings = Vec::new();
    match store.gate().await {
        Ok(Gate::Open) => findings.push(Finding::ok("fleet", "not stopped")),
        Ok(Gate::Stopped { reason }) => {
            findings.push(Finding::fail(
                "fleet",
                format!("stopped: {reason}"),
                "`ringfleet fleet resume` lets it go on",
            ));
        }
        Ok(Gate::Until { reason, .. }) => {
            findings.push(Finding::warn("fleet", format!("waits ({reason})"), "nothing to do; it goes on by itself"));
        }
        Err(error) => findings.push(Finding::fail("fleet", chain(&error), "look at the store's log")),
    }
    if let Ok(stats) = store.stats().await {
        for (state, step) in [
            (State::Held, "a person must decide: `ringfleet held list`"),
            (State::Dead, "given up: `ringfleet message dead`"),
        ] {
            if stats.count(state) > 0 {
                let seen = format!("{} messages are {}", stats.count(state), state.as_str());
                findings.push(Finding::warn("messages", seen, step));
            }
        }
    }
    findings
}

/// The key ring, and whether it opens what lies in the store.
pub(super) fn keys(settings: &Settings, keys: &KeyRing, kept: &[Kept]) -> Section {
    let mut findings = vec![key_ring(settings, keys)];
    let (opened, closed): (Vec<_>, Vec<_>) = kept.iter().partition(|kept| kept.opened.is_ok());
    for kept in &closed {
        let error = kept.opened.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let which = format!("{} of extension {}: {error}", kept.method, kept.extension);
        findings.push(Finding::fail(
            "credential",
            which,
            "add that key to the key file, or bring the credential in again",
        ));
    }
    let old = opened.iter().filter(|kept| kept.key != keys.current()).count();
    if old > 0 {
        let seen = format!("{old} credentials are sealed with an older key");
        findings.push(Finding::warn(
            "rotation",
            seen,
            "`ringfleet credentials rotate-key` seals them with the first one",
        ));
    } else if !opened.is_empty() {
        findings.push(Finding::ok("sealed", format!("all {} credentials of the store, with that key", opened.len())));
    }
    Section::new("Keys", findings)
}

fn key_ring(settings: &Settings, keys: &KeyRing) -> Finding {
    let current = keys.current().map(|key| key.to_string()).unwrap_or_default();
    match &settings.identity.keys {
        KeySource::File(path) | KeySource::OwnFile(path) if open_to_others(path) => Finding::warn(
            "key",
            format!("{current}, in {}, which other users of this machine can read", path.display()),
            format!("chmod 600 {}", path.display()),
        ),
        KeySource::File(path) | KeySource::OwnFile(path) => {
            Finding::ok("key", format!("{current}, in {}", path.display()))
        }
        KeySource::Text(_) => Finding::ok("key", format!("{current}, from the setting identity.key")),
        KeySource::App => Finding::warn(
            "key",
            "a makeshift one, made of the app's secret: sessions are sealed, and no credential can be kept in the store",
            "make one with `ringfleet credentials new-key`, and name its file in identity.key_file on every machine",
        ),
    }
}

#[cfg(unix)]
fn open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).is_ok_and(|data| data.mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn open_to_others(_: &Path) -> bool {
    false
}

/// An error with its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}
