//! How much is measured: the whole, or what fits into five minutes.

use std::time::Duration;

/// Extensions of the limiter's bench, as in the promise.
pub(crate) const LIMITER_EXTENSIONS: u32 = 200;
/// Texts of one extension in a window: RingCentral's documented Medium plan.
pub(crate) const LIMIT: u32 = 40;

#[derive(Clone, Debug)]
pub(crate) struct Size {
    /// Backlogs at which a queue is drained, over `lanes_of_backlogs` lanes.
    pub backlogs: &'static [u64],
    pub lanes_of_backlogs: u64,
    /// Numbers of lanes at which it is drained, with `backlog_of_lanes` messages.
    pub lanes: &'static [u64],
    pub backlog_of_lanes: u64,
    /// Messages that are drained for one figure.
    pub drained: u64,
    /// Messages of a bulk enqueue, and of the parallel one.
    pub bulk: u64,
    pub parallel: u64,
    pub singles: u64,
    pub sqlite: u64,
    /// Of those that are enqueued one at a time, where each waits for the disk.
    pub sqlite_singles: u64,
    /// Backlogs of SQLite, and what is drained of each.
    pub sqlite_backlogs: [u64; 2],
    pub sqlite_drained: u64,
    /// Messages of a peer's run; those that slow down with their backlog get fewer.
    pub peer: u64,
    pub slow_peer: u64,
    pub limiter_window: Duration,
    pub limiter_windows: u32,
    /// Texts over `send_extensions` extensions.
    pub sends: u64,
    pub send_extensions: u32,
    /// The same where each answer takes its time.
    pub slow_sends: u64,
    /// Extensions of the memory figure.
    pub many_extensions: u32,
    pub idle_texts: u32,
    /// Messages of the lane beside which a quiet one is watched.
    pub noisy: u64,
}

impl Size {
    pub(crate) fn whole() -> Self {
        Self {
            backlogs: &[1_000, 10_000, 100_000, 1_000_000],
            lanes_of_backlogs: 1_000,
            lanes: &[100, 1_000, 10_000, 100_000],
            backlog_of_lanes: 500_000,
            drained: 60_000,
            bulk: 300_000,
            parallel: 60_000,
            singles: 5_000,
            sqlite: 50_000,
            sqlite_singles: 1_000,
            sqlite_backlogs: [50_000, 300_000],
            sqlite_drained: 30_000,
            peer: 100_000,
            slow_peer: 7_000,
            // RingCentral's is 60 s; what a text is late by counts the more, the shorter this is. 200 extensions at full plan are
            // 533 texts a second, four times as many as at RingCentral.
            limiter_window: Duration::from_secs(15),
            limiter_windows: 10,
            sends: 60_000,
            send_extensions: 2_000,
            slow_sends: 4_000,
            many_extensions: 10_000,
            idle_texts: 500,
            noisy: 100_000,
        }
    }

    pub(crate) fn quick() -> Self {
        Self {
            backlogs: &[1_000, 100_000, 1_000_000],
            lanes: &[100, 10_000, 100_000],
            backlog_of_lanes: 200_000,
            drained: 30_000,
            bulk: 100_000,
            parallel: 20_000,
            singles: 2_000,
            sqlite: 10_000,
            sqlite_singles: 300,
            sqlite_backlogs: [10_000, 100_000],
            sqlite_drained: 6_000,
            peer: 20_000,
            slow_peer: 5_000,
            limiter_window: Duration::from_secs(5),
            limiter_windows: 3,
            sends: 25_000,
            send_extensions: 1_000,
            slow_sends: 2_000,
            idle_texts: 200,
            ..Self::whole()
        }
    }
}
