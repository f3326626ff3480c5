//! Messages in one state, newest first.

use std::collections::BTreeMap;

use ringfleet_store::{
    Cancelled, Delivery, Enqueued, LaneId, ListFrom, MessageId, Millis, NewMessage, OptOut, Outcome, Private, Recorded,
    Resolution, State,
};

use crate::talk::*;

/// All pages, and how many messages each has.
async fn pages(s: &Subject, state: State, since: Millis, limit: u32) -> (Vec<MessageId>, Vec<usize>) {
    let from = ListFrom::newest(state).since(since);
    let (mut ids, mut sizes, mut next) = (Vec::new(), Vec::new(), Some(from));
    while let Some(from) = next {
        let page = s.store.list(&from, limit).await.unwrap();
        assert!(page.messages.iter().all(|view| view.state == state));
        sizes.push(page.messages.len());
        ids.extend(page.messages.iter().map(|view| view.id));
        next = page.next;
        assert!(sizes.len() < 100, "a list without an end");
    }
    (ids, sizes)
}

pub(crate) async fn settled(s: &Subject, lane: &LaneId, outcome: Outcome) -> MessageId {
    let id = s.put(message(lane, &format!("at {}", s.now()))).await;
    let lease = s.claim_and_begin().await;
    s.settle(lease, outcome).await;
    id
}

/// One more message in each state that can be listed.
pub(crate) async fn one_of_each(s: &Subject, lane: &LaneId) -> BTreeMap<State, MessageId> {
    let mut ids = BTreeMap::new();
    let ends = [
        (State::Rejected, rejected()),
        (State::Dead, retry(0, 1)),
        (State::Held, unknown()),
        (State::Sent, sent_as(&format!("s{}", s.now()))),
    ];
    for (state, outcome) in ends {
        ids.insert(state, settled(s, lane, outcome).await);
    }
    for (state, delivered) in [(State::Delivered, true), (State::DeliveryFailed, false)] {
        let provider_id = format!("{}{}", state.as_str(), s.now());
        ids.insert(state, settled(s, lane, sent_as(&provider_id)).await);
        let told = Delivery { provider_id, delivered, code: String::new(), opted_out: false };
        assert!(matches!(s.store.record_delivery(lane, &[told]).await.unwrap()[..], [Recorded::Done(_)]));
    }
    let new = message(lane, &format!("out at {}", s.now()));
    let out = OptOut { from: new.from.clone(), to: new.to.clone(), out: true };
    s.store.set_opt_outs(Some(lane.extension()), &[out]).await.unwrap();
    ids.insert(State::Suppressed, s.put(new).await);
    let asked = asked(lane, &format!("asked at {}", s.now()));
    ids.insert(State::Unknown, s.send_into_the_dark(asked).await.id);
    ids.insert(State::Cancelled, s.put(message(lane, "cancelled")).await);
    assert_eq!(s.store.cancel(&ids[&State::Cancelled]).await.unwrap(), Cancelled::Done);
    let late = NewMessage { send_by: Some(s.now() + 5), ..message(lane, "late") };
    ids.insert(State::Expired, s.put(late).await);
    s.step(10);
    assert_eq!(s.reap().await.expired, 1);
    ids
}

pub(crate) async fn what_has_ended_is_listed_by_its_state_newest_first(s: &Subject) {
    let mut rounds = Vec::new();
    for extension in 1..=4 {
        rounds.insert(0, one_of_each(s, &wide(extension)).await);
        s.step(10);
    }
    s.fill(&wide(9), 3).await;
    for state in State::ALL {
        let expected: Vec<MessageId> = rounds.iter().filter_map(|round| round.get(&state).copied()).collect();
        assert_eq!(expected.len(), if state.is_listed() { 4 } else { 0 }, "{state:?}");
        for limit in [1, 3, 500] {
            assert_eq!(pages(s, state, 0, limit).await.0, expected, "{state:?}, {limit} a page");
        }
    }
    let first = s.store.list(&ListFrom::newest(State::Expired), 3).await.unwrap();
    assert_eq!(first.messages.len(), 3, "a page is as long as it may be while there are enough");
}

