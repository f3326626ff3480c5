use proptest::prelude::*;

use super::*;
use crate::{
    explain::{Busy, Slot, Why},
    ids::MessageId,
    message::Priority,
    plan::Plan,
};

const NOW: Millis = 1_700_000_000_000;
/// A window of 60 s and its margin, from a response until the slot is free again.
const HOLD: Millis = 60_000 + 60 + 1;

fn lane(limit: u32, window_ms: u32, cap: u32) -> LaneFacts {
    LaneFacts {
        lane: "main/101/medium".parse().expect("a lane"),
        now: NOW,
        plan: Plan { limit, window_ms },
        slots: Vec::new(),
        penalty_until: 0,
        probe: false,
        paused: false,
        parked: None,
        in_flight: 0,
        cap,
        waiting: [0; 3],
        oldest_due: None,
        gate: Gate::Open,
        workers: 1,
    }
}

/// The plan of a RingCentral extension.
fn idle() -> LaneFacts {
    lane(40, 60_000, 8)
}

/// Slots whose answers took `response`, free at these times from now on.
fn used(hold: Millis, response: Millis, free_in: impl IntoIterator<Item = Millis>) -> Vec<Slot> {
    let slot = |free_in: Millis| Slot { taken_at: NOW + free_in - hold - response, free_at: Some(NOW + free_in) };
    free_in.into_iter().map(slot).collect()
}

fn behind(ahead: u64) -> Place {
    Place { ahead, ..Place::default() }
}

/// From now until the turn of a message that is due.
fn wait(lane: &LaneFacts, ahead: u64) -> Millis {
    lane.turn(&behind(ahead), NOW - 1) - NOW
}

fn waiting(lane: LaneFacts, due_at: Millis) -> Explained {
    let stand = Stand::Waiting { due_at, quiet: false, place: Place::default(), busy: None };
    let (id, priority) = (MessageId::random(), Priority::Normal);
    Explained { id, state: State::Ready, priority, send_by: None, stand, lane }
}

#[test]
fn an_idle_lane_sends_its_first_messages_at_once_and_eight_at_a_time() {
    assert_eq!([0, 7, 8, 39].map(|ahead| wait(&idle(), ahead)), [0, 0, 300, 1_200]);
}

#[test]
fn a_place_of_the_window_is_used_again_one_response_and_one_window_later() {
    let period = HOLD + 300;
    assert_eq!([40, 48, 80].map(|ahead| wait(&idle(), ahead)), [period, period + 300, 2 * period]);
    // The response is taken from the lane's own last ones.
    let slots = used(HOLD, 500, (1..=40).map(|n| n * 1_000));
    let busy = LaneFacts { slots, ..idle() };
    assert_eq!([0, 1, 39].map(|ahead| wait(&busy, ahead)), [1_000, 2_000, 40_000]);
    assert_eq!([40, 79, 80].map(|ahead| wait(&busy, ahead) - HOLD), [1_500, 40_500, 1_000 + HOLD + 1_000]);
}

#[test]
fn a_slot_under_way_is_free_a_window_after_its_answer() {
    let mut slots = used(1_003, 200, [400]);
    slots.push(Slot { taken_at: NOW - 50, free_at: None });
    let two = LaneFacts { slots, in_flight: 1, ..lane(2, 1_000, 8) };
    assert_eq!([0, 1].map(|ahead| wait(&two, ahead)), [400, 150 + 1_003]);
}

#[test]
fn a_limit_that_was_lowered_waits_until_enough_slots_are_free() {
    let slots = used(1_003, 0, [100, 200, 300, 400]);
    let lowered = LaneFacts { slots, ..lane(2, 1_000, 8) };
    assert_eq!([0, 1].map(|ahead| wait(&lowered, ahead)), [300, 400]);
}

#[test]
fn penalty_and_gate_hold_everything_up_and_one_goes_alone_after_the_penalty() {
    let penalty = LaneFacts { penalty_until: NOW + 5_000, probe: true, ..idle() };
    assert_eq!([0, 1, 8, 9].map(|ahead| wait(&penalty, ahead)), [5_000, 5_300, 5_300, 5_600]);
    let gate = Gate::Until { until: NOW + 9_000, reason: "wider-429".into() };
    assert_eq!(wait(&LaneFacts { gate, ..penalty }, 0), 9_000);
}

#[test]
fn those_from_before_the_penalty_are_waited_for_and_a_probe_under_way_is_no_second_one() {
    let slots = vec![Slot { taken_at: NOW - 100, free_at: None }];
    let before = LaneFacts { slots, in_flight: 1, probe: true, penalty_until: NOW - 10, ..idle() };
    assert_eq!([0, 1].map(|ahead| wait(&before, ahead)), [200, 500]);
    let probing = LaneFacts { penalty_until: NOW - 200, ..before };
    assert_eq!([0, 7, 8].map(|ahead| wait(&probing, ahead)), [200, 200, 500]);
}

