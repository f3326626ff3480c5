//! I4, I5 and I7: the plans were kept, the kill switch stops, and each lane is back soon after the last fault.

use std::{collections::HashMap, time::Duration};

use ringfleet_simulator::{Report, SmsLine};

use super::Records;
use crate::rig::{Ends, Except, Rig, Waiting, lock};

/// What was begun before the switch is finished; nothing begins after it.
const SWITCH: Duration = Duration::from_secs(1);

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

/// I7: each lane in which messages waited when the last fault was over sends again soon.
pub(in crate::rig) fn back_after_the_last_fault(
    rig: &Rig,
    ends: &Ends,
    records: &Records,
    ledger: &[SmsLine],
) -> Vec<String> {
    let Some(over) = lock(&rig.faults).last().copied() else { return Vec::new() };
    // Where all must have ended, I1 sees those that have not; and a fleet that is stopped to the end need not come back.
    let stopped = lock(&rig.stops).last().is_some_and(|(_, until)| until.is_none());
    let must_come = ends.waiting != Waiting::Exactly(0) && !stopped;
    let bound = rig.options.back + rig.options.lease;
    let handed = lock(&rig.handed);
    let mut broken = Vec::new();
    let mut sent: HashMap<&str, Vec<u64>> = HashMap::new();
    for send in ledger.iter().filter(|send| send.outcome == "accepted") {
        sent.entry(&send.extension).or_default().push(send.at_ns);
    }
    // What ends otherwise than sent has nothing to wait for.
    let goes_out = |id| records.get(id).is_none_or(|record| !record.is_over() || record.state.was_sent());
    let mut ready: HashMap<&str, usize> = HashMap::new();
    for handed in handed.iter().filter(|handed| handed.ready_ns <= over && goes_out(&handed.id)) {
        *ready.entry(&handed.key.0).or_default() += 1;
    }
    for account in &rig.accounts {
        let id = account.extension_id.as_str();
        let sent = sent.get(id).map_or(&[][..], Vec::as_slice);
        let ready: usize = account.numbers.iter().filter_map(|number| ready.get(number.as_str())).sum();
        let waited = ready.saturating_sub(sent.iter().filter(|at| **at <= over).count());
        let first = sent.iter().filter(|at| **at > over).min();
        match first.map(|first| Duration::from_nanos(first - over)) {
            _ if waited == 0 => {}
            Some(took) if took > bound => broken.push(format!(
                "I7, the first send of extension {id} came {took:?} after the last fault, while {waited} waited"
            )),
            None if must_come => broken
                .push(format!("I7, nothing of extension {id} was sent after the last fault, while {waited} waited")),
            _ => {}
        }
    }
    broken
}
