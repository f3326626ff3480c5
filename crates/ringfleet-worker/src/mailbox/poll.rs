//! Looks into every connected extension's message store from time to time, whether or not it sends.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use ringfleet_identity::Lead;
use ringfleet_store::WorkerId;
use tokio_util::task::TaskTracker;

use super::{AT_ONCE, Mailboxes};
use crate::metrics;

const TICK: Duration = Duration::from_secs(1);

pub(super) async fn run(mailboxes: Arc<Mailboxes>, process: WorkerId, every: Duration) {
    let mut lead = Lead::new(mailboxes.store.clone(), mailboxes.app(), "mailboxes", process.as_str());
    let readings = TaskTracker::new();
    let mut next: HashMap<Arc<str>, Instant> = HashMap::new();
    while mailboxes.pause(TICK.min(every / 4)).await {
        match lead.have().await {
            Ok(true) => {}
            Ok(false) => {
                next.clear();
                continue;
            }
            Err(error) => {
                metrics::store_error("mailboxes", &error);
                continue;
            }
        }
        let connected = mailboxes.reader.sessions().roster().extensions();
        next.retain(|extension, _| connected.contains(extension));
        for extension in connected {
            // A new reader begins anywhere in the round, so that a restart is no burst.
            next.entry(extension).or_insert_with(|| Instant::now() + every.mul_f64(rand::random_range(0.0..1.0)));
        }
        let mut due: Vec<_> = next.iter_mut().filter(|(_, at)| **at <= Instant::now()).collect();
        due.sort_by_key(|(_, at)| **at);
        for (extension, at) in due.into_iter().take(AT_ONCE.saturating_sub(readings.len())) {
            *at = Instant::now() + every.mul_f64(rand::random_range(0.9..=1.1));
            let (this, extension) = (mailboxes.clone(), extension.clone());
            readings.spawn(async move { this.look(&extension, None).await });
        }
    }
    lead.leave().await;
}
