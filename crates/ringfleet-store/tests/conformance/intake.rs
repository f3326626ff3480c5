//! Taking messages in: what is accepted, what was here before.

use ringfleet_store::{Enqueued, MessageId, NewMessage, Priority, Private, State, StoreError};

use crate::talk::*;

pub(crate) async fn what_goes_in_comes_out_unchanged(s: &Subject) {
    let new = NewMessage { priority: Priority::High, ..message(&wide(1), "Grüße 👋\n|\t%s") };
    let id = s.put(new.clone()).await;
    s.step(40);
    let lease = s.claim_one().await;
    assert_eq!((lease.id, lease.lane.clone(), lease.priority), (id, wide(1), Priority::High));
    assert_eq!((lease.from.expose(), lease.to.expose()), (new.from.expose(), new.to.expose()));
    assert_eq!(lease.text.expose(), "Grüße 👋\n|\t%s");
    assert_eq!((lease.attempt, lease.recoveries), (0, 0));
    assert_eq!((lease.created_at, lease.due_at), (s.now() - 40, s.now() - 40));
}

pub(crate) async fn a_repeated_key_is_a_duplicate(s: &Subject) {
    let once = NewMessage { key: key("k"), ..message(&wide(1), "once") };
    let id = s.put(once.clone()).await;
    assert_eq!(id, MessageId::from_key(once.key.as_ref().unwrap()));
    assert_eq!(s.store.enqueue(&[once]).await.unwrap(), [Enqueued::Duplicate(id)]);
    assert_eq!(s.claim(5).await.len(), 1);
}

pub(crate) async fn a_repeated_key_within_one_batch_is_a_duplicate(s: &Subject) {
    let keyed = |name, text| NewMessage { key: key(name), ..message(&wide(1), text) };
    let batch = [keyed("a", "1"), keyed("b", "2"), keyed("a", "1"), keyed("b", "other")];
    let id = |n: usize| MessageId::from_key(batch[n].key.as_ref().unwrap());
    let expected =
        [Enqueued::Accepted(id(0)), Enqueued::Accepted(id(1)), Enqueued::Duplicate(id(0)), Enqueued::Conflict(id(1))];
    assert_eq!(s.store.enqueue(&batch).await.unwrap(), expected);
    assert_eq!(texts(&s.claim(5).await), ["1", "2"]);
}

pub(crate) async fn a_key_with_other_content_is_a_conflict(s: &Subject) {
    let first = NewMessage { key: key("k"), ..message(&wide(1), "one") };
    let id = s.put(first.clone()).await;
    let others = [
        NewMessage { text: Private::new("two"), ..first.clone() },
        NewMessage { to: Private::new("+16505550111"), ..first.clone() },
        NewMessage { from: Private::new("+16505550111"), ..first.clone() },
        NewMessage { send_at: Some(s.now() + 1), ..first.clone() },
        NewMessage { send_by: Some(s.now() + 1), ..first.clone() },
    ];
    assert_eq!(s.store.enqueue(&others).await.unwrap(), [Enqueued::Conflict(id); 5]);
    assert_eq!(texts(&s.claim(5).await), ["one"]);
}

pub(crate) async fn a_key_in_another_lane_is_a_conflict(s: &Subject) {
    // Many lanes, so that several shards are met.
    let id = s.put(NewMessage { key: key("k"), ..message(&wide(0), "once") }).await;
    for extension in 1..30 {
        let elsewhere = NewMessage { key: key("k"), ..message(&wide(extension), "once") };
        assert_eq!(s.store.enqueue(&[elsewhere]).await.unwrap(), [Enqueued::Conflict(id)]);
    }
    assert_eq!(s.claim(50).await.len(), 1);
}

pub(crate) async fn raising_the_priority_of_a_known_message_changes_nothing(s: &Subject) {
    let normal = NewMessage { key: key("k"), ..message(&wide(1), "once") };
    let id = s.put(normal.clone()).await;
    let raised = NewMessage { priority: Priority::High, ..normal };
    assert_eq!(s.store.enqueue(&[raised]).await.unwrap(), [Enqueued::Duplicate(id)]);
    assert_eq!(s.claim_one().await.priority, Priority::Normal);
}

