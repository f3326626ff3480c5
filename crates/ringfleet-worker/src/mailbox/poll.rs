//! Looks into every connected extension's message store from time to time, whether or not it sends.

use std::{sync::Arc, time::Duration};

use ringfleet_store::WorkerId;
use tokio::task::JoinSet;

use super::{AT_ONCE, Cause, Mailboxes};
use crate::turns::Turns;

const TICK: Duration = Duration::from_secs(1);

pub(super) async fn run(mailboxes: Arc<Mailboxes>, process: WorkerId, every: Duration) {
    let roster = mailboxes.reader.sessions().roster();
    let mut turns = Turns::new("mailboxes", &mailboxes.store, mailboxes.app(), &process, roster);
    let mut readings = JoinSet::new();
    loop {
        tokio::select! {
            go_on = mailboxes.pause(TICK.min(every / 4)) => if !go_on { break },
            Some(_) = readings.join_next() => {}
        }
        if !turns.are_ours().await {
            continue;
        }
        for extension in turns.take(AT_ONCE.saturating_sub(readings.len()), every, every) {
            let this = mailboxes.clone();
            readings.spawn(async move { this.look(&extension, Cause::Time).await });
        }
    }
    turns.leave().await;
}
