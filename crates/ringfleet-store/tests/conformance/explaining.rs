//! Why a message isn't moving, and when it will: what is told is what happens.

use std::collections::BTreeMap;

use ringfleet_store::{
    Busy, Decided, Eta, Explained, Gate, Incarnation, LaneFacts, LaneId, MessageId, NewMessage, Outcome, Place,
    Priority, Private, Stand, State, Until, Why, WorkerId,
};

use crate::talk::*;

impl Subject {
    async fn explain(&self, id: MessageId) -> Explained {
        self.store.explain(&id).await.unwrap().expect("the message is known")
    }

    async fn facts(&self, lane: &LaneId) -> LaneFacts {
        self.store.explain_lane(lane).await.unwrap()
    }

    /// What is in the message's way, without the remark that no worker shows itself here.
    async fn why(&self, id: MessageId) -> Vec<Why> {
        self.explain(id).await.why().into_iter().filter(|why| *why != Why::NoWorkers).collect()
    }

    async fn eta(&self, id: MessageId) -> Eta {
        self.explain(id).await.eta()
    }

    async fn place(&self, id: MessageId) -> Place {
        match self.explain(id).await.stand {
            Stand::Waiting { place, .. } => place,
            other => panic!("it does not wait: {other:?}"),
        }
    }

    /// One worker that sends until nothing is left, whose requests take `response` each. Gives the time at which each began.
    async fn send_all(&self, response: i64) -> BTreeMap<MessageId, i64> {
        let (mut began, mut flying) = (BTreeMap::new(), Vec::new());
        loop {
            let now = self.now();
            let (done, rest) = flying.into_iter().partition(|(_, until): &(_, i64)| *until <= now);
            flying = rest;
            for (lease, _) in done {
                self.settle(lease, sent()).await;
            }
            let claim = self.claim_as("w", 100, LEASE).await;
            for lease in &claim.leases {
                self.begin(lease.reference()).await;
                began.insert(lease.id, now);
                flying.push((lease.reference(), now + response));
            }
            let due = claim.next_due.map(|due| now + (due.as_millis() as i64).max(i64::from(claim.leases.is_empty())));
            match flying.iter().map(|(_, until)| *until).chain(due).min() {
                Some(next) => self.set_time(next),
                None => return began,
            }
        }
    }
}

pub(crate) async fn a_waiting_message_knows_how_many_go_before_it(s: &Subject) {
    let lane = wide(1);
    let normal = s.fill(&lane, 4).await;
    let put = async |priority| s.put(NewMessage { priority, ..message(&lane, &format!("{priority:?}")) }).await;
    let (low, high) = (put(Priority::Low).await, put(Priority::High).await);
    let mut places = Vec::new();
    for id in [high, normal[0], normal[3], low] {
        let place = s.place(id).await;
        places.push((place.ahead, place.below, place.at_least));
    }
    assert_eq!(places, [(0, 5, false), (1, 1, false), (4, 1, false), (5, 0, false)]);
    assert_eq!(s.why(low).await, [Why::Behind { ahead: 5, at_least: false }]);
    s.store.watch(&WorkerId::incarnation("w"), Default::default()).await.unwrap();
    assert_eq!(s.why(high).await, [Why::Turn]);
    // One that was cancelled goes before nobody, whatever the store leaves behind of it.
    s.store.cancel(&normal[1]).await.unwrap();
    assert_eq!(s.place(low).await.ahead, 4);
    // One that comes back stands at the head.
    let lease = s.claim_one().await;
    assert_eq!(lease.id, high);
    s.settle(lease.reference(), Outcome::Released).await;
    assert_eq!((s.place(high).await.ahead, s.place(normal[0]).await.ahead), (0, 1));
}

