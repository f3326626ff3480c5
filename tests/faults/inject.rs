//! How each fault is made.

use std::time::{Duration, Instant};

use rand::{RngExt, rngs::StdRng};
use serde_json::{Value, json};

use crate::{
    kinds,
    rig::{Rig, blocking, http},
    run::TOTAL,
};

pub(crate) struct Injector<'a> {
    faults: &'a [&'static str],
    chance: &'a mut StdRng,
    /// Those that happened while there was something to send. A failpoint tells of itself.
    pub(crate) struck: Vec<&'static str>,
    /// What the provider had refused when sessions and credentials were revoked.
    refused_before: Option<u64>,
}

impl<'a> Injector<'a> {
    pub(crate) fn new(faults: &'a [&'static str], chance: &'a mut StdRng) -> Self {
        Self { faults, chance, struck: Vec::new(), refused_before: None }
    }

    /// The provider's faults lie in wait from the start.
    pub(crate) fn before(&mut self, rig: &Rig) {
        for fault in self.faults {
            let often = self.chance.random_range(1..=8_u64);
            let rule = match *fault {
                "error_after_accept" => json!({"kind": "error_after_accept", "status": self.one_of(&[500, 502, 504])}),
                "error_before" => json!({"kind": "error_before", "status": self.one_of(&[500, 502, 503])}),
                "delay" => json!({"kind": "delay", "ms": 600}),
                "storm_429" => json!({"kind": "throttle", "retry_after": 1, "headers": true}),
                "accept_then_hang" | "accept_then_reset" | "hang_before_read" | "reset_before" | "garbage"
                | "truncated" | "drip" => json!({ "kind": fault }),
                "token_error" | "lookup_error" => json!({"kind": "error_before", "status": 503}),
                "token_lost" => json!({"kind": "accept_then_reset"}),
                "lookup_garbage" => json!({"kind": "garbage"}),
                _ => continue,
            };
            let endpoint = kinds::endpoint(fault);
            // Logins and looks are few.
            let every_nth = self.chance.random_range(1..=if endpoint == "sms" { 6_u64 } else { 2 });
            let most = if endpoint == "token" { kinds::TOKENS_LOST } else { u64::MAX };
            let matching = json!({"endpoint": endpoint, "every_nth": every_nth});
            rig.add_fault(json!({"id": fault, "match": matching, "fault": rule, "times": often.min(most)}));
            if endpoint == "message-store" {
                // Nobody looks without a reason.
                let unknown = json!({"fault": {"kind": "accept_then_reset"}, "times": self.chance.random_range(2..=6)});
                rig.add_fault(unknown);
            }
        }
    }

    /// For the first worker: where it ends.
    pub(crate) fn failpoint(&mut self) -> Option<String> {
        let place = self.faults.iter().find(|fault| kinds::is_failpoint(fault))?;
        let (action, place) = place.split_once('@').unwrap();
        let passing =
            if place.starts_with("claim") || place.starts_with("drain") { 1 } else { self.chance.random_range(1..=4) };
        Some(format!("{place}={action}@{passing}"))
    }

    /// What happens while the fleet works, one after the other.
    pub(crate) async fn during(&mut self, rig: &mut Rig) {
        for fault in self.faults {
            let begin = self.chance.random_range(2..=20_u64);
            // Some load may never get that far by itself: then it begins anyhow.
            within(Duration::from_secs(3), || rig.simulator.report().accepted >= begin).await;
            let in_time = rig.simulator.report().accepted < TOTAL;
            if self.strike(fault, rig).await && in_time {
                self.struck.push(fault);
            }
        }
    }

    /// Gives whether it happened, as far as can be known now.
    async fn strike(&mut self, fault: &str, rig: &mut Rig) -> bool {
        match fault {
            "kill@any_time" => return kill_living(rig),
            "kill@drain.mid" => {
                rig.signal_worker(0, "TERM");
                // A worker that has nothing in hand is gone before it comes there.
                return within(Duration::from_secs(1), || rig.has_met(0)).await;
            }
            "freeze_and_thaw" => {
                rig.signal_worker(0, "STOP");
                self.pause(2_500, 4_000).await;
                rig.signal_worker(0, "CONT");
            }
            "storm_5xx" => {
                let storm = json!({"id": "storm", "fault": {"kind": "error_before", "status": 503}});
                rig.add_fault(storm);
                self.pause(500, 2_500).await;
                let met = rules_met(rig).await.iter().any(|rule| rule == "storm");
                end_storm(rig).await;
                return met;
            }
            "revoked_session" => {
                self.refused_before = Some(refused(rig));
                self.each_extension(rig, "revoke-session").await;
                return false;
            }
            "revoked_jwt" => {
                self.refused_before = Some(refused(rig));
                self.each_extension(rig, "revoke-jwt").await;
                self.each_extension(rig, "revoke-session").await;
                self.pause(500, 2_000).await;
                self.each_extension(rig, "restore-jwt").await;
                return false;
            }
            "redis_restart" => blocking(|| rig.redis_mut().restart()),
            "redis_tail_lost" | "redis_and_worker_die" => {
                let lost = self.chance.random_range(1..=8);
                return blocking(|| {
                    rig.redis_mut().forget_last_commands(lost);
                    let met = fault == "redis_tail_lost" || kill_living(rig);
                    rig.redis_mut().restart();
                    met
                });
            }
            "redis_freeze" => {
                rig.redis_mut().freeze();
                self.pause(500, 3_000).await;
                rig.redis_mut().thaw();
            }
            "redis_full_stop_and_go" => {
                rig.redis_mut().kill();
                self.pause(500, 3_000).await;
                blocking(|| rig.redis_mut().restart());
            }
            "clock_back" => rig.redis().step_clock(-3_600),
            "partition" => {
                rig.proxy().blackhole(true);
                self.pause(500, 4_000).await;
                rig.proxy().heal();
            }
            "latency" => {
                let proxy = rig.proxy();
                proxy.latency(Duration::from_millis(120), Duration::from_millis(80));
                self.pause(1_000, 3_000).await;
            }
            "lost_replies" => {
                for _ in 0..self.chance.random_range(1..=4) {
                    rig.proxy().drop_next_reply();
                    self.pause(50, 400).await;
                }
                return rig.proxy().dropped() > 0;
            }
            "half_open" => rig.proxy().half_open(),
            "resets" => {
                for _ in 0..self.chance.random_range(1..=5) {
                    rig.proxy().reset_all();
                    self.pause(20, 300).await;
                }
            }
            // The provider's lie in wait, and a failpoint strikes by itself: see `ended`, also for what was revoked.
            _ => return false,
        }
        true
    }

    /// Everything is made good again, as an operator would: whoever died is replaced.
    pub(crate) fn after(&self, rig: &mut Rig) {
        if self.faults.iter().any(|fault| kinds::needs_proxy(fault)) {
            rig.proxy().heal();
        }
        rig.start_worker(None);
    }

    /// Lanes go on, by the operator's hand.
    pub(crate) async fn resume_lanes(&mut self, rig: &Rig) {
        if self.faults.contains(&"revoked_jwt") {
            // What is still on its way with the old credential may park a lane after this; so once more, later.
            for _ in 0..2 {
                for account in &rig.accounts {
                    let output = rig.run(&["lane", "resume", &account.extension_id]);
                    assert!(output.status.success(), "{output:?}");
                }
                self.pause(1_500, 1_600).await;
            }
        }
    }

    /// Asks whether those have struck that need nobody to make them.
    pub(crate) async fn ended(&mut self, rig: &Rig) {
        let met = rules_met(rig).await;
        for fault in self.faults {
            let by_itself = match *fault {
                failpoint if kinds::is_failpoint(failpoint) => rig.has_met(0),
                // When somebody has used what was revoked: an extension without a message never does.
                "revoked_session" | "revoked_jwt" => self.refused_before.is_some_and(|before| refused(rig) > before),
                rule => met.iter().any(|met| met == rule),
            };
            if by_itself && !self.struck.contains(fault) {
                self.struck.push(fault);
            }
        }
    }

    async fn each_extension(&mut self, rig: &Rig, what: &str) {
        for account in rig.accounts.iter().take(2) {
            let url = format!("{}/simulator/extensions/{}/{what}", rig.simulator.base_url(), account.extension_id);
            let answer = http().post(url).send().await.unwrap();
            assert!(answer.status().is_success(), "{what}: {}", answer.status());
        }
    }

    async fn pause(&mut self, from_ms: u64, to_ms: u64) {
        tokio::time::sleep(Duration::from_millis(self.chance.random_range(from_ms..=to_ms))).await;
    }

    fn one_of(&mut self, numbers: &[u16]) -> u16 {
        numbers[self.chance.random_range(0..numbers.len())]
    }
}

