//! The report over all extensions.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::arithmetic::{overshoot, pauses, quota_use};
use super::logins::{ExtensionReport, Logins};
use crate::clock::Nanos;
use crate::ledger::{SmsOutcome, WebhookEvent};
use crate::limits::{Group, Lane, LaneArrival, Plan, Verdict};
use crate::world::{Extension, World};

/// Which part of the run is looked at, in nanoseconds since the start. Tokens, sessions and webhooks are always counted whole.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReportScope {
    pub from_ns: Option<u64>,
    pub to_ns: Option<u64>,
    /// Add one entry per Medium lane.
    pub lanes: bool,
    /// Add the logins, sessions and texts of each extension.
    pub extensions: bool,
}

impl ReportScope {
    fn covers(&self, at: Nanos) -> bool {
        self.from_ns.is_none_or(|from| from <= at) && self.to_ns.is_none_or(|to| at < to)
    }
}

/// The verdict on a run. `requests = accepted + rejected + sms_429 + faulted + unauthorized`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Nanoseconds since the start of the simulator.
    pub now_ns: u64,
    /// Sends that arrived.
    pub requests: u64,
    pub accepted: u64,
    pub rejected: u64,
    /// Sends among `http_429`.
    pub sms_429: u64,
    /// Sends that a fault kept from being accepted, injected 429s among them.
    pub faulted: u64,
    /// Sends without a live access token.
    pub unauthorized: u64,
    /// Other requests of the API without a live access token.
    pub unauthorized_reads: u64,
    /// Requests of any group that arrived inside a penalty.
    pub in_penalty: u64,
    /// Requests of the groups Heavy, Medium and Light that the limiter refused; those of the token endpoint are `auth_429`.
    pub http_429: u64,
    /// The worst overshoot of any window of any lane, from the raw arrivals; 0 when every plan was kept.
    pub over_plan: u64,
    /// Different (from, to, text) among the accepted.
    pub distinct: u64,
    /// `accepted - distinct`: texts that a customer got once too often.
    pub duplicates: u64,
    /// Texts among the accepted whose recipient had opted out when they arrived.
    pub opted_out: u64,
    /// The most sessions that any extension had at once.
    pub sessions_max: u64,
    pub auth_requests: u64,
    pub auth_429: u64,
    /// Tokens issued for a JWT, a code or a password.
    pub logins: u64,
    /// Tokens issued for a refresh token, replayed ones among them.
    pub refreshes: u64,
    /// Token requests that were refused, the limiter's refusals not among them.
    pub auth_refused: u64,
    /// Notifications that a webhook took, and that it did not take in time or with a status of success; handshakes do not count.
    pub webhooks_delivered: u64,
    pub webhooks_failed: u64,
    /// Mean over the Medium lanes with more requests than the limit; missing without such a lane.
    pub quota_use_mean: Option<f64>,
    pub quota_use_worst: Option<f64>,
    /// Pauses of more than three windows within Medium lanes, which quota use leaves out: where there was a backlog all the time,
    /// the lane stood still.
    pub pauses: u64,
    /// Medium lanes with at least one request.
    pub lanes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_lane: Option<Vec<LaneReport>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_extension: Option<Vec<ExtensionReport>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LaneReport {
    pub extension: String,
    pub requests: u64,
    pub http_429: u64,
    pub in_penalty: u64,
    pub over_plan: u64,
    pub quota_use: Option<f64>,
}