pub(crate) async fn a_list_goes_on_behind_its_last_message_though_that_has_left_it(s: &Subject) {
    // Many of one instant, so that they are told apart by their ids alone.
    let mut all = Vec::new();
    for _ in 0..3 {
        let mut now = Vec::new();
        for extension in 1..=5 {
            now.push(settled(s, &wide(extension), retry(0, 1)).await);
        }
        now.sort();
        all.extend(now);
        s.step(10);
    }
    all.reverse();
    let (mut listed, mut next) = (Vec::new(), Some(ListFrom::newest(State::Dead)));
    while let Some(from) = next {
        let page = s.store.list(&from, 2).await.unwrap();
        listed.extend(page.messages.iter().map(|view| view.id));
        // A person has it sent again.
        if let Some(last) = page.messages.last() {
            assert_eq!(s.resolve(last.id, Resolution::Resend).await, Cancelled::Done);
        }
        // A cursor is good for another process too.
        next = page.next.map(|next| ListFrom::newest(State::Dead).after(&next.cursor().unwrap()).unwrap());
        assert!(listed.len() <= all.len(), "told twice");
    }
    assert_eq!(listed, all);
}

/// As many as a page looks at end in one instant.
pub(crate) async fn suppress(s: &Subject, lane: &LaneId, count: usize) -> Vec<MessageId> {
    let to = Private::new("+16505550199");
    let out = OptOut { from: message(lane, "").from, to: to.clone(), out: true };
    s.store.set_opt_outs(Some(lane.extension()), &[out]).await.unwrap();
    let batch: Vec<_> = (0..count).map(|n| NewMessage { to: to.clone(), ..message(lane, &n.to_string()) }).collect();
    let mut ids = Vec::new();
    for part in batch.chunks(500) {
        ids.extend(s.store.enqueue(part).await.unwrap().into_iter().map(|answer| match answer {
            Enqueued::Accepted(id) => id,
            other => panic!("not accepted: {other:?}"),
        }));
    }
    ids
}

pub(crate) async fn a_page_looks_at_five_hundred_records_and_the_next_one_goes_on_there(s: &Subject) {
    let mut expected = vec![settled(s, &wide(1), rejected()).await];
    // Of other shards, which have looked at all they have while that of the first lane has not come so far.
    for extension in 3..=8 {
        s.step(10);
        expected.push(settled(s, &wide(extension), rejected()).await);
    }
    s.step(10);
    suppress(s, &wide(1), 1_001).await;
    s.step(10);
    expected.push(settled(s, &wide(2), rejected()).await);
    expected.reverse();
    let (ids, sizes) = pages(s, State::Rejected, 0, 50).await;
    assert_eq!(ids, expected);
    assert!((3..=4).contains(&sizes.len()), "{sizes:?}");
    let (ids, sizes) = pages(s, State::Suppressed, 0, 500).await;
    assert_eq!(ids.len(), 1_001);
    assert!(ids.iter().rev().is_sorted() && sizes[0] >= 499, "{sizes:?}");
}

pub(crate) async fn what_ended_before_a_time_is_left_out_of_a_list(s: &Subject) {
    let mut rounds = Vec::new();
    for extension in 1..=4 {
        rounds.insert(0, one_of_each(s, &wide(extension)).await);
        s.step(1_000);
    }
    for state in [State::Rejected, State::Expired, State::Dead, State::Held, State::Delivered] {
        let since = s.get(rounds[1][&state]).await.finished_at.unwrap();
        for (since, many) in [(since, 2), (since + 1, 1), (s.now() + 1, 0), (0, 4)] {
            let listed = pages(s, state, since, 1).await.0;
            let expected: Vec<_> = rounds.iter().take(many).map(|round| round[&state]).collect();
            assert_eq!(listed, expected, "{state:?}");
        }
    }
}
