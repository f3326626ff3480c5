//! I4, I5 and I7: the plans were kept, the kill switch stops, and the fleet is back soon after the last fault.

use std::time::Duration;

use ringfleet_simulator::{Report, SmsLine};

use crate::rig::{Ends, Except, Rig, Waiting, lock};

/// What was begun before the switch is finished; nothing begins after it.
const SWITCH: Duration = Duration::from_secs(1);
/// From the end of the last fault to the first send, beside a lease, which a dead worker's messages need.
const BACK: Duration = Duration::from_secs(10);

/// I4: no window over the plan, nothing inside a penalty, logins within their plan.
pub(in crate::rig) fn kept(ends: &Ends, report: &Report) -> Vec<String> {
    let throttled =
        ends.at_most(|except| if let Except::Throttled { at_most } = except { Some(*at_most) } else { None });
    let logins =
        ends.at_most(|except| if let Except::LoginsThrottled { at_most } = except { Some(*at_most) } else { None });
    // A refusal that the test asked for explains what came into its penalty, never a window that was too full.
    let over_plan =
        ends.at_most(|except| if let Except::OverPlan { at_most } = except { Some(*at_most) } else { None });
    let figures = [
        ("429s", report.http_429, throttled),
        ("logins refused for the rate", report.auth_429, logins),
        ("requests inside a penalty", report.in_penalty, throttled + logins),
        ("requests more than a plan allows in a window", report.over_plan, over_plan),
    ];
    let over = figures.iter().filter(|(_, count, permitted)| count > permitted);
    over.map(|(what, count, permitted)| format!("I4, {count} {what}, {permitted} are excepted")).collect()
}

/// I5: nothing goes out while the fleet is stopped.
pub(in crate::rig) fn nothing_after_the_kill_switch(rig: &Rig, ledger: &[SmsLine]) -> Vec<String> {
    let mut broken = Vec::new();
    for (from, until) in lock(&rig.stops).iter() {
        let stopped = from + SWITCH.as_nanos() as u64..until.unwrap_or(u64::MAX);
        let sent = ledger.iter().filter(|send| stopped.contains(&send.at_ns)).count();
        if sent > 0 {
            broken.push(format!("I5, {sent} requests arrived while the fleet was stopped"));
        }
    }
    broken
}

/// I7: where messages waited when the last fault was over, sends begin again soon.
pub(in crate::rig) fn back_after_the_last_fault(rig: &Rig, ends: &Ends, ledger: &[SmsLine]) -> Option<String> {
    let over = lock(&rig.faults).last().copied()?;
    let accepted = || ledger.iter().filter(|send| send.outcome == "accepted").map(|send| send.at_ns);
    let ready = lock(&rig.handed).iter().filter(|handed| handed.ready_ns <= over).count();
    let sent = accepted().filter(|at| *at <= over).count();
    let Some(first) = accepted().filter(|at| *at > over).min() else {
        // Where all must have ended, I1 sees those that have not; and a fleet that is stopped to the end need not come back.
        let stopped = lock(&rig.stops).last().is_some_and(|(_, until)| until.is_none());
        let silent = ready > sent && ends.waiting != Waiting::Exactly(0) && !stopped;
        return silent.then(|| format!("I7, nothing was sent after the last fault, while {} waited", ready - sent));
    };
    let took = Duration::from_nanos(first - over);
    let late = ready > sent && took > BACK + rig.options.lease;
    late.then(|| format!("I7, the first send came {took:?} after the last fault, while {} waited", ready - sent))
}
