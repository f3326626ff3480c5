//! Every history of the send path, up to a number of faults: never twice, never lost. And the same with one rule left out,
//! which must go wrong, because a model that can't fail proves nothing.
//!
//! `RINGFLEET_MODEL=deep` searches further, for two minutes. `-- --nocapture` prints states and bad histories.

use std::{env, time::Instant};

use ringfleet_model::{Flaw, Fleet, REPEATED, TRUE_SENT, TWICE};
use stateright::{Checker, HasDiscoveries, Model};

/// Faults and rollbacks in one history; both messages alike; policy `resend`.
fn fleet(faults: u8, rollbacks: u8, twins: bool, resend: bool) -> Fleet {
    Fleet { faults, rollbacks, twins, resend, as_built: false, flaw: None }
}

/// Two messages alike, judged as the fleet judges them.
fn as_built(faults: u8, rollbacks: u8) -> Fleet {
    Fleet { as_built: true, ..fleet(faults, rollbacks, true, false) }
}

#[test]
fn nothing_is_sent_twice_and_nothing_is_lost() {
    let mut fleets = vec![
        fleet(3, 0, false, false),
        fleet(3, 0, true, false),
        fleet(1, 1, false, false),
        fleet(1, 1, true, false),
        fleet(0, 2, false, false),
        fleet(0, 2, true, false),
        fleet(2, 0, false, true),
        as_built(3, 0),
        as_built(1, 1),
        as_built(0, 2),
    ];
    if env::var("RINGFLEET_MODEL").is_ok_and(|depth| depth == "deep") {
        fleets.extend([
            fleet(4, 0, true, false),
            fleet(2, 1, false, false),
            fleet(2, 1, true, false),
            fleet(1, 2, false, false),
            fleet(1, 2, true, false),
            fleet(1, 1, false, true),
        ]);
    }
    for fleet in fleets {
        let began = Instant::now();
        let checker = fleet.checker().spawn_bfs().join();
        let (states, depth) = (checker.unique_state_count(), checker.max_depth());
        eprintln!("{states:>9} states, up to {depth} steps, in {:.1?}: {fleet:?}", began.elapsed());
        checker.assert_properties();
    }
}

/// The property that falls first, and the least that it takes.
const FLAWS: [(Flaw, &str, u8, u8, bool, bool); 14] = [
    (Flaw::NoIntent, TWICE, 1, 0, false, false),
    (Flaw::BlindRequeue, TWICE, 1, 0, false, false),
    (Flaw::OneRead, TWICE, 1, 0, false, false),
    (Flaw::NoReassert, TWICE, 0, 1, false, false),
    (Flaw::GateByClock, TWICE, 0, 1, false, false),
    (Flaw::JournalLost, TWICE, 1, 1, false, false),
    (Flaw::JournalAfterPost, TWICE, 0, 1, false, false),
    (Flaw::TombstoneByIntent, TRUE_SENT, 0, 1, false, false),
    (Flaw::OldAttemptStays, TWICE, 1, 1, false, false),
    (Flaw::ReconcilesBehindGate, TRUE_SENT, 1, 1, true, false),
    (Flaw::IgnoresRivals, TRUE_SENT, 3, 0, true, false),
    (Flaw::TokensRepeat, TWICE, 0, 1, false, false),
    (Flaw::NoLeaseCheck, TWICE, 1, 0, false, false),
    (Flaw::EvidenceDropped, REPEATED, 2, 0, false, true),
];

#[test]
fn each_rule_left_out_is_found_out() {
    for (flaw, property, faults, rollbacks, twins, resend) in FLAWS {
        let fleet = Fleet { flaw: Some(flaw), ..fleet(faults, rollbacks, twins, resend) };
        // One thread, breadth first: the history found is a short one.
        let until = HasDiscoveries::AnyOf([property].into());
        let checker = fleet.checker().threads(1).finish_when(until).spawn_bfs().join();
        let history = checker.assert_any_discovery(property).into_actions();
        eprintln!("{flaw:?}: \"{property}\" fails after {} states\n    {history:?}", checker.unique_state_count());
    }
}
