//! The exact window: as many requests as the plan allows, never one more, and none too late.

use ringfleet_store::{Outcome, PlanSeen, Settled, State};

use crate::talk::*;

pub(crate) async fn the_whole_limit_goes_at_once_and_not_one_more(s: &Subject) {
    s.fill(&tight(1), 10).await;
    assert_eq!(s.claim(10).await.len() as u32, TIGHT.limit);
    assert!(s.claim(10).await.is_empty());
}

pub(crate) async fn a_slot_frees_exactly_one_hold_after_its_answer(s: &Subject) {
    s.fill(&tight(1), 10).await;
    for lease in s.claim(10).await {
        s.send(&lease).await;
    }
    assert_eq!(s.claim_as("w", 10, LEASE).await.next_due, Some(ms(TIGHT_HOLD)));
    s.at(TIGHT_HOLD - 1);
    assert!(s.claim(10).await.is_empty());
    s.at(TIGHT_HOLD);
    assert_eq!(texts(&s.claim(10).await), ["4", "5", "6"]);
}

pub(crate) async fn a_slot_in_use_never_frees(s: &Subject) {
    s.fill(&tight(1), 10).await;
    for lease in s.claim(10).await {
        s.begin(lease.reference()).await;
    }
    s.step(3_600_000);
    assert!(s.claim(10).await.is_empty());
    assert_eq!(s.view(&tight(1)).await.slots_in_use, TIGHT.limit);
}

pub(crate) async fn the_time_on_the_way_to_the_store_is_not_added(s: &Subject) {
    s.fill(&tight(1), 10).await;
    let leases = s.claim(10).await;
    for lease in &leases {
        s.begin(lease.reference()).await;
    }
    s.at(700);
    for lease in &leases {
        s.settle_seen(lease.reference(), sent(), 400, PlanSeen::default()).await;
    }
    s.at(300 + TIGHT_HOLD - 1);
    assert!(s.claim(10).await.is_empty());
    s.at(300 + TIGHT_HOLD);
    assert_eq!(s.claim(10).await.len(), 3);
}

pub(crate) async fn each_slot_has_its_own_time(s: &Subject) {
    s.fill(&tight(1), 10).await;
    let leases = s.claim(10).await;
    for (lease, at) in leases.iter().zip([0, 10, 25]) {
        s.at(at);
        s.send(lease).await;
    }
    for at in [0, 10, 25] {
        s.at(at + TIGHT_HOLD - 1);
        assert!(s.claim(10).await.is_empty());
        s.at(at + TIGHT_HOLD);
        assert_eq!(s.claim(10).await.len(), 1);
    }
}

pub(crate) async fn a_released_message_gives_its_slot_back_at_once(s: &Subject) {
    s.fill(&tight(1), 10).await;
    let leases = s.claim(10).await;
    assert_eq!(s.settle(leases[1].reference(), Outcome::Released).await, Settled::Done(State::Ready));
    assert_eq!(texts(&s.claim(10).await), ["2"]);
}

pub(crate) async fn a_slot_of_a_message_that_was_begun_stays_taken_whatever_is_reported(s: &Subject) {
    let parked = Outcome::Parked { reason: "credential".into() };
    let rejected = Outcome::Rejected { code: "MSG-304".into() };
    let outcomes = [
        sent(),
        rejected,
        unknown(),
        throttled(500),
        not_sent(0),
        not_sent(500),
        parked,
        retry(0, 5),
        Outcome::Released,
    ];
    for (extension, outcome) in (1..).zip(outcomes) {
        s.fill(&tight(extension), 1).await;
        let lease = s.claim_and_begin().await;
        s.settle(lease, outcome.clone()).await;
        assert_eq!(s.view(&tight(extension)).await.slots_in_use, 1, "after {outcome:?}");
        s.store.set_paused(&tight(extension), true).await.unwrap();
    }
}

pub(crate) async fn a_slot_of_a_lost_worker_frees_a_hold_after_its_lease(s: &Subject) {
    s.fill(&tight(1), 10).await;
    for lease in s.claim(10).await {
        s.begin(lease.reference()).await;
    }
    let end = LEASE.as_millis() as i64;
    s.at(end);
    assert_eq!(s.reap().await.unknown, 3);
    s.at(end + TIGHT_HOLD - 1);
    assert!(s.claim(10).await.is_empty());
    s.at(end + TIGHT_HOLD);
    assert_eq!(s.claim(10).await.len(), 3);
}

pub(crate) async fn a_late_report_moves_its_slot_to_the_time_of_its_answer(s: &Subject) {
    s.fill(&tight(1), 10).await;
    let leases = s.claim(10).await;
    for lease in &leases {
        s.begin(lease.reference()).await;
    }
    let end = LEASE.as_millis() as i64;
    s.at(end);
    assert_eq!(s.reap().await.unknown, 3);
    s.at(end + 400);
    assert_eq!(s.settle(leases[0].reference(), sent()).await, Settled::LateEvidence(State::Sent));
    s.at(end + TIGHT_HOLD);
    assert_eq!(s.claim(10).await.len(), 2);
    s.at(end + 400 + TIGHT_HOLD - 1);
    assert!(s.claim(10).await.is_empty());
    s.at(end + 400 + TIGHT_HOLD);
    assert_eq!(s.claim(10).await.len(), 1);
}

pub(crate) async fn the_steady_rate_is_the_whole_plan(s: &Subject) {
    s.fill(&tight(1), 30).await;
    let mut bursts = Vec::new();
    while let claim = s.claim_as("w", 10, LEASE).await
        && !claim.leases.is_empty()
    {
        for lease in &claim.leases {
            s.send(lease).await;
        }
        bursts.push(claim.leases.len());
        s.step(TIGHT_HOLD);
    }
    assert_eq!(bursts, [3; 10]);
}