/// Whether the condition comes true in that time.
pub(crate) async fn within(patience: Duration, condition: impl Fn() -> bool) -> bool {
    let end = Instant::now() + patience;
    while !condition() {
        if Instant::now() >= end {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    true
}

/// What else lies in wait stays there.
async fn end_storm(rig: &Rig) {
    let url = format!("{}/simulator/faults/storm", rig.simulator.base_url());
    let answer = http().delete(url).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    rig.fault();
}

/// Kills the first worker, and gives whether it still lived.
fn kill_living(rig: &mut Rig) -> bool {
    let lived = !rig.worker_has_ended(0);
    rig.kill_worker(0);
    lived
}

/// Sends and logins that the provider has refused for their session or credential.
fn refused(rig: &Rig) -> u64 {
    let report = rig.simulator.report();
    report.unauthorized + report.auth_refused
}

/// The rules of those that the simulator has now which a request has met.
async fn rules_met(rig: &Rig) -> Vec<String> {
    let url = format!("{}/simulator/faults", rig.simulator.base_url());
    let rules: Value = http().get(url).send().await.unwrap().json().await.unwrap();
    let met = rules.as_array().unwrap().iter().filter(|rule| rule["struck"].as_u64() > Some(0));
    met.filter_map(|rule| rule["rule"]["id"].as_str().map(str::to_owned)).collect()
}