pub(crate) async fn a_scheduled_message_counts_those_of_its_lane_that_are_due_before_it(s: &Subject) {
    let at = |ms: i64| Some(s.now() + ms);
    let put = async |lane: LaneId, send_at, text: &str| s.put(NewMessage { send_at, ..message(&lane, text) }).await;
    s.fill(&tight(1), 2).await;
    put(tight(1), at(5_000), "before").await;
    put(tight(2), at(5_000), "of another").await;
    let urgent = NewMessage { priority: Priority::High, send_at: at(5_001), ..message(&tight(1), "urgent") };
    s.put(urgent).await;
    s.put(NewMessage { priority: Priority::Low, send_at: at(5_001), ..message(&tight(1), "low") }).await;
    let asked = put(tight(1), at(6_000), "asked").await;
    put(tight(1), at(7_000), "after").await;
    let due_ahead = vec![s.now() + 5_000, s.now() + 5_001];
    assert_eq!(s.place(asked).await, Place { ahead: 2, below: 0, due_ahead, at_least: false });
    let explained = s.explain(asked).await;
    assert_eq!((explained.state, explained.eta()), (State::Scheduled, Eta::At(s.now() + 6_000)));
    assert_eq!(s.why(asked).await, [Why::Scheduled { until: s.now() + 6_000 }]);
}

pub(crate) async fn a_long_schedule_is_counted_to_its_end(s: &Subject) {
    let send_at = Some(s.now() + 60_000);
    let all: Vec<_> = (0..1_200).map(|n| NewMessage { send_at, ..message(&wide(n % 3), &n.to_string()) }).collect();
    for some in all.chunks(400) {
        s.store.enqueue(some).await.unwrap();
    }
    let last = s.put(NewMessage { send_at: send_at.map(|at| at + 1), ..message(&wide(1), "last") }).await;
    let place = s.place(last).await;
    assert_eq!((place.due_ahead.len(), place.at_least), (400, false));
}

pub(crate) async fn what_is_told_is_when_it_goes(s: &Subject) {
    const RESPONSE: i64 = 120;
    // What a request takes is known from a window that was used before.
    s.fill(&tight(1), 3).await;
    assert_eq!(s.send_all(RESPONSE).await.len(), 3);
    s.step(-500);
    let mut ids = s.fill(&tight(1), 20).await;
    let due = Some(s.now() + 4_000);
    for text in ["later", "later still"] {
        ids.push(s.put(NewMessage { send_at: due, ..message(&tight(1), text) }).await);
    }
    let mut told = BTreeMap::new();
    for id in &ids {
        let Eta::At(at) = s.eta(*id).await else { panic!("no time is told") };
        told.insert(*id, at);
    }
    let lane = s.facts(&tight(1)).await;
    assert_eq!(lane.next_goes(), Eta::At(told[&ids[0]]));
    assert_eq!(lane.last_goes(), Eta::At(told[&ids[19]]));
    let real = s.send_all(RESPONSE).await;
    let wrong: Vec<_> = ids.iter().filter(|id| told[id] != real[id]).map(|id| (told[id], real[id])).collect();
    assert!(wrong.is_empty(), "told and real: {wrong:?}");
}

pub(crate) async fn a_penalty_is_told_and_so_is_the_probe_after_it(s: &Subject) {
    let ids = s.fill(&tight(1), 3).await;
    let lease = s.claim_and_begin().await;
    s.step(30);
    s.settle(lease, throttled(5_000)).await;
    let over = s.now() + 5_000;
    assert_eq!(s.why(ids[0]).await, [Why::Penalty { until: over }]);
    assert_eq!(s.eta(ids[0]).await, Eta::At(over));
    assert_eq!(s.eta(ids[1]).await, Eta::At(over + 30), "the second waits for the answer of the first");
    s.set_time(over);
    assert_eq!(s.claim(5).await.len(), 1);
    assert_eq!(s.why(ids[1]).await, [Why::Probe]);
    assert!(s.facts(&tight(1)).await.probe);
}

pub(crate) async fn a_full_window_is_told_with_the_time_at_which_it_has_a_place(s: &Subject) {
    let ids = s.fill(&tight(1), 5).await;
    let leases = s.claim(3).await;
    let window = |until| Why::Window { limit: TIGHT.limit, window_ms: TIGHT.window_ms, until };
    assert_eq!(s.why(ids[3]).await, [window(None)]);
    for lease in &leases {
        s.send(lease).await;
        s.step(10);
    }
    let free = s.now() - 30 + TIGHT_HOLD;
    assert_eq!(s.why(ids[3]).await, [window(Some(free))]);
    assert_eq!(s.why(ids[4]).await, [Why::Behind { ahead: 1, at_least: false }, window(Some(free))]);
    assert_eq!((s.eta(ids[3]).await, s.eta(ids[4]).await), (Eta::At(free), Eta::At(free + 10)));
    s.fill(&wide(1), CAP + 1).await;
    s.claim(CAP).await;
    assert!(s.facts(&wide(1)).await.why().contains(&Why::LaneBusy { in_flight: CAP }));
}

