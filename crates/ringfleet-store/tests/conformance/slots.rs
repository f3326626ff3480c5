//! Slots for requests that are no messages: logins, reads of the message store.

use std::time::Duration;

use ringfleet_store::{Acquired, Gate, Group, LaneId, LeaseToken, PlanSeen, Release};

use crate::talk::*;

const HOLD: Duration = Duration::from_secs(10);

fn auth() -> LaneId {
    LaneId::try_new("app", "1", Group::Auth).unwrap()
}

/// Four in two seconds.
fn light() -> LaneId {
    LaneId::try_new("app", "1", Group::Light).unwrap()
}

async fn granted(s: &Subject, lane: &LaneId) -> LeaseToken {
    match s.store.acquire(lane, HOLD).await.unwrap() {
        Acquired::Granted(slot) => slot,
        Acquired::Wait(wait) => panic!("no slot for {wait:?}"),
    }
}

async fn release(s: &Subject, lane: &LaneId, slot: LeaseToken, how: Release) {
    s.store.release(lane, slot, how, Duration::ZERO, PlanSeen::default()).await.unwrap();
}

pub(crate) async fn an_auth_lane_grants_five_and_says_when_the_sixth_may_go(s: &Subject) {
    for _ in 0..5 {
        let slot = granted(s, &auth()).await;
        s.step(100);
        release(s, &auth(), slot, Release::Used).await;
    }
    assert_eq!(s.view(&auth()).await.slots_in_use, 5);
    // The first answer came at 100; the margin of a minute is 60 ms. A wait is never longer than a minute.
    let free = 100 + 60_000 + 60 + 1;
    assert_eq!(s.store.acquire(&auth(), HOLD).await.unwrap(), Acquired::Wait(ms(free - 500)));
    s.at(free - 1);
    assert_eq!(s.store.acquire(&auth(), HOLD).await.unwrap(), Acquired::Wait(ms(1)));
    s.at(free);
    granted(s, &auth()).await;
    assert_eq!(s.store.acquire(&auth(), HOLD).await.unwrap(), Acquired::Wait(ms(100)));
}

pub(crate) async fn a_slot_not_released_frees_after_its_hold_and_window(s: &Subject) {
    for _ in 0..4 {
        granted(s, &light()).await;
    }
    s.at(10_000 + 2_002 - 1);
    assert_eq!(s.store.acquire(&light(), HOLD).await.unwrap(), Acquired::Wait(ms(1)));
    s.at(10_000 + 2_002);
    granted(s, &light()).await;
}

/// Those who were told to wait until a login must be over came that much too late, once it was.
pub(crate) async fn nobody_waits_for_a_request_under_way_longer_than_its_window(s: &Subject) {
    let slots = [granted(s, &light()).await, granted(s, &light()).await, granted(s, &light()).await];
    s.fill(&light(), 1).await;
    assert_eq!(s.claim(1).await.len(), 1);
    assert_eq!(s.store.acquire(&light(), HOLD).await.unwrap(), Acquired::Wait(ms(2_003)));
    release(s, &light(), slots[0], Release::Used).await;
    s.at(2_002);
    assert_eq!(s.store.acquire(&light(), HOLD).await.unwrap(), Acquired::Wait(ms(1)));
    s.at(2_003);
    granted(s, &light()).await;
}

pub(crate) async fn an_unused_slot_is_free_at_once(s: &Subject) {
    let slots = [granted(s, &light()).await, granted(s, &light()).await, granted(s, &light()).await];
    release(s, &light(), slots[1], Release::Unused).await;
    assert_eq!(s.view(&light()).await.slots_in_use, 2);
    for _ in 0..2 {
        granted(s, &light()).await;
    }
    assert!(matches!(s.store.acquire(&light(), HOLD).await.unwrap(), Acquired::Wait(_)));
}

pub(crate) async fn a_throttled_request_stops_its_lane(s: &Subject) {
    let slot = granted(s, &light()).await;
    release(s, &light(), slot, Release::Throttled { retry_after: ms(5_000) }).await;
    assert_eq!(s.store.acquire(&light(), HOLD).await.unwrap(), Acquired::Wait(ms(5_000)));
    s.fill(&light(), 1).await;
    assert!(s.claim(5).await.is_empty());
    s.at(5_000);
    granted(s, &light()).await;
    assert_eq!(s.claim(5).await.len(), 1);
}

pub(crate) async fn messages_and_requests_share_a_window(s: &Subject) {
    s.fill(&light(), 10).await;
    let slot = granted(s, &light()).await;
    let leases = s.claim(10).await;
    assert_eq!(leases.len(), 3);
    assert!(matches!(s.store.acquire(&light(), HOLD).await.unwrap(), Acquired::Wait(_)));
    for lease in &leases {
        s.send(lease).await;
    }
    release(s, &light(), slot, Release::Used).await;
    s.at(2_003 - 1);
    assert!(s.claim(10).await.is_empty());
    s.at(2_003);
    assert_eq!(s.claim(10).await.len(), 4);
}

pub(crate) async fn no_slot_is_granted_while_the_gate_is_closed(s: &Subject) {
    s.store.set_gate(&Gate::Until { until: s.now() + 3_000, reason: "429".into() }).await.unwrap();
    assert_eq!(s.store.acquire(&auth(), HOLD).await.unwrap(), Acquired::Wait(ms(3_000)));
    s.store.set_gate(&Gate::Stopped { reason: "stop".into() }).await.unwrap();
    assert!(matches!(s.store.acquire(&light(), HOLD).await.unwrap(), Acquired::Wait(_)));
    s.store.set_gate(&Gate::Open).await.unwrap();
    // The operator's stop is over, the provider's penalty is not.
    assert_eq!(s.store.acquire(&auth(), HOLD).await.unwrap(), Acquired::Wait(ms(3_000)));
    s.at(3_000);
    granted(s, &auth()).await;
}

/// Else an employee's connection runs out in a stop of some days.
pub(crate) async fn the_kill_switch_lets_logins_through_and_the_providers_penalty_does_not(s: &Subject) {
    s.store.set_gate(&Gate::Until { until: s.now() + 3_000, reason: "429".into() }).await.unwrap();
    s.store.set_gate(&Gate::Stopped { reason: "stop".into() }).await.unwrap();
    assert_eq!(s.store.acquire(&auth(), HOLD).await.unwrap(), Acquired::Wait(ms(3_000)));
    s.at(3_000);
    granted(s, &auth()).await;
    assert!(matches!(s.store.acquire(&light(), HOLD).await.unwrap(), Acquired::Wait(_)));
}
