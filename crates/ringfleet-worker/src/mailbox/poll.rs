//! Looks into every connected extension's message store from time to time, whether or not it sends.

use std::{sync::Arc, time::Duration};

use ringfleet_identity::LoginBudget;
use ringfleet_store::WorkerId;
use tokio::task::JoinSet;

use super::{AT_ONCE, Cause, Mailboxes};
use crate::turns::Turns;

const TICK: Duration = Duration::from_secs(1);
/// About how long a look takes.
const A_LOOK: Duration = Duration::from_millis(300);
/// However large the fleet is: each is some calls of the store.
const MOST_AT_ONCE: usize = 64;

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
        let mut most = at_once(turns.len(), every);
        // Not for each that has ended: the next ones are looked for among all.
        if most.saturating_sub(readings.len()) < most.div_ceil(AT_ONCE) {
            continue;
        }
        // Each look may find room for a login: of a budget that all share they would take more together than sends can spare.
        if most > AT_ONCE && !has_own_logins(&mailboxes).await {
            most = AT_ONCE;
        }
        let free = most.saturating_sub(readings.len());
        for extension in turns.take(free, every, every) {
            let this = mailboxes.clone();
            readings.spawn(async move { this.look(&extension, Cause::Time).await });
        }
    }
    turns.leave().await;
}

/// As many looks as let a round of so many extensions take half of the time between two: a STOP must not be heard late because the
/// fleet is large.
fn at_once(extensions: usize, every: Duration) -> usize {
    let needed = extensions as f64 * A_LOOK.as_secs_f64() / (every / 2).as_secs_f64();
    (needed.ceil() as usize).clamp(AT_ONCE, MOST_AT_ONCE)
}

/// Each extension is known to have a budget of logins of its own.
async fn has_own_logins(mailboxes: &Mailboxes) -> bool {
    let budget = LoginBudget::read(&mailboxes.store, mailboxes.app()).await;
    budget.is_ok_and(|budget| budget.of_the_app == Some(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_fleet_is_looked_through_in_half_the_time_between_two_looks_and_a_small_one_by_a_few() {
        let every = Duration::from_secs(600);
        assert_eq!([0, 10, 4_000].map(|extensions| at_once(extensions, every)), [AT_ONCE; 3]);
        let most = at_once(50_000, every);
        assert!(most < MOST_AT_ONCE && A_LOOK * 50_000 / most as u32 <= every / 2, "{most}");
        assert_eq!(at_once(1_000_000, every), MOST_AT_ONCE);
        assert_eq!(at_once(1, Duration::ZERO), MOST_AT_ONCE);
    }
}