#[test]
fn a_scheduled_message_goes_at_its_time_behind_those_that_are_due_before() {
    let lane = lane(2, 1_000, 8);
    let turn = |place: &Place| lane.turn(place, NOW + 10_000) - NOW;
    assert_eq!(turn(&behind(6)), 10_000, "those that are ready are gone by then");
    let at_once = Place { due_ahead: vec![NOW + 10_000; 4], ..Place::default() };
    assert_eq!(turn(&at_once), 10_000 + 2 * 1_303);
    let just_before = Place { due_ahead: vec![NOW + 9_500, NOW + 9_600], ..Place::default() };
    assert_eq!(turn(&just_before), 9_500 + 1_303);
    // Lower priorities use the window until it is due, and no longer.
    let rounds = 10_000 / 1_303 + 1;
    assert_eq!(turn(&Place { below: 1_000, ..Place::default() }), rounds * 1_303);
}

#[test]
fn what_waits_for_a_person_has_no_time() {
    let stopped = Gate::Stopped { reason: "test".into() };
    for (lane, until) in [
        (LaneFacts { gate: stopped, parked: Some("x".into()), ..idle() }, Until::FleetResumed),
        (LaneFacts { parked: Some("credential".into()), paused: true, ..idle() }, Until::CauseMended),
        (LaneFacts { paused: true, ..idle() }, Until::LaneResumed),
    ] {
        assert_eq!(waiting(lane.clone(), NOW).eta(), Eta::Never { until });
        let mut ends = waiting(lane.clone(), NOW);
        ends.send_by = Some(NOW + 60_000);
        assert_eq!(ends.eta(), Eta::ExpiresUnless { at: NOW + 60_000, until });
        ends.state = State::Claimed;
        ends.stand = Stand::InHand { worker: "w".into(), since: NOW };
        assert_eq!(ends.eta(), Eta::ExpiresUnless { at: NOW + 60_000, until });
        assert_eq!(LaneFacts { waiting: [0, 3, 0], ..lane }.next_goes(), Eta::Never { until });
    }
    let stand = Stand::Over { at: Some(NOW), reason: "several-matches".into(), may_have_arrived: Some(NOW) };
    let held = Explained { state: State::Held, stand, ..waiting(idle(), NOW) };
    assert_eq!(held.eta(), Eta::Never { until: Until::Decided });
}

#[test]
fn nobody_looks_up_an_unknown_send_while_the_fleet_is_stopped_and_a_pause_is_nothing_to_it() {
    let looked_up = |lane: LaneFacts| {
        let stand = Stand::Unknown { since: NOW, reads: 0, next_look: Some(NOW + 500) };
        let explained = Explained { state: State::Unknown, stand, ..waiting(lane, NOW) };
        (explained.why(), explained.eta())
    };
    let unknown = Why::Unknown { since: NOW, reads: 0, next_look: Some(NOW + 500) };
    let soon = Eta::LookedUp { next: Some(NOW + 500) };
    assert_eq!(looked_up(LaneFacts { paused: true, ..idle() }), (vec![unknown.clone()], soon));
    let reason = "holiday".to_owned();
    let stopped = LaneFacts { gate: Gate::Stopped { reason: reason.clone() }, ..idle() };
    let never = Eta::Never { until: Until::FleetResumed };
    assert_eq!(looked_up(stopped), (vec![Why::Stopped { reason: reason.clone() }, unknown.clone()], never));
    let closed = LaneFacts { gate: Gate::Until { until: NOW + 9_000, reason: reason.clone() }, ..idle() };
    let (gate, later) = (Why::Gate { until: NOW + 9_000, reason }, Eta::LookedUp { next: Some(NOW + 9_000) });
    assert_eq!(looked_up(closed), (vec![unknown, gate], later));
}

#[test]
fn a_message_whose_turn_comes_too_late_expires() {
    let mut late = waiting(LaneFacts { penalty_until: NOW + 5_000, ..idle() }, NOW);
    late.send_by = Some(NOW + 4_999);
    assert_eq!(late.eta(), Eta::Expires { at: NOW + 4_999, turn: NOW + 5_000 });
    late.send_by = Some(NOW + 5_000);
    assert_eq!(late.eta(), Eta::At(NOW + 5_000));
    late.send_by = Some(NOW + 4_999);
    late.lane.paused = true;
    assert_eq!(late.eta(), Eta::Expires { at: NOW + 4_999, turn: NOW + 5_000 }, "whoever lets it go on comes too late");
}

#[test]
fn a_time_that_depends_on_an_unknown_send_is_a_lower_bound() {
    let busy = Some(Busy { with: MessageId::random(), state: State::Unknown });
    let stand = Stand::Waiting { due_at: NOW + 900, quiet: false, place: Place::default(), busy };
    let explained = Explained { state: State::Scheduled, stand, ..waiting(idle(), NOW) };
    assert_eq!(explained.eta(), Eta::NotBefore(NOW + 900));
}

