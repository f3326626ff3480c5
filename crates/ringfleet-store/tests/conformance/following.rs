//! The changes of all messages, the oldest first.

use std::collections::BTreeMap;

use ringfleet_store::{
    Cancelled, ChangeCursor, Delivery, LaneId, ListFrom, MessageId, Millis, Outcome, Recorded, Resolution, Settled,
    State,
};

use crate::{
    listing::{one_of_each, settled, suppress},
    talk::*,
};

/// So old a change must be.
const SETTLED: i64 = 3_000;

/// Reads each shard to its end, as one who follows.
struct Follower<'a> {
    s: &'a Subject,
    cursors: Vec<ChangeCursor>,
    limit: u32,
}

type Told = (ChangeCursor, MessageId, State);

impl<'a> Follower<'a> {
    async fn begin(s: &'a Subject, limit: u32) -> Self {
        let mut cursors = Vec::new();
        for shard in 0..s.store.shards() {
            let begun = s.store.changes(shard, None, limit).await.unwrap();
            assert_eq!((begun.changes.len(), begun.more, begun.now), (0, false, s.now()));
            cursors.push(begun.next);
        }
        Self { s, cursors, limit }
    }

    /// What is new, a list for each shard.
    async fn read_shards(&mut self) -> Vec<Vec<Told>> {
        let mut shards = Vec::new();
        for shard in 0..self.cursors.len() {
            let mut told: Vec<Told> = Vec::new();
            loop {
                // A cursor is good for another process too.
                let after: ChangeCursor = self.cursors[shard].to_string().parse().unwrap();
                let page = self.s.store.changes(shard, Some(&after), self.limit).await.unwrap();
                assert!(page.changes.len() <= self.limit as usize && page.next >= after);
                told.extend(page.changes.iter().map(|change| (change.cursor, change.message.id, change.message.state)));
                self.cursors[shard] = page.next;
                if !page.more {
                    break;
                }
                assert!(told.len() < 5_000, "changes without an end");
            }
            assert!(told.is_sorted(), "not in the order in which it happened");
            shards.push(told);
        }
        shards
    }

    /// What is new once it is old enough, of all shards together.
    async fn read(&mut self) -> Vec<(MessageId, State)> {
        self.s.step(SETTLED);
        let mut told: Vec<_> = self.read_shards().await.into_iter().flatten().collect();
        told.sort();
        told.into_iter().map(|(_, id, state)| (id, state)).collect()
    }
}

async fn report(s: &Subject, lane: &LaneId, provider_id: &str, delivered: bool) {
    let told = Delivery { provider_id: provider_id.into(), delivered, code: String::new(), opted_out: false };
    assert!(matches!(s.store.record_delivery(lane, &[told]).await.unwrap()[..], [Recorded::Done(_)]));
}

pub(crate) async fn all_that_ends_or_is_held_is_told_once_in_its_order(s: &Subject) {
    let mut followers = Vec::new();
    for limit in [1, 3, 500] {
        followers.push(Follower::begin(s, limit).await);
    }
    let mut expected = Vec::new();
    for extension in 1..=4 {
        let ids: BTreeMap<State, MessageId> = one_of_each(s, &wide(extension)).await;
        for (state, id) in ids.into_iter().filter(|(state, _)| *state != State::Unknown) {
            expected.push((s.get(id).await.came_into_state(), id, state));
        }
        s.step(10);
    }
    s.fill(&wide(9), 3).await;
    expected.sort();
    let expected: Vec<_> = expected.into_iter().map(|(_, id, state)| (id, state)).collect();
    assert_eq!(expected.len(), 4 * 9);
    s.step(SETTLED);
    for follower in &mut followers {
        assert_eq!(follower.read().await, expected, "{} a page", follower.limit);
        assert_eq!(follower.read().await, [], "{} a page", follower.limit);
    }
}

pub(crate) async fn many_changes_of_one_instant_are_told_once_each(s: &Subject) {
    let mut followers = Vec::new();
    for limit in [7, 100, 500] {
        followers.push(Follower::begin(s, limit).await);
    }
    let mut expected = Vec::new();
    // Held ones stand elsewhere than ended ones; of one instant, both go by their ids.
    for extension in 1..=5 {
        expected.push((settled(s, &wide(extension), unknown()).await, State::Held));
        expected.push((settled(s, &wide(extension), rejected()).await, State::Rejected));
    }
    expected.extend(suppress(s, &wide(1), 1_001).await.into_iter().map(|id| (id, State::Suppressed)));
    expected.sort();
    s.step(SETTLED);
    for follower in &mut followers {
        assert_eq!(follower.read().await, expected, "{} a page", follower.limit);
        assert_eq!(follower.read().await, [], "{} a page", follower.limit);
    }
}

