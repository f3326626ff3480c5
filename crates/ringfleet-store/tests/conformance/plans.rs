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
    for (lease, seen) in leases.iter().zip([window(TIGHT.window_ms), PlanSeen::default(), window(400)]) {
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

/// Two processes of one fleet, the second with an unlike configuration.
async fn two_processes(s: &Subject) -> [Subject; 2] {
    let configured = |limit, window_ms| {
        let mut rules = rules();
        rules.in_flight_cap = 64;
        rules.set_plan(Group::Medium, Plan { limit, window_ms });
        rules
    };
    [s.again(configured(40, 60_000)).await, s.again(configured(60, 120_000)).await]
}

async fn send_seen(s: &Subject, seen: PlanSeen) {
    let lease = s.claim_and_begin().await;
    s.settle_seen(lease, sent(), 0, seen).await;
}

pub(crate) async fn a_plan_that_is_told_as_configured_counts_for_those_with_another_configuration(s: &Subject) {
    let [a, b] = two_processes(s).await;
    let seen = PlanSeen { limit: Some(40), window_ms: Some(60_000), remaining: None };
    s.fill(&wide(1), 50).await;
    for process in std::iter::repeat_n(&a, 39).chain([&b]) {
        s.step(100);
        send_seen(process, seen).await;
    }
    assert_eq!((a.view(&wide(1)).await.slots_in_use, b.view(&wide(1)).await.slots_in_use), (40, 40));
    assert!(b.claim(5).await.is_empty());
    // The first answer came at 100; the margin of a minute is 60 ms.
    s.at(100 + 60_060);
    assert!(b.claim(5).await.is_empty());
    s.at(100 + 60_061);
    assert_eq!(b.claim(5).await.len(), 1);
}

pub(crate) async fn a_window_told_for_the_first_time_frees_no_slot_of_another_process_sooner(s: &Subject) {
    let [a, b] = two_processes(s).await;
    s.fill(&wide(1), 5).await;
    for _ in 0..2 {
        send_seen(&a, PlanSeen::default()).await;
    }
    s.at(1_000);
    send_seen(&b, window(60_000)).await;
    s.at(60_060);
    assert_eq!(b.view(&wide(1)).await.slots_in_use, 3);
    s.at(60_061);
    assert_eq!(b.view(&wide(1)).await.slots_in_use, 1);
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