pub(crate) async fn stops_are_told_with_what_ends_them(s: &Subject) {
    let (a, b) = (s.fill(&wide(1), 1).await[0], s.fill(&wide(2), 1).await[0]);
    s.store.set_paused(&wide(1), true).await.unwrap();
    s.store.set_parked(&wide(2), Some("credential OAU-211")).await.unwrap();
    assert_eq!((s.why(a).await, s.eta(a).await), (vec![Why::Paused], Eta::Never { until: Until::LaneResumed }));
    let parked = Why::Parked { reason: "credential OAU-211".into() };
    assert_eq!((s.why(b).await, s.eta(b).await), (vec![parked.clone()], Eta::Never { until: Until::CauseMended }));
    s.store.set_gate(&Gate::Stopped { reason: "test".into() }).await.unwrap();
    let stopped = Why::Stopped { reason: "test".into() };
    assert_eq!((s.why(b).await, s.eta(b).await), (vec![stopped, parked], Eta::Never { until: Until::FleetResumed }));
    s.store.set_gate(&Gate::Open).await.unwrap();
    s.store.set_paused(&wide(1), false).await.unwrap();
    let until = s.now() + 7_000;
    s.store.set_gate(&Gate::Until { until, reason: "wider-429".into() }).await.unwrap();
    assert_eq!(s.why(a).await, [Why::Gate { until, reason: "wider-429".into() }]);
    assert_eq!(s.eta(a).await, Eta::At(until));
    assert_eq!(s.facts(&wide(1)).await.next_goes(), Eta::At(until));
}

pub(crate) async fn a_message_whose_recipient_is_busy_names_the_other_one(s: &Subject) {
    let to_ann = |text: &str| NewMessage { to: Private::new("+16505550101"), ..asked(&wide(1), text) };
    let first = s.put(to_ann("first")).await;
    let second = s.put(to_ann("second")).await;
    let lease = s.claim_and_begin().await;
    assert_eq!(lease.id, first);
    let busy = |state| Why::PairBusy { with: first, state };
    assert_eq!(s.why(second).await, [busy(State::Sending)]);
    assert!(s.claim(5).await.is_empty());
    let put_off = s.explain(second).await;
    assert_eq!((put_off.state, put_off.eta()), (State::Scheduled, Eta::At(s.now() + 1_000)));
    assert_eq!(s.why(second).await, [busy(State::Sending)]);
    s.settle(lease, unknown()).await;
    assert_eq!(s.why(second).await, [busy(State::Unknown)]);
    assert_eq!(s.eta(second).await, Eta::NotBefore(s.now() + 1_000));
    let Stand::Waiting { busy: Some(told), .. } = s.explain(second).await.stand else { panic!("nobody is named") };
    assert_eq!(told, Busy { with: first, state: State::Unknown });
    assert_eq!(s.found(lease, &["77"], 0).await, Decided::Sent);
    assert_eq!(s.why(second).await, [Why::Scheduled { until: s.now() + 1_000 }]);
}

pub(crate) async fn a_message_in_hand_names_its_worker_and_since_when(s: &Subject) {
    let id = s.fill(&wide(1), 1).await[0];
    let worker = WorkerId::incarnation("bench");
    let request = ringfleet_store::ClaimRequest { worker: &worker, free_slots: 1, lease: LEASE };
    let lease = s.store.claim(request).await.unwrap().leases[0].reference();
    let (claimed, name) = (s.now(), worker.to_string());
    s.step(40);
    assert_eq!(s.why(id).await, [Why::Claimed { worker: name.clone(), since: claimed }]);
    assert_eq!(s.eta(id).await, Eta::At(s.now()));
    s.begin(lease).await;
    s.step(40);
    assert_eq!(s.why(id).await, [Why::Sending { worker: name, since: claimed + 40 }]);
    assert_eq!(s.eta(id).await, Eta::UnderWay);
}

