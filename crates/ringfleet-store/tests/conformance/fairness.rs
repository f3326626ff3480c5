//! Which message goes next: priorities within a lane, turns between lanes.

use std::{collections::BTreeMap, time::Duration};

use ringfleet_store::{Cancelled, Group, LaneId, Lease, NewMessage, Priority};

use crate::talk::*;

/// Lanes of one extension, which lie side by side in every store.
fn sibling(app: &str) -> LaneId {
    LaneId::try_new(app, "1", Group::Medium).unwrap()
}

fn per_lane(leases: &[Lease]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for lease in leases {
        *counts.entry(lease.lane.as_str()).or_default() += 1;
    }
    counts
}

pub(crate) async fn higher_priorities_go_first_and_equals_keep_their_order(s: &Subject) {
    let order = [Priority::Low, Priority::Normal, Priority::High, Priority::Low, Priority::Normal, Priority::High];
    for (n, priority) in order.into_iter().enumerate() {
        s.put(NewMessage { priority, ..message(&wide(1), &n.to_string()) }).await;
    }
    assert_eq!(texts(&s.claim(6).await), ["2", "5", "1", "4", "0", "3"]);
}

pub(crate) async fn lanes_take_turns(s: &Subject) {
    for app in ["a", "b", "c"] {
        s.fill(&sibling(app), 5).await;
    }
    let leases = s.claim(7).await;
    let counts = per_lane(&leases);
    assert_eq!(counts.len(), 3);
    assert!(counts.values().all(|count| (2..=3).contains(count)), "{counts:?}");
    // One message a lane in turn.
    let first: std::collections::BTreeSet<_> = leases[..3].iter().map(|lease| lease.lane.clone()).collect();
    assert_eq!(first.len(), 3);
}

pub(crate) async fn a_lane_that_was_served_goes_behind_the_others(s: &Subject) {
    for app in ["a", "b", "c", "d"] {
        s.fill(&sibling(app), 5).await;
    }
    let mut served = Vec::new();
    for _ in 0..12 {
        s.step(1);
        served.push(s.claim_one().await);
    }
    for round in served.chunks(4) {
        assert_eq!(per_lane(round).len(), 4, "one lane went twice before another went once");
    }
}

pub(crate) async fn a_full_lane_does_not_delay_its_neighbour(s: &Subject) {
    s.fill(&sibling("full"), 20_000).await;
    s.step(1_000);
    s.fill(&sibling("quiet"), 10).await;
    let mut quiet = 0;
    for _ in 0..10 {
        s.step(1);
        let leases = s.claim(2).await;
        quiet += per_lane(&leases).get(sibling("quiet").as_str()).copied().unwrap_or(0);
        for lease in &leases {
            s.send(lease).await;
        }
    }
    assert_eq!(quiet, 10, "the quiet lane goes once in every round");
}

pub(crate) async fn a_lane_has_no_more_in_flight_than_its_cap(s: &Subject) {
    s.fill(&wide(1), 20).await;
    let leases = s.claim(20).await;
    assert_eq!(leases.len() as u32, CAP);
    assert_eq!(s.claim_as("w", 20, LEASE).await.next_due, None, "only an answer can change that");
    s.send(&leases[0]).await;
    assert_eq!(texts(&s.claim(20).await), ["9"]);
}

pub(crate) async fn a_worker_gets_no_more_than_it_has_hands_for(s: &Subject) {
    for extension in 0..10 {
        s.fill(&wide(extension), 3).await;
    }
    let claim = s.claim_as("w", 4, LEASE).await;
    assert_eq!((claim.leases.len(), claim.next_due), (4, Some(Duration::ZERO)));
    assert!(s.claim_as("w", 0, LEASE).await.leases.is_empty());
}

pub(crate) async fn one_claim_gives_out_no_more_than_128(s: &Subject) {
    for extension in 0..100 {
        s.fill(&wide(extension), 2).await;
    }
    assert_eq!(s.claim_as("w", 10_000, LEASE).await.leases.len(), 128);
    assert_eq!(s.claim(72).await.len(), 72);
}

pub(crate) async fn dead_entries_at_the_head_do_not_stall_a_lane(s: &Subject) {
    let ids = s.fill(&wide(1), 300).await;
    for id in &ids[..299] {
        assert_eq!(s.store.cancel(id).await.unwrap(), Cancelled::Done);
    }
    assert_eq!(texts(&s.claim(5).await), ["300"]);
    assert_eq!(s.claim_as("w", 5, LEASE).await.next_due, None);
}
