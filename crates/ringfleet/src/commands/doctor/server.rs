//! The server: where the settings point, whether it answers, and what time it has.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use ringcentral::{Client, ServerKind, ServerProbe};

use super::finding::{Finding, Section};
use crate::config::Settings;

/// HTTP tells times in whole seconds, and an answer takes a while; less than this is no difference.
const NOTHING: SignedDuration = SignedDuration::from_secs(3);

pub(super) async fn look(client: &Client, settings: &Settings) -> Section {
    let server = &settings.provider.server;
    let mut findings = vec![kind(server.kind(), &server.to_string())];
    let asked = Timestamp::now();
    match client.probe().await {
        Ok(probe) => {
            findings.push(answered(&probe, server.is_https()));
            findings.push(clock(&probe, asked));
        }
        Err(error) => {
            findings.push(Finding::of_call("answers", &error));
            findings.push(Finding::skip("clock", "the server has to answer first"));
        }
    }
    Section::new("Server", findings)
}

fn kind(kind: ServerKind, url: &str) -> Finding {
    let seen = format!("{url}: {}", kind.describe());
    match kind.warning() {
        None => Finding::ok("address", seen),
        Some(step) => Finding::fail("address", seen, step),
    }
}

fn answered(probe: &ServerProbe, tls: bool) -> Finding {
    let over = if tls { "over TLS" } else { "without TLS, on this machine" };
    let ms = probe.elapsed.as_millis();
    if probe.is_api {
        return Finding::ok("answers", format!("in {ms} ms, {over}"));
    }
    Finding::fail(
        "answers",
        format!("{} in {ms} ms, but not like RingCentral's API", probe.status.as_u16()),
        "look at ringcentral.server: the address alone, without /restapi; look at gateways on the way",
    )
}

/// Against this machine's clock; the store's is compared with it elsewhere.
fn clock(probe: &ServerProbe, asked: Timestamp) -> Finding {
    let Some(date) = probe.date else {
        return Finding::skip("clock", "the server does not tell its time");
    };
    // In the middle of the answer's time, and of the second that HTTP tells.
    let half = SignedDuration::try_from(probe.elapsed / 2).unwrap_or_default();
    let there = date + SignedDuration::from_millis(500);
    let ahead = there.duration_since(asked + half);
    match ahead.abs() {
        small if small <= NOTHING => Finding::ok("clock", "the server's and this machine's agree"),
        difference => Finding::warn(
            "clock",
            format!("the server's is {} {} this machine's", seconds(difference), direction(ahead)),
            "set this machine's clock by NTP",
        ),
    }
}

/// What decides is the store's clock: unknown sends are looked up by it in the provider's message store.
pub(super) fn store_clock(provider_ahead: SignedDuration, allowed: Duration) -> Finding {
    let allowed = SignedDuration::try_from(allowed).unwrap_or(SignedDuration::MAX);
    let told = format!("the provider's is {} {} the store's", seconds(provider_ahead.abs()), direction(provider_ahead));
    match provider_ahead.abs() {
        small if small <= NOTHING => Finding::ok("clock", "the provider's and the store's agree"),
        difference if difference > allowed => Finding::fail(
            "clock",
            format!("{told}, which is more than reconcile.clock_skew: what became of a send can't be looked up"),
            "set the clock of the store's machine by NTP; a store that was ahead comes back slowly, and at once when nobody has \
             asked it for ten seconds",
        ),
        _ => Finding::warn("clock", told, "set the clock of the store's machine by NTP"),
    }
}

fn seconds(difference: SignedDuration) -> String {
    match difference.as_secs() {
        s @ 0..600 => format!("{s} s"),
        s => format!("{} min", s / 60),
    }
}

fn direction(ahead: SignedDuration) -> &'static str {
    if ahead.is_negative() { "behind" } else { "ahead of" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::finding::Level;

    #[test]
    fn clocks_that_differ_too_much_break_the_looking_up() {
        let level = |seconds| store_clock(SignedDuration::from_secs(seconds), Duration::from_secs(120)).level;
        assert_eq!((level(0), level(-30), level(130), level(-121)), (Level::Ok, Level::Warn, Level::Fail, Level::Fail));
    }

    #[test]
    fn addresses_are_known_by_name() {
        let retired = kind(ServerKind::Sandbox, "x");
        assert_eq!(retired.level, Level::Fail);
        assert!(retired.seen.contains("retired") && retired.next_step.is_some(), "{retired:?}");
        for good in [ServerKind::Production, ServerKind::Partner, ServerKind::Loopback, ServerKind::Own] {
            assert_eq!(kind(good, "x").level, Level::Ok, "{good:?}");
        }
        assert_eq!(kind(ServerKind::OtherRingCentral, "x").level, Level::Fail);
    }
}
