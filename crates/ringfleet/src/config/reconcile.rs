//! What is done about sends whose fate is unknown, and where workers note what they have sent.

use std::{path::PathBuf, time::Duration};

use ringfleet_store::OnUnknown;
use ringfleet_worker::ReconcileOptions;

use super::{reader::Reader, settings::StoreSettings};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

pub(super) fn read_policy(r: &mut Reader<'_>) -> Option<OnUnknown> {
    r.parsed("reconcile.on_unknown", |word| {
        OnUnknown::parse(word).ok_or_else(|| format!("is {word:?}, must be \"reconcile\", \"hold\" or \"resend\""))
    })
}

pub(super) fn read_reconcile(r: &mut Reader<'_>) -> Option<ReconcileOptions> {
    let settle_time = r.duration("reconcile.settle_time", 100 * MS, 24 * HOUR);
    // SEND-SAFETY: a text is looked for that long before its intent, and what proved another sending is remembered for 15 minutes.
    let clock_skew = r.duration("reconcile.clock_skew", Duration::ZERO, 600 * SECOND);
    let give_up = r.duration("reconcile.give_up", SECOND, 7 * 24 * HOUR);
    let every = r.duration("reconcile.every", 10 * MS, 60 * SECOND);
    let (settle_time, give_up) = (settle_time?, give_up?);
    // Else everything would be held before it could be known.
    if give_up <= settle_time {
        let problem = format!("is {give_up:?}, must be longer than reconcile.settle_time ({settle_time:?})");
        r.fault("reconcile.give_up", problem);
    }
    Some(ReconcileOptions { settle_time, clock_skew: clock_skew?, give_up, every: every? })
}

/// `None` keeps the notes in memory. An SQLite store needs none: what it has acknowledged is on the disk.
pub(super) fn journal_dir(setting: &str, store: &StoreSettings) -> Option<PathBuf> {
    match setting {
        "off" => None,
        "" => store.is_redis().then(|| store.data_dir.join("journal")),
        dir => Some(PathBuf::from(dir)),
    }
}
