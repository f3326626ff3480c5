//! What the answers' headers teach of a lane's plan.

use std::time::Duration;

use ringfleet_store::{Acquired, Group, LaneId, Lease, Plan, PlanSeen, Release};

use crate::talk::*;

fn light(extension: u32) -> LaneId {
    LaneId::try_new("app", &extension.to_string(), Group::Light).unwrap()
}

fn limit(limit: u32) -> PlanSeen {
    PlanSeen { limit: Some(limit), ..PlanSeen::default() }
}

fn window(window_ms: u32) -> PlanSeen {
    PlanSeen { window_ms: Some(window_ms), ..PlanSeen::default() }
}

fn remaining(limit: u32, remaining: u32) -> PlanSeen {
    PlanSeen { limit: Some(limit), remaining: Some(remaining), ..PlanSeen::default() }
}

async fn claim_and_begin_all(s: &Subject) -> Vec<Lease> {
    let leases = s.claim(10).await;
    for lease in &leases {
        s.begin(lease.reference()).await;
    }
    leases
}

pub(crate) async fn a_learnt_limit_replaces_the_rule(s: &Subject) {
    s.fill(&tight(1), 10).await;
    let lease = s.claim_and_begin().await;
    s.settle_seen(lease, sent(), 0, limit(5)).await;
    assert_eq!(s.view(&tight(1)).await.plan, Some(Plan { limit: 5, ..TIGHT }));
    assert_eq!(s.claim(10).await.len(), 4);
}

pub(crate) async fn a_lower_limit_waits_until_enough_slots_are_free(s: &Subject) {
    s.fill(&tight(1), 10).await;
    for (lease, at) in claim_and_begin_all(s).await.iter().zip([0, 10, 20]) {
        s.at(at);
        s.settle_seen(lease.reference(), sent(), 0, limit(1)).await;
    }
    s.at(20 + TIGHT_HOLD - 1);
    assert!(s.claim(10).await.is_empty());
    s.at(20 + TIGHT_HOLD);
    assert_eq!(s.claim(10).await.len(), 1);
}

pub(crate) async fn a_longer_window_moves_slots_already_timed(s: &Subject) {
    s.fill(&tight(1), 10).await;
    let leases = claim_and_begin_all(s).await;
    for (lease, seen) in leases.iter().zip([PlanSeen::default(), PlanSeen::default(), window(10_000)]) {
        s.settle_seen(lease.reference(), sent(), 0, seen).await;
    }
    // The margin is that of the longer window.
    s.at(10_010);
    assert!(s.claim(10).await.is_empty());
    s.at(10_011);
    assert_eq!(s.claim(10).await.len(), 3);
}

pub(crate) async fn a_shorter_window_frees_slots_sooner(s: &Subject) {
    s.fill(&tight(1), 10).await;
    let leases = claim_and_begin_all(s).await;
    for (lease, seen) in leases.iter().zip([PlanSeen::default(), PlanSeen::default(), window(400)]) {
        s.settle_seen(lease.reference(), sent(), 0, seen).await;
    }
    s.at(402);
    assert!(s.claim(10).await.is_empty());
    s.at(403);
    assert_eq!(s.claim(10).await.len(), 3);
}

pub(crate) async fn a_low_remaining_takes_slots_for_others(s: &Subject) {
    s.fill(&tight(1), 10).await;
    let lease = s.claim_and_begin().await;
    s.settle_seen(lease, sent(), 0, remaining(3, 0)).await;
    assert_eq!(s.view(&tight(1)).await.slots_in_use, 3, "ours and two of somebody else");
    s.at(TIGHT_HOLD - 1);
    assert!(s.claim(10).await.is_empty());
    s.at(TIGHT_HOLD);
    assert_eq!(s.claim(10).await.len(), 3);
}

pub(crate) async fn answers_to_one_burst_tell_of_others_only_once(s: &Subject) {
    s.fill(&light(1), 10).await;
    let leases = s.claim(2).await;
    for lease in &leases {
        s.begin(lease.reference()).await;
    }
    // Three at the server, two of them ours. Both answers tell it.
    for lease in &leases {
        s.settle_seen(lease.reference(), sent(), 0, remaining(4, 1)).await;
    }
    assert_eq!(s.view(&light(1)).await.slots_in_use, 3);
}

pub(crate) async fn headers_of_an_older_request_are_not_heard(s: &Subject) {
    s.fill(&tight(1), 10).await;
    let leases = claim_and_begin_all(s).await;
    s.settle_seen(leases[1].reference(), sent(), 0, limit(5)).await;
    s.settle_seen(leases[0].reference(), sent(), 0, remaining(2, 0)).await;
    let view = s.view(&tight(1)).await;
    assert_eq!((view.plan, view.slots_in_use), (Some(Plan { limit: 5, ..TIGHT }), 3));
}

pub(crate) async fn a_learnt_plan_is_known_to_every_process(s: &Subject) {
    s.fill(&tight(1), 10).await;
    let lease = s.claim_and_begin().await;
    let seen = PlanSeen { limit: Some(2), window_ms: Some(5_000), remaining: None };
    s.settle_seen(lease, sent(), 0, seen).await;
    let other = s.again(rules()).await;
    assert_eq!(other.view(&tight(1)).await.plan, Some(Plan { limit: 2, window_ms: 5_000 }));
    assert_eq!(other.claim(10).await.len(), 1);
}

pub(crate) async fn a_longer_window_told_to_a_single_request_moves_its_slots(s: &Subject) {
    let hold = Duration::from_secs(10);
    for seen in [PlanSeen::default(), PlanSeen::default(), PlanSeen::default(), window(10_000)] {
        let Acquired::Granted(slot) = s.store.acquire(&light(1), hold).await.unwrap() else { panic!("no slot") };
        s.store.release(&light(1), slot, Release::Used, Duration::ZERO, seen).await.unwrap();
    }
    for at in [0, 2_003, 10_010] {
        s.at(at);
        assert_eq!(s.store.acquire(&light(1), hold).await.unwrap(), Acquired::Wait(ms(10_011 - at)));
    }
    s.at(10_011);
    assert!(matches!(s.store.acquire(&light(1), hold).await.unwrap(), Acquired::Granted(_)));
}

pub(crate) async fn an_absurd_limit_does_not_hang_the_store(s: &Subject) {
    s.fill(&tight(1), 10).await;
    let lease = s.claim_and_begin().await;
    let settled = s.settle_seen(lease, sent(), 0, remaining(u32::MAX, 0));
    tokio::time::timeout(Duration::from_secs(10), settled).await.expect("it answers");
    let view = s.view(&tight(1)).await;
    assert!(view.plan.unwrap().limit <= 1_000 && view.slots_in_use <= 1_001, "{view:?}");
    tokio::time::timeout(Duration::from_secs(10), s.store.ping()).await.expect("it answers").unwrap();
}