pub(crate) async fn messages_without_a_key_are_never_duplicates(s: &Subject) {
    let (a, b) = (s.put(message(&wide(1), "same")).await, s.put(message(&wide(1), "same")).await);
    assert_ne!(a, b);
    s.send(&s.claim_one().await).await;
    s.send(&s.claim_one().await).await;
    assert_eq!([s.state(a).await, s.state(b).await], [State::Sent; 2]);
}

pub(crate) async fn a_final_message_still_holds_its_key(s: &Subject) {
    let once = NewMessage { key: key("k"), ..message(&wide(1), "once") };
    let id = s.put(once.clone()).await;
    s.send(&s.claim_one().await).await;
    assert_eq!(s.store.enqueue(std::slice::from_ref(&once)).await.unwrap(), [Enqueued::Duplicate(id)]);
    let other = NewMessage { text: Private::new("other"), ..once };
    assert_eq!(s.store.enqueue(&[other]).await.unwrap(), [Enqueued::Conflict(id)]);
    assert!(s.claim(5).await.is_empty());
}

pub(crate) async fn a_forgotten_message_gives_its_key_back(s: &Subject) {
    let once = NewMessage { key: key("k"), ..message(&wide(1), "once") };
    let id = s.put(once.clone()).await;
    s.send(&s.claim_one().await).await;
    s.step(1_000);
    assert_eq!(s.store.reap(500, ms(1_000)).await.unwrap().pruned, 1);
    assert_eq!(s.put(once).await, id);
    assert_eq!(s.claim_one().await.text.expose(), "once");
}

pub(crate) async fn five_hundred_messages_go_in_at_once(s: &Subject) {
    let batch: Vec<_> = (0..500).map(|n| message(&wide(n % 70), &n.to_string())).collect();
    let answers = s.store.enqueue(&batch).await.unwrap();
    assert_eq!(answers.len(), 500);
    assert!(answers.iter().all(|answer| matches!(answer, Enqueued::Accepted(_))));
    assert_eq!(s.store.stats().await.unwrap().count(State::Ready), 500);
    assert!(s.store.enqueue(&[]).await.unwrap().is_empty());
}

/// A store may refuse what it can't keep, but never hands out something else than it took.
pub(crate) async fn odd_characters_survive_or_are_refused(s: &Subject) {
    for odd in ["a\0b", "a|b", "\0", "|1|2|3", "", "\r\n", "\u{feff}"] {
        let plain = message(&wide(1), "plain");
        let fields = [
            NewMessage { from: Private::new(odd), ..plain.clone() },
            NewMessage { to: Private::new(odd), ..plain.clone() },
            NewMessage { text: Private::new(odd), ..plain.clone() },
        ];
        for new in fields {
            match s.store.enqueue(std::slice::from_ref(&new)).await {
                Err(StoreError::Refused { .. }) => continue,
                answer => assert!(matches!(answer.unwrap()[..], [Enqueued::Accepted(_)])),
            }
            let lease = s.claim_one().await;
            assert_eq!([&lease.from, &lease.to, &lease.text], [&new.from, &new.to, &new.text], "{odd:?}");
            s.begin(lease.reference()).await;
            let reason = ringfleet_store::Outcome::Unknown { reason: odd.into() };
            s.settle(lease.reference(), reason).await;
            let view = s.store.get(&lease.id).await.unwrap().unwrap();
            assert_eq!((view.state, &view.to, &view.text), (State::Held, &new.to, &new.text), "{odd:?}");
            s.settle(lease.reference(), ringfleet_store::Outcome::Sent { provider_id: odd.into() }).await;
            assert_eq!(s.state(lease.id).await, State::Sent, "{odd:?}");
        }
    }
}