pub(crate) async fn an_unknown_fate_tells_how_often_and_when_it_is_looked_up(s: &Subject) {
    let lease = s.send_into_the_dark(asked(&wide(1), "1")).await;
    let since = s.now();
    let told = |reads, next| vec![Why::Unknown { since, reads, next_look: Some(next) }];
    assert_eq!(s.why(lease.id).await, told(0, since + 500));
    assert_eq!(s.eta(lease.id).await, Eta::LookedUp { next: Some(since + 500) });
    s.step(500);
    s.take_unknown(5, 4_000).await;
    assert_eq!(s.found(lease, &[], 0).await, Decided::NotYet);
    assert_eq!(s.why(lease.id).await, told(1, since + SETTLE_MS));
}

pub(crate) async fn what_is_over_says_since_when_and_why(s: &Subject) {
    let ids = s.fill(&wide(1), 4).await;
    let leases = s.claim(3).await;
    for lease in &leases {
        s.begin(lease.reference()).await;
    }
    let begun = Some(s.now());
    s.step(5);
    s.settle(leases[0].reference(), sent()).await;
    s.settle(leases[1].reference(), rejected()).await;
    s.settle(leases[2].reference(), unknown()).await;
    s.store.cancel(&ids[3]).await.unwrap();
    let at = Some(s.now());
    let ended = |state, reason: &str| Why::Ended { state, at, reason: reason.into(), may_have_arrived: None };
    let expected = [
        (ended(State::Sent, "accepted"), Eta::Over),
        (ended(State::Rejected, "MSG-304"), Eta::Over),
        (
            Why::Held { since: at, reason: "timeout".into(), may_have_arrived: begun },
            Eta::Never { until: Until::Decided },
        ),
        (ended(State::Cancelled, "cancelled"), Eta::Over),
    ];
    for (id, (why, eta)) in ids.iter().zip(expected) {
        assert_eq!((s.why(*id).await, s.eta(*id).await), (vec![why], eta));
    }
    assert_eq!(s.store.explain(&MessageId::random()).await.unwrap(), None);
}

pub(crate) async fn workers_are_told_of_while_they_show_themselves(s: &Subject) {
    let id = s.fill(&wide(1), 1).await[0];
    assert_eq!(s.explain(id).await.why(), [Why::NoWorkers]);
    let (a, b) = (WorkerId::incarnation("a"), WorkerId::incarnation("b"));
    for worker in [&a, &b] {
        s.store.watch(worker, Default::default()).await.unwrap();
    }
    assert_eq!(s.facts(&wide(1)).await.workers, 2);
    assert_eq!(s.explain(id).await.why(), [Why::Turn]);
    s.store.leave(&b, Incarnation::default()).await.unwrap();
    assert_eq!(s.facts(&wide(1)).await.workers, 1);
    s.step(14_000);
    assert_eq!(s.facts(&wide(1)).await.workers, 1);
    s.step(1_000);
    assert_eq!(s.facts(&wide(1)).await.workers, 0, "it was not seen for 15 s");
    s.store.watch(&a, Default::default()).await.unwrap();
    assert_eq!(s.facts(&wide(1)).await.workers, 1);
}

pub(crate) async fn a_lane_that_nobody_used_is_idle(s: &Subject) {
    let facts = s.facts(&tight(9)).await;
    assert_eq!((facts.plan, facts.ready(), facts.in_flight, facts.slots.len()), (TIGHT, 0, 0, 0));
    assert_eq!((facts.why(), facts.next_goes()), (vec![Why::Idle], Eta::Over));
}

pub(crate) async fn asking_changes_nothing_and_tells_nothing_private(s: &Subject) {
    let new = NewMessage { to: Private::new("+16505550188"), ..message(&tight(1), "CANARY-TEXT") };
    let id = s.put(new).await;
    let before = (s.store.stats().await.unwrap(), s.view(&tight(1)).await);
    let told = format!("{:?} {:?}", s.explain(id).await, s.facts(&tight(1)).await);
    assert!(!told.contains("CANARY") && !told.contains("6505550"), "{told}");
    assert_eq!((s.store.stats().await.unwrap(), s.view(&tight(1)).await), before);
    assert_eq!(s.claim_one().await.id, id);
}
