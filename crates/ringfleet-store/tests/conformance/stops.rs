//! Stops: of one lane, by a person or a cause, and of the whole fleet.

use ringfleet_store::{Begin, Decided, Gate, Outcome, Settled, State};

use crate::talk::*;

pub(crate) async fn a_paused_lane_gives_nothing_and_goes_on_later(s: &Subject) {
    s.fill(&wide(1), 2).await;
    s.fill(&wide(2), 1).await;
    s.store.set_paused(&wide(1), true).await.unwrap();
    assert_eq!(s.claim(5).await.len(), 1);
    assert!(s.view(&wide(1)).await.paused);
    s.put(message(&wide(1), "3")).await;
    assert_eq!(s.claim_as("w", 5, LEASE).await.next_due, None);
    s.store.set_paused(&wide(1), false).await.unwrap();
    assert_eq!(texts(&s.claim(5).await), ["1", "2", "3"]);
}

pub(crate) async fn a_parked_lane_gives_nothing_and_goes_on_later(s: &Subject) {
    s.fill(&wide(1), 2).await;
    s.store.set_parked(&wide(1), Some("credential OAU-211")).await.unwrap();
    assert!(s.claim(5).await.is_empty());
    assert_eq!(s.view(&wide(1)).await.parked.as_deref(), Some("credential OAU-211"));
    s.store.set_parked(&wide(1), None).await.unwrap();
    assert_eq!(s.view(&wide(1)).await.parked, None);
    assert_eq!(s.claim(5).await.len(), 2);
}

pub(crate) async fn a_message_in_hand_goes_back_when_its_lane_is_paused_or_parked(s: &Subject) {
    s.fill(&wide(1), 2).await;
    let (a, b) = (s.claim_one().await, s.claim_one().await);
    s.store.set_paused(&wide(1), true).await.unwrap();
    assert_eq!(s.begin(a.reference()).await, Begin::PutBack);
    s.store.set_paused(&wide(1), false).await.unwrap();
    s.store.set_parked(&wide(1), Some("x")).await.unwrap();
    assert_eq!(s.begin(b.reference()).await, Begin::PutBack);
    s.store.set_parked(&wide(1), None).await.unwrap();
    let leases = s.claim(5).await;
    assert!(leases.len() == 2 && leases.iter().all(|lease| (lease.attempt, lease.recoveries) == (0, 0)));
    // An intent already written stands: its POST may be under way.
    assert_eq!(s.begin(leases[0].reference()).await, Begin::Go);
    s.store.set_paused(&wide(1), true).await.unwrap();
    assert_eq!(s.settle(leases[0].reference(), sent()).await, Settled::Done(State::Sent));
}

pub(crate) async fn parking_by_outcome_stops_the_lane(s: &Subject) {
    let ids = s.fill(&wide(1), 2).await;
    let lease = s.claim_and_begin().await;
    let outcome = Outcome::Parked { reason: "credential OAU-211".into() };
    assert_eq!(s.settle(lease, outcome).await, Settled::Done(State::Ready));
    assert_eq!(s.view(&wide(1)).await.parked.as_deref(), Some("credential OAU-211"));
    s.step(3_600_000);
    assert!(s.claim(5).await.is_empty());
    s.store.set_parked(&wide(1), None).await.unwrap();
    let leases = s.claim(5).await;
    assert_eq!((leases[0].id, leases[0].attempt, leases.len()), (ids[0], 0, 2));
}

pub(crate) async fn what_was_learnt_before_a_lane_was_let_go_on_does_not_park_it_again(s: &Subject) {
    s.fill(&wide(1), 5).await;
    let parked = || Outcome::Parked { reason: "credential OAU-236".into() };
    let leases: Vec<_> = s.claim(4).await.iter().map(|lease| lease.reference()).collect();
    assert_eq!(s.begin(leases[1]).await, Begin::Go);
    assert_eq!(s.begin(leases[2]).await, Begin::Go);
    let mut late = leases[1..].iter();
    for goes_on in [true, false] {
        s.settle(if goes_on { leases[0] } else { s.claim_one().await.reference() }, parked()).await;
        assert!(s.view(&wide(1)).await.parked.is_some(), "what was learnt after that parks it");
        if goes_on {
            s.store.set_parked(&wide(1), None).await.unwrap();
        } else {
            s.store.unpark(&wide(1)).await.unwrap();
        }
        assert_eq!(s.settle(*late.next().unwrap(), parked()).await, Settled::Done(State::Ready));
        assert_eq!(s.view(&wide(1)).await.parked, None);
    }
    // One in hand that never began.
    assert_eq!(s.settle(*late.next().unwrap(), parked()).await, Settled::Done(State::Ready));
    assert_eq!(s.view(&wide(1)).await.parked, None);
    assert_eq!(s.claim(5).await.len(), 5);
}

