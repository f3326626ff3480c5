//! What operators see, and that it adds up.

use std::time::Duration;

use ringfleet_store::{Gate, LaneId, LaneView, ListFrom, NewMessage, Outcome, Priority, Reaped, State, WaitingCursor};

use crate::talk::*;

async fn counts(s: &Subject) -> Vec<(State, u64)> {
    let stats = s.store.stats().await.unwrap();
    State::ALL.into_iter().map(|state| (state, stats.count(state))).filter(|(_, n)| *n > 0).collect()
}

pub(crate) async fn counts_add_up_through_a_whole_life(s: &Subject) {
    s.fill(&wide(1), 6).await;
    s.put(NewMessage { send_at: Some(s.now() + 1_000), ..message(&wide(2), "later") }).await;
    assert_eq!(counts(s).await, [(State::Scheduled, 1), (State::Ready, 6)]);
    let leases = s.claim(5).await;
    assert_eq!(counts(s).await, [(State::Scheduled, 1), (State::Ready, 1), (State::Claimed, 5)]);
    let [a, b, c, d, _] = leases.iter().map(|lease| lease.reference()).collect::<Vec<_>>()[..] else { panic!() };
    s.store.begin_send(&[a.into(), b.into(), c.into(), d.into()], LEASE).await.unwrap();
    let now = counts(s).await;
    assert_eq!(now, [(State::Scheduled, 1), (State::Ready, 1), (State::Claimed, 1), (State::Sending, 4)]);
    s.settle(a, sent()).await;
    s.settle(b, Outcome::Rejected { code: "x".into() }).await;
    s.settle(c, unknown()).await;
    s.settle(d, retry(5_000, 5)).await;
    s.at(LEASE.as_millis() as i64);
    s.reap().await;
    let ends = [(State::Scheduled, 2), (State::Ready, 2), (State::Sent, 1), (State::Rejected, 1), (State::Held, 1)];
    assert_eq!(counts(s).await, ends);
    assert_eq!(s.claim(9).await.len(), 4);
    assert_eq!(s.store.stats().await.unwrap().total(), 7);
}

/// Texts and states of what waits in a lane, and how many pages that took.
async fn waiting(s: &Subject, lane: &LaneId) -> (Vec<(String, State)>, usize) {
    let (mut found, mut pages, mut next) = (Vec::new(), 0, Some(WaitingCursor::default()));
    while let Some(from) = next {
        let page = s.store.waiting(lane, from).await.unwrap();
        found.extend(page.messages.into_iter().map(|one| (one.text.expose().to_owned(), one.state)));
        (next, pages) = (page.next, pages + 1);
    }
    (found, pages)
}

pub(crate) async fn what_waits_in_a_lane_is_listed_by_priority_and_then_what_is_scheduled(s: &Subject) {
    let lane = wide(1);
    let first = |priority, text| NewMessage { priority, ..message(&lane, text) };
    let later =
        |lane: &LaneId, text: &str, after: i64| NewMessage { send_at: Some(s.now() + after), ..message(lane, text) };
    s.put(first(Priority::Low, "low")).await;
    s.put(later(&lane, "later", 2_000)).await;
    let cancelled = s.put(message(&lane, "cancelled")).await;
    s.put(message(&lane, "normal")).await;
    s.put(first(Priority::High, "in hand")).await;
    s.put(later(&lane, "soon", 1_000)).await;
    assert_eq!(s.claim_one().await.text.expose(), "in hand");
    s.store.cancel(&cancelled).await.unwrap();
    s.put(message(&wide(2), "another's")).await;
    s.put(later(&wide(2), "another's too", 1_500)).await;

    let told =
        [("normal", State::Ready), ("low", State::Ready), ("soon", State::Scheduled), ("later", State::Scheduled)];
    assert_eq!(waiting(s, &lane).await.0, told.map(|(text, state)| (text.to_owned(), state)));
    assert_eq!(waiting(s, &wide(3)).await.0, [], "a lane that nobody used");
}