#[test]
fn what_is_due_later_says_so_also_while_its_recipient_is_busy_and_what_was_put_off_does_not() {
    let other = Busy { with: MessageId::random(), state: State::Sending };
    let why = |due_at| {
        let stand = Stand::Waiting { due_at, quiet: false, place: Place::default(), busy: Some(other) };
        Explained { state: State::Scheduled, stand, ..waiting(idle(), NOW) }.why()
    };
    let busy = Why::PairBusy { with: other.with, state: other.state };
    let at = NOW + 3_600_000;
    assert_eq!(why(at), [Why::Scheduled { until: at }, busy.clone()]);
    assert_eq!(why(NOW + 1_000), [busy]);
}

#[test]
fn a_lane_tells_when_its_first_and_its_last_ready_message_go() {
    let lane = LaneFacts { waiting: [1, 39, 1], ..idle() };
    assert_eq!((lane.next_goes(), lane.last_goes()), (Eta::At(NOW), Eta::At(NOW + HOLD + 300)));
    assert_eq!(idle().next_goes(), Eta::Over);
}

#[test]
fn a_million_messages_are_counted_in_no_time() {
    let began = std::time::Instant::now();
    assert_eq!(wait(&idle(), 1_000_000), 25_000 * (HOLD + 300));
    assert!(began.elapsed() < std::time::Duration::from_millis(50), "{:?}", began.elapsed());
}

/// One message after the other, by looking at each instant at which something becomes free: no heaps, no rounds skipped.
fn by_hand(lane: &LaneFacts, place: &Place, due_at: Millis, response: Millis) -> Millis {
    let hold = lane.hold();
    let mut window: Vec<Millis> = lane.slots.iter().filter_map(|slot| slot.free_at).collect();
    let mut flying: Vec<Millis> = Vec::new();
    let mut queue: Vec<(Millis, u8)> = std::iter::repeat_n((NOW, 0), place.ahead as usize).collect();
    queue.extend(place.due_ahead.iter().map(|due| (*due, 0)));
    queue.push((due_at, 1));
    queue.extend(std::iter::repeat_n((NOW, 2), place.below as usize));
    let mut now = NOW.max(lane.penalty_until);
    loop {
        window.retain(|free| *free > now);
        flying.retain(|answered| *answered > now);
        let room = window.len() < lane.plan.limit as usize && flying.len() < lane.cap as usize;
        let ready = queue.iter().enumerate().filter(|(_, (due, _))| *due <= now).min_by_key(|(_, (_, rank))| *rank);
        match ready.map(|(at, _)| at).filter(|_| room) {
            Some(at) => {
                if queue.remove(at).1 == 1 {
                    return now;
                }
                window.push(now + response + hold);
                flying.push(now + response);
            }
            None => {
                let times = window.iter().chain(&flying).copied().chain(queue.iter().map(|(due, _)| *due));
                now = times.filter(|at| *at > now).min().expect("something is to come");
            }
        }
    }
}

proptest! {
    #[test]
    fn the_course_is_the_exact_window_however_long_the_queue(
        limit in 1u32..12,
        cap in 1u32..10,
        window_ms in 50u32..3_000,
        response in 1i64..400,
        free_in in prop::collection::vec(0i64..3_000, 1..20),
        penalty in prop_oneof![Just(0i64), 1i64..5_000],
        ahead in 0u64..400,
        below in 0u64..60,
        due_ahead in prop::collection::vec(1i64..20_000, 0..12),
        due_in in prop_oneof![2 => Just(0i64), 1 => 1i64..20_000],
    ) {
        let mut lane = lane(limit, window_ms, cap);
        let hold = lane.hold();
        let mut free_in: Vec<Millis> = free_in.into_iter().map(|at| at % (hold + 1) + 1).collect();
        free_in.sort_unstable();
        lane.slots = used(hold, response, free_in);
        lane.penalty_until = NOW + penalty;
        let mut due_ahead: Vec<Millis> =
            due_ahead.into_iter().map(|due| NOW + due).filter(|due| *due < NOW + due_in).collect();
        due_ahead.sort_unstable();
        let place = Place { ahead, below: if due_in > 0 { below } else { 0 }, due_ahead, at_least: false };
        let told = lane.turn(&place, NOW + due_in);
        prop_assert_eq!(told - NOW, by_hand(&lane, &place, NOW + due_in, response) - NOW);
    }

    #[test]
    fn who_stands_further_back_goes_no_sooner(limit in 1u32..50, window_ms in 100u32..60_000, ahead in 0u64..5_000) {
        let lane = lane(limit, window_ms, 8);
        prop_assert!(wait(&lane, ahead) <= wait(&lane, ahead + 1));
    }
}