pub(crate) async fn the_kill_switch_stops_claims_and_intents(s: &Subject) {
    for extension in 1..10 {
        s.fill(&wide(extension), 2).await;
    }
    let leases: Vec<_> = s.claim(9).await.iter().map(|lease| lease.reference()).collect();
    let stopped = Gate::Stopped { reason: "wrong text".into() };
    s.store.set_gate(&stopped).await.unwrap();
    assert_eq!(s.store.gate().await.unwrap(), stopped);
    assert_eq!(s.store.begin_send(&intents(&leases), LEASE).await.unwrap(), [Begin::PutBack; 9]);
    s.step(3_600_000);
    let claim = s.claim_as("w", 20, LEASE).await;
    assert_eq!((claim.leases.len(), claim.next_due), (0, None));
    s.store.set_gate(&Gate::Open).await.unwrap();
    assert_eq!(s.store.gate().await.unwrap(), Gate::Open);
    assert_eq!(s.claim(20).await.len(), 18);
}

pub(crate) async fn a_gate_until_opens_by_itself(s: &Subject) {
    s.fill(&wide(1), 2).await;
    let lease = s.claim_one().await.reference();
    let until = Gate::Until { until: s.now() + 3_000, reason: "429 without headers".into() };
    s.store.set_gate(&until).await.unwrap();
    assert_eq!(s.store.gate().await.unwrap(), until);
    assert_eq!(s.begin(lease).await, Begin::PutBack);
    let claim = s.claim_as("w", 5, LEASE).await;
    assert_eq!((claim.leases.len(), claim.next_due), (0, Some(ms(3_000))));
    s.at(2_999);
    assert!(s.claim(5).await.is_empty());
    s.at(3_000);
    assert_eq!(s.store.gate().await.unwrap(), Gate::Open);
    assert_eq!(s.claim(5).await.len(), 2);
}

pub(crate) async fn a_penalty_of_the_fleet_never_opens_the_kill_switch(s: &Subject) {
    s.fill(&wide(1), 1).await;
    let stopped = Gate::Stopped { reason: "wrong text".into() };
    s.store.set_gate(&stopped).await.unwrap();
    s.store.set_gate(&Gate::Until { until: s.now() + 1_000, reason: "429".into() }).await.unwrap();
    assert_eq!(s.store.gate().await.unwrap(), stopped);
    s.at(2_000);
    assert!(s.claim(5).await.is_empty());
    s.store.set_gate(&Gate::Open).await.unwrap();
    assert_eq!(s.claim(5).await.len(), 1);
}

pub(crate) async fn opening_the_kill_switch_does_not_end_a_penalty_that_came_under_it(s: &Subject) {
    s.fill(&wide(1), 1).await;
    let penalty = Gate::Until { until: s.now() + 1_000, reason: "429".into() };
    s.store.set_gate(&Gate::Stopped { reason: "wrong text".into() }).await.unwrap();
    s.store.set_gate(&penalty).await.unwrap();
    s.store.set_gate(&Gate::Open).await.unwrap();
    assert_eq!(s.store.gate().await.unwrap(), penalty);
    assert!(s.claim(5).await.is_empty());
    s.at(1_000);
    assert_eq!(s.claim(5).await.len(), 1);
}

pub(crate) async fn a_penalty_of_the_fleet_is_never_shortened(s: &Subject) {
    let long = Gate::Until { until: s.now() + 5_000, reason: "long".into() };
    s.store.set_gate(&long).await.unwrap();
    s.store.set_gate(&Gate::Until { until: s.now() + 1_000, reason: "short".into() }).await.unwrap();
    assert_eq!(s.store.gate().await.unwrap(), long);
    let stopped = Gate::Stopped { reason: "now".into() };
    s.store.set_gate(&stopped).await.unwrap();
    assert_eq!(s.store.gate().await.unwrap(), stopped);
}

pub(crate) async fn what_is_put_back_keeps_its_slot_free(s: &Subject) {
    s.fill(&tight(1), 3).await;
    let leases: Vec<_> = s.claim(3).await.iter().map(|lease| lease.reference()).collect();
    s.store.set_paused(&tight(1), true).await.unwrap();
    assert_eq!(s.store.begin_send(&intents(&leases), LEASE).await.unwrap(), [Begin::PutBack; 3]);
    s.store.set_paused(&tight(1), false).await.unwrap();
    assert_eq!(s.claim(5).await.len(), 3);
}

/// Behind it the store may not have been told yet which texts were sent for whom.
pub(crate) async fn nothing_is_decided_behind_a_closed_gate(s: &Subject) {
    let lease = s.send_into_the_dark(asked(&wide(1), "x")).await;
    s.step(SETTLE_MS);
    s.store.set_gate(&Gate::Until { until: s.now() + 1_000, reason: "x".into() }).await.unwrap();
    assert!(s.take_unknown(10, 1_000).await.is_empty());
    for ids in [&["p"][..], &[], &["p", "q"], &[]] {
        assert_eq!(s.found(lease, ids, 0).await, Decided::NotYet);
    }
    assert_eq!(s.undecidable(lease, "x").await, Decided::NotYet);
    assert_eq!((s.get(lease.id).await.reads, s.state(lease.id).await), (0, State::Unknown));
    s.step(1_000);
    assert_eq!(s.take_unknown(10, 1_000).await.len(), 1);
    assert_eq!(s.found(lease, &["p"], 0).await, Decided::Sent);
}
