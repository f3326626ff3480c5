//! Messages that nobody can send, and plans that are other than the settings say.

use std::collections::BTreeSet;

use ringfleet_store::{Group, LaneId, Plan};

use super::{
    case::Case,
    finding::{Finding, Level, Section},
    store::chain,
};

/// Waiting lanes that are looked at, the longest waiting first.
const MOST_LANES: u32 = 500;

pub(super) async fn look(case: &Case) -> Section {
    let mut findings = senders(case).await;
    findings.extend(plans(case).await);
    Section::new("Lanes and plans", findings)
}

/// Extensions with messages for which nobody can log in.
async fn senders(case: &Case) -> Vec<Finding> {
    const CHECK: &str = "senders";
    let lanes = match case.vault.store().lanes(MOST_LANES).await {
        Ok(lanes) => lanes,
        Err(error) => return vec![Finding::fail(CHECK, chain(&error), "look at the store")],
    };
    let able: BTreeSet<_> = case.roster.extensions().into_iter().collect();
    let mut findings = Vec::new();
    for view in &lanes {
        let Some(lane) = view.lane.as_ref().filter(|lane| lane.group() == Group::Medium) else { continue };
        if !able.contains(lane.extension()) {
            let seen = format!("{} messages wait for extension {}", view.waiting, lane.extension());
            findings.push(Finding::coded(CHECK, Level::Fail, "no-credential", &seen));
        }
    }
    if findings.is_empty() {
        findings
            .push(Finding::ok(CHECK, format!("{} lanes have messages, and somebody logs in for each", lanes.len())));
    }
    findings
}

/// What the provider's answers have told of the plans, against the settings.
async fn plans(case: &Case) -> Vec<Finding> {
    let Some(extension) = case.chosen.first() else { return Vec::new() };
    let mut findings = Vec::new();
    for group in Group::ALL {
        let Ok(lane) = LaneId::try_new(&case.settings.provider.app, extension.as_str(), group) else { continue };
        let Ok(view) = case.vault.store().lane(&lane).await else { continue };
        let set = case.settings.rules.plan(group);
        let check = format!("plan: {}", group.as_str());
        findings.push(match view.plan {
            Some(seen) if seen == set => Finding::ok(&check, format!("{}, as in the settings", told(set))),
            Some(seen) => Finding::warn(
                &check,
                format!(
                    "{} by the provider's answers, {} in the settings; the fleet goes by the answers",
                    told(seen),
                    told(set)
                ),
                format!("write {} into plans.{}", seen.limit, group.as_str()),
            ),
            None => Finding::ok(&check, format!("{} in the settings; no answer has told of it yet", told(set))),
        });
    }
    findings
}

fn told(plan: Plan) -> String {
    format!("{} in {} s", plan.limit, f64::from(plan.window_ms) / 1e3)
}