pub(crate) async fn a_long_queue_and_a_long_schedule_are_listed_page_by_page(s: &Subject) {
    s.fill(&wide(1), 1_200).await;
    let soon: Vec<_> = (0..600)
        // The page ends among those of one time.
        .map(|n| NewMessage { send_at: Some(s.now() + 1_000 + n / 400), ..message(&wide(1), &format!("soon {n:03}")) })
        .collect();
    for some in soon.chunks(300) {
        s.store.enqueue(some).await.unwrap();
    }
    let due = (1..=1_200).map(|n| (n.to_string(), State::Ready));
    let told: Vec<_> = due.chain((0..600).map(|n| (format!("soon {n:03}"), State::Scheduled))).collect();
    let (mut found, pages) = waiting(s, &wide(1)).await;
    // Of one time they stand in any order.
    found[1_200..].sort();
    assert_eq!(found, told);
    assert_eq!(pages, 1 + 3 + 1 + 2, "of the queues by priority, and of the schedule");
}

pub(crate) async fn old_records_are_removed_and_counted(s: &Subject) {
    let ids = s.fill(&wide(1), 4).await;
    for at in [0, 1_000, 2_000] {
        s.at(at);
        s.send(&s.claim_one().await).await;
    }
    s.at(5_000);
    assert_eq!(s.store.reap(500, ms(4_001)).await.unwrap(), Reaped { pruned: 1, ..Reaped::default() });
    assert_eq!(s.store.reap(1, ms(1)).await.unwrap().pruned, 1);
    assert_eq!(s.store.get(&ids[0]).await.unwrap(), None);
    assert_eq!(s.store.get(&ids[1]).await.unwrap(), None);
    assert_eq!(counts(s).await, [(State::Ready, 1), (State::Sent, 1)]);
}

pub(crate) async fn a_held_message_is_never_removed(s: &Subject) {
    let id = s.fill(&wide(1), 1).await[0];
    let lease = s.claim_and_begin().await;
    s.settle(lease, unknown()).await;
    s.step(365 * 86_400_000);
    assert_eq!(s.store.reap(500, Duration::ZERO).await.unwrap(), Reaped::default());
    assert_eq!(s.state(id).await, State::Held);
}

pub(crate) async fn a_lane_shows_its_numbers(s: &Subject) {
    assert_eq!(s.view(&tight(9)).await.waiting, 0, "a lane that nobody used is empty, not an error");
    s.step(50);
    s.fill(&tight(1), 5).await;
    s.step(10);
    s.send(&s.claim_one().await).await;
    s.claim_one().await;
    let expected = LaneView {
        lane: Some(tight(1)),
        waiting: 3,
        in_flight: 1,
        slots_in_use: 2,
        plan: Some(TIGHT),
        paused: false,
        parked: None,
        penalty_until: None,
        oldest_due: Some(s.now() - 10),
    };
    assert_eq!(s.view(&tight(1)).await, expected);
}

pub(crate) async fn lanes_are_listed_by_their_oldest_message(s: &Subject) {
    for extension in [3, 1, 2] {
        s.fill(&wide(extension), 2).await;
        s.step(10);
    }
    s.store.set_paused(&wide(1), true).await.unwrap();
    let lanes = |views: Vec<LaneView>| views.into_iter().map(|view| view.lane.unwrap()).collect::<Vec<_>>();
    assert_eq!(lanes(s.store.lanes(10).await.unwrap()), [wide(3), wide(1), wide(2)]);
    assert_eq!(lanes(s.store.lanes(2).await.unwrap()), [wide(3), wide(1)]);
    assert_eq!(s.claim(4).await.len(), 4);
    assert_eq!(lanes(s.store.lanes(10).await.unwrap()), [wide(1)]);
}

pub(crate) async fn held_and_dead_messages_are_listed_newest_first(s: &Subject) {
    let mut held = Vec::new();
    let mut dead = Vec::new();
    for extension in 1..=4 {
        s.fill(&wide(extension), 2).await;
        let (a, b) = (s.claim_and_begin().await, s.claim_and_begin().await);
        s.settle(a, unknown()).await;
        s.settle(b, retry(0, 1)).await;
        held.insert(0, a.id);
        dead.insert(0, b.id);
        s.step(10);
    }
    for (state, expected) in [(State::Held, held), (State::Dead, dead)] {
        let listed = s.store.list(&ListFrom::newest(state), 10).await.unwrap().messages;
        assert!(listed.iter().all(|view| view.state == state));
        assert_eq!(listed.iter().map(|view| view.id).collect::<Vec<_>>(), expected);
        let newest = s.store.list(&ListFrom::newest(state), 2).await.unwrap().messages;
        assert_eq!(newest.iter().map(|view| view.id).collect::<Vec<_>>(), expected[..2]);
    }
}