pub(crate) fn report(world: &World, scope: &ReportScope) -> Report {
    let mut report = Report {
        now_ns: world.clock.now(),
        unauthorized: world.counters.sms_unauthorized.load(Ordering::Relaxed),
        unauthorized_reads: world.counters.reads_unauthorized.load(Ordering::Relaxed),
        per_lane: scope.lanes.then(Vec::new),
        ..Report::default()
    };
    let mut uses = Vec::new();
    let mut logins = Logins::of(world);
    for index in 0..world.extensions.len() {
        let extension = world.extension(index);
        let accepted = report.accepted;
        report.add_messages(&extension, scope);
        report.add_webhooks(&extension);
        if scope.extensions {
            let id = world.directory.extension_id(index);
            let figures = logins.of_extension(id, &extension.sessions, report.now_ns);
            let accepted = report.accepted - accepted;
            report.per_extension.get_or_insert_default().push(ExtensionReport { accepted, ..figures });
        }
        for group in Group::ALL {
            let lane = LaneFigures::of(extension.lane(group), world.plan(group), scope);
            report.add_lane(group, &lane);
            if group == Group::Medium && lane.requests > 0 {
                uses.extend(lane.quota_use);
                if let Some(lanes) = &mut report.per_lane {
                    lanes.push(lane.named(world.directory.extension_id(index)));
                }
            }
        }
        report.sessions_max = report.sessions_max.max(extension.sessions.peak as u64);
    }
    let app = world.app();
    let auth = LaneFigures::of(&app.auth, world.plan(Group::Auth), scope);
    report.add_lane(Group::Auth, &auth);
    drop(app);
    logins.add_to(&mut report);
    report.requests += report.unauthorized;
    if !uses.is_empty() {
        report.quota_use_mean = Some(uses.iter().sum::<f64>() / uses.len() as f64);
        report.quota_use_worst = uses.iter().copied().min_by(f64::total_cmp);
    }
    report
}

impl Report {
    fn add_messages(&mut self, extension: &Extension, scope: &ReportScope) {
        // Senders belong to one extension, so texts can be told apart extension by extension.
        let mut texts: HashMap<_, u64> = HashMap::new();
        for entry in extension.sms_log.iter().filter(|entry| scope.covers(entry.at)) {
            self.requests += 1;
            match entry.outcome {
                SmsOutcome::Accepted { .. } => {
                    self.accepted += 1;
                    self.opted_out += u64::from(entry.opted_out);
                    *texts.entry((entry.parties, entry.text_hash)).or_default() += 1;
                }
                SmsOutcome::Throttled => self.sms_429 += 1,
                SmsOutcome::Rejected(_) => self.rejected += 1,
                SmsOutcome::Faulted => self.faulted += 1,
            }
        }
        self.distinct += texts.len() as u64;
        self.duplicates += texts.values().map(|count| count - 1).sum::<u64>();
    }

    fn add_webhooks(&mut self, extension: &Extension) {
        for entry in extension.webhook_log.iter().filter(|entry| entry.event != WebhookEvent::Handshake) {
            match entry.delivered {
                true => self.webhooks_delivered += 1,
                false => self.webhooks_failed += 1,
            }
        }
    }

    fn add_lane(&mut self, group: Group, lane: &LaneFigures) {
        self.in_penalty += lane.in_penalty;
        self.over_plan = self.over_plan.max(lane.over_plan);
        if group == Group::Medium {
            self.lanes += u64::from(lane.requests > 0);
            self.pauses += lane.pauses;
        }
        if group != Group::Auth {
            self.http_429 += lane.refused;
        }
    }
}

struct LaneFigures {
    requests: u64,
    refused: u64,
    in_penalty: u64,
    over_plan: u64,
    pauses: u64,
    quota_use: Option<f64>,
}

impl LaneFigures {
    fn of(lane: &Lane, plan: &Plan, scope: &ReportScope) -> Self {
        let arrivals = || lane.arrivals().iter().filter(|a| scope.covers(a.at));
        let with = |verdict: Verdict| arrivals().filter(|a| a.verdict == verdict).count() as u64;
        let at = |arrival: &LaneArrival| arrival.at;
        let all: Vec<_> = arrivals().map(at).collect();
        let admitted: Vec<_> = arrivals().filter(|a| a.verdict == Verdict::Admitted).map(at).collect();
        let in_penalty = with(Verdict::InPenalty);
        Self {
            requests: all.len() as u64,
            refused: in_penalty + with(Verdict::OverLimit),
            in_penalty,
            over_plan: overshoot(&all, plan.limit, plan.window),
            pauses: pauses(&admitted, plan.window),
            quota_use: quota_use(&admitted, plan.limit, plan.window),
        }
    }

    fn named(&self, extension_id: u64) -> LaneReport {
        LaneReport {
            extension: extension_id.to_string(),
            requests: self.requests,
            http_429: self.refused,
            in_penalty: self.in_penalty,
            over_plan: self.over_plan,
            quota_use: self.quota_use,
        }
    }
}
