//! Tells the store what was sent, though it may refuse some of it.

use std::{collections::HashSet, slice::from_ref, time::Duration};

use ringfleet_store::{Reassertion, Settled, SharedStore, StoreError};

pub(crate) struct Told {
    /// What the store makes of each; `None` of one that it can't settle: something else stands where a key of its lane should be.
    pub(crate) answers: Vec<Option<Settled>>,
    /// Why, of the last of those.
    pub(crate) refused: Option<StoreError>,
}

/// SEND-SAFETY: one that can't be settled must not take the others along, which the store would believe unsent. A store that can
/// settle none, of several lanes, is at fault itself: an error. `retention` as in [`Store::reassert`](ringfleet_store::Store::reassert).
pub(crate) async fn tell(store: &SharedStore, sends: &[Reassertion], retention: Duration) -> Result<Told, StoreError> {
    let mut refused = match store.reassert(sends, retention).await {
        Ok(answers) => return Ok(Told { answers: answers.into_iter().map(Some).collect(), refused: None }),
        Err(error) if is_refusal(&error) => error,
        Err(error) => return Err(error),
    };
    let mut answers = Vec::with_capacity(sends.len());
    for send in sends {
        match store.reassert(from_ref(send), retention).await {
            Ok(answer) => answers.push(answer.first().copied()),
            Err(error) if is_refusal(&error) => {
                crate::metrics::store_error("reassert", &error);
                let id = send.settlement.lease.id;
                tracing::error!(message.id = %id, error = &error as &dyn std::error::Error, "the store can't be told of a send");
                answers.push(None);
                refused = error;
            }
            Err(error) => return Err(error),
        }
    }
    let refused_lanes: HashSet<_> =
        sends.iter().zip(&answers).filter(|(_, answer)| answer.is_none()).map(|(send, _)| &send.lane).collect();
    if refused_lanes.len() > 1 && answers.iter().all(Option::is_none) {
        return Err(refused);
    }
    let refused = answers.contains(&None).then_some(refused);
    Ok(Told { answers, refused })
}

/// The same each time.
pub(super) fn is_refusal(error: &StoreError) -> bool {
    matches!(error, StoreError::Refused { .. } | StoreError::Unreadable { .. })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]
mod tests {
    use std::time::{Instant, SystemTime};

    use ringfleet_store::{
        LaneId, LeaseRef, MessageId, OnUnknown, Outcome, PlanSeen, Settlement, State, sqlite::SqliteOptions,
    };
    use ringfleet_testkit::RedisServer;

    use super::*;
    use crate::{
        journal::{Entry, Journal, Whose},
        tests::rig::{begun, claimed, redis, spoil, sqlite, state, text},
    };

    /// Texts of these extensions, each sent and not reported yet.
    async fn sent(store: &SharedStore, extensions: &[&str]) -> Vec<Reassertion> {
        let mut sends = Vec::new();
        for (to, extension) in (1..).zip(extensions) {
            let lease = begun(store, text(extension, to, OnUnknown::Resend)).await;
            let outcome = Outcome::Sent { provider_id: to.to_string() };
            let (age, seen) = (Duration::ZERO, PlanSeen::default());
            let settlement = Settlement { lease: lease.reference(), outcome, age, seen };
            sends.push(Reassertion { settlement, lane: lease.lane });
        }
        sends
    }

    #[tokio::test]
    async fn a_send_that_can_not_be_settled_keeps_no_other_from_being_told() {
        let server = RedisServer::start();
        let store = redis(&server).await;
        let sends = sent(&store, &["101", "102", "103"]).await;
        spoil(&server, &format!("wait:{}", sends[1].lane));
        assert!(store.reassert(&sends[1..2], Duration::MAX).await.is_err());
        let Told { answers, refused } = tell(&store, &sends, Duration::MAX).await.unwrap();
        let done = Some(Settled::Done(State::Sent));
        // The first may have been settled before the second was met.
        assert!([done, Some(Settled::Again(State::Sent))].contains(&answers[0]), "{answers:?}");
        assert_eq!(answers[1..], [None, done]);
        assert!(refused.is_some());
    }

    /// Its file is told for days.
    #[tokio::test]
    async fn a_dead_workers_send_that_can_not_be_settled_keeps_nobody_from_beginning() {
        let (server, folder) = (RedisServer::start(), tempfile::tempdir().unwrap());
        let store = redis(&server).await;
        let sends = sent(&store, &["101", "101"]).await;
        let opens = async || Journal::open(folder.path(), &store.epoch(), 1).await.unwrap();
        let journal = opens().await;
        let ended = |send: &Reassertion| {
            let how = &send.settlement;
            Entry::ended(how.lease, &send.lane, &how.outcome, true, Instant::now())
        };
        journal.record(sends.iter().map(ended).collect()).await;
        spoil(&server, &format!("wait:{}", sends[0].lane));
        let telling = journal.reassert(&store, Duration::MAX, Whose::All);
        assert!(telling.await.is_err(), "its own are told until the store has them");
        drop(journal);
        opens().await.reassert(&store, Duration::MAX, Whose::All).await.unwrap();
    }

    const HOUR: Duration = Duration::from_secs(3_600);

    /// Sent, by the clock of this machine two hours ago.
    fn sent_long_ago(lease: LeaseRef, lane: &LaneId) -> Entry {
        let outcome = Outcome::Sent { provider_id: lease.id.to_string() };
        Entry { at: SystemTime::now() - 2 * HOUR, ..Entry::ended(lease, lane, &outcome, true, Instant::now()) }
    }

    /// It was away for so long, or that clock is wrong.
    #[tokio::test]
    async fn a_store_that_believes_a_send_of_before_the_retention_unsent_is_told_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = sqlite(folder.path(), SqliteOptions::default()).await;
        let lease = claimed(&store, text("101", 1, OnUnknown::Hold)).await;
        let journal = Journal::in_memory(1);
        journal.record(vec![sent_long_ago(lease.reference(), &lease.lane)]).await;
        assert_eq!(journal.reassert(&store, HOUR, Whose::All).await.unwrap(), 1);
        assert_eq!(state(&store, &lease.id).await, Some(State::Sent));
    }

    /// Here by the store's clock too, as records are kept for no time.
    #[tokio::test]
    async fn a_send_of_long_ago_ends_the_message_that_waited_before_it_and_makes_no_record_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let store = sqlite(folder.path(), SqliteOptions::default()).await;
        let lease = claimed(&store, text("101", 1, OnUnknown::Hold)).await;
        let forgotten = LeaseRef { id: MessageId::random(), ..lease.reference() };
        let journal = Journal::in_memory(1);
        journal.record([lease.reference(), forgotten].map(|of| sent_long_ago(of, &lease.lane)).to_vec()).await;
        for _ in 0..2 {
            journal.tell_anew();
            assert_eq!(journal.reassert(&store, Duration::ZERO, Whose::All).await.unwrap(), 2);
            assert_eq!(state(&store, &lease.id).await, Some(State::Sent));
            assert_eq!(state(&store, &forgotten.id).await, None);
        }
    }

    #[tokio::test]
    async fn a_store_that_can_settle_nothing_has_not_been_told() {
        let server = RedisServer::start();
        let store = redis(&server).await;
        let sends = sent(&store, &["101", "102"]).await;
        for send in &sends {
            spoil(&server, &format!("wait:{}", send.lane));
        }
        assert!(tell(&store, &sends, Duration::MAX).await.is_err());
    }
}