pub(crate) async fn stats_tell_what_is_eligible(s: &Subject) {
    let stats = s.store.stats().await.unwrap();
    assert_eq!((stats.total(), stats.oldest_due_age, stats.lanes_waiting), (0, None, 0));
    s.fill(&tight(1), 5).await;
    s.step(100);
    for extension in 2..=5 {
        s.fill(&wide(extension), 1).await;
    }
    s.store.set_paused(&wide(5), true).await.unwrap();
    s.step(100);
    let stats = s.store.stats().await.unwrap();
    assert_eq!((stats.lanes_waiting, stats.lanes_eligible, stats.now), (5, 4, s.now()));
    assert_eq!(stats.oldest_due_age, Some(ms(200)));
    assert_eq!(s.claim(20).await.len(), 6);
    let stats = s.store.stats().await.unwrap();
    assert_eq!((stats.lanes_waiting, stats.lanes_eligible), (2, 0), "one is full, one is paused");
    assert_eq!(stats.oldest_due_age, Some(ms(200)));
}

pub(crate) async fn a_message_tells_its_history(s: &Subject) {
    let (send_at, send_by) = (s.now() + 1_000, s.now() + 900_000);
    let new = NewMessage { send_at: Some(send_at), send_by: Some(send_by), ..message(&wide(1), "x") };
    let id = s.put(new.clone()).await;
    s.at(1_000);
    let lease = s.claim_and_begin().await;
    s.settle(lease, retry(0, 5)).await;
    s.claim_one().await;
    s.step(LEASE.as_millis() as i64);
    s.reap().await;
    let view = s.store.get(&id).await.unwrap().unwrap();
    assert_eq!((view.id, view.lane, view.state), (id, wide(1), State::Ready));
    assert_eq!((view.from, view.to, view.text, view.priority), (new.from, new.to, new.text, new.priority));
    assert_eq!((view.attempt, view.recoveries), (1, 1));
    assert_eq!((view.created_at, view.send_at, view.send_by), (send_at - 1_000, Some(send_at), Some(send_by)));
    assert_eq!((view.reason.as_str(), view.provider_id, view.finished_at), ("", None, None));
}

pub(crate) async fn nothing_is_eligible_while_the_gate_is_closed(s: &Subject) {
    s.fill(&wide(1), 1).await;
    let eligible = async || s.store.stats().await.unwrap().lanes_eligible;
    assert_eq!(eligible().await, 1);
    s.store.set_gate(&Gate::Stopped { reason: "wrong text".into() }).await.unwrap();
    assert_eq!(eligible().await, 0);
    s.store.set_gate(&Gate::Open).await.unwrap();
    assert_eq!(eligible().await, 1);
    s.store.set_gate(&Gate::Until { until: s.now() + 3_000, reason: "429".into() }).await.unwrap();
    assert_eq!(eligible().await, 0);
    s.at(3_000);
    assert_eq!((eligible().await, s.store.stats().await.unwrap().lanes_waiting), (1, 1));
}

pub(crate) async fn lanes_that_stand_are_in_a_sample_as_often_as_in_the_fleet(s: &Subject) {
    for extension in 1..=60 {
        s.fill(&wide(extension), 1).await;
        s.step(1);
    }
    // Those that stand wait longest.
    for extension in 1..=12 {
        s.store.set_paused(&wide(extension), true).await.unwrap();
    }
    for every in [0, 1, 2, 3, 5] {
        let sample = s.store.lanes_spread(every).await.unwrap();
        let every = every.max(1);
        let (all, stand) = (sample.len() as u32, sample.iter().filter(|view| view.paused).count() as u32);
        let off = (all * every).abs_diff(60).max((stand * every).abs_diff(12));
        // Each of a Cluster's five shards rounds.
        assert!(off <= 5 * (every / 2), "each {every}th: {stand} of {all} stand");
        assert!(sample.is_sorted_by_key(|view| view.oldest_due), "{sample:?}");
    }
}