pub(crate) async fn what_is_younger_than_three_seconds_is_left_to_the_next_reading(s: &Subject) {
    let mut follower = Follower::begin(s, 5).await;
    let first = settled(s, &wide(1), rejected()).await;
    s.step(1);
    let second = settled(s, &wide(1), rejected()).await;
    for (step, told) in [(SETTLED - 2, None), (1, Some(first)), (1, Some(second)), (1, None)] {
        s.step(step);
        let read: Vec<_> = follower.read_shards().await.into_iter().flatten().map(|(_, id, _)| id).collect();
        assert_eq!(read, Vec::from_iter(told));
    }
}

pub(crate) async fn a_message_whose_state_changes_again_is_told_again(s: &Subject) {
    let mut follower = Follower::begin(s, 5).await;
    let (one, other) = (settled(s, &wide(1), sent_as("1")).await, settled(s, &wide(1), sent_as("2")).await);
    let held = s.put(message(&wide(2), "held")).await;
    let lease = s.claim_and_begin().await;
    s.settle(lease, unknown()).await;
    let mut sent = vec![(one, State::Sent), (other, State::Sent), (held, State::Held)];
    sent.sort();
    assert_eq!(follower.read().await, sent);
    // Reports come in another order than the sendings went.
    report(s, &wide(1), "2", false).await;
    s.step(1);
    report(s, &wide(1), "1", true).await;
    s.step(1);
    assert_eq!(s.resolve(held, Resolution::Cancelled).await, Cancelled::Done);
    let changed = [(other, State::DeliveryFailed), (one, State::Delivered), (held, State::Cancelled)];
    assert_eq!(follower.read().await, changed);
    // What a worker tells late of one that was taken for not sent.
    let old = s.put(message(&wide(3), "late")).await;
    let lease = s.lease_lost_before_its_intent().await;
    assert_eq!(s.store.cancel(&old).await.unwrap(), Cancelled::Done);
    assert_eq!(follower.read().await, [(old, State::Cancelled)]);
    assert_eq!(s.settle(lease, sent_as("3")).await, Settled::LateEvidence(State::Sent));
    assert_eq!(follower.read().await, [(old, State::Sent)]);
    assert_eq!(follower.read().await, []);
}

pub(crate) async fn one_that_has_left_its_end_is_told_when_it_comes_to_the_next(s: &Subject) {
    let mut follower = Follower::begin(s, 5).await;
    let held = settled(s, &wide(1), unknown()).await;
    let dead = settled(s, &wide(2), retry(0, 1)).await;
    for id in [held, dead] {
        assert_eq!(s.resolve(id, Resolution::Resend).await, Cancelled::Done);
    }
    assert_eq!(follower.read().await, [], "they wait again");
    s.step(1);
    let mut ends: Vec<(Millis, MessageId)> = Vec::new();
    for _ in 0..2 {
        let lease = s.claim_and_begin().await;
        s.settle(lease, Outcome::Rejected { code: "MSG-304".into() }).await;
        ends.push((s.now(), lease.id));
        s.step(1);
    }
    ends.sort();
    let ends: Vec<_> = ends.into_iter().map(|(_, id)| (id, State::Rejected)).collect();
    assert_eq!(follower.read().await, ends);
}

pub(crate) async fn who_begins_is_told_nothing_of_before_and_who_goes_back_all_of_it(s: &Subject) {
    let before = s.now();
    let id = settled(s, &wide(1), rejected()).await;
    s.step(SETTLED + 1);
    let mut follower = Follower::begin(s, 5).await;
    assert_eq!(follower.read().await, []);
    for (from, told) in [(before, vec![(id, State::Rejected)]), (before + 1, vec![])] {
        follower.cursors.fill(ChangeCursor::before(from));
        assert_eq!(follower.read().await, told);
    }
    assert!(s.store.changes(s.store.shards(), None, 1).await.is_err() || s.store.kind() == "sqlite");
    let places: Vec<_> = (0..1_000).map(|n| s.store.shard_of_doc(&n.to_string())).collect();
    assert!((0..s.store.shards()).all(|shard| places.contains(&shard)), "each has documents of its own");
}

pub(crate) async fn a_report_brings_its_message_to_the_time_at_which_it_came(s: &Subject) {
    let (one, other) = (settled(s, &wide(1), sent_as("1")).await, settled(s, &wide(1), sent_as("2")).await);
    s.step(50_000);
    report(s, &wide(1), "2", true).await;
    let since = s.now();
    s.step(50_000);
    report(s, &wide(1), "1", true).await;
    for (since, expected) in [(0, vec![one, other]), (since, vec![one, other]), (since + 1, vec![one])] {
        let listed = s.store.list(&ListFrom::newest(State::Delivered).since(since), 5).await.unwrap().messages;
        assert_eq!(listed.iter().map(|view| view.id).collect::<Vec<_>>(), expected);
    }
}
