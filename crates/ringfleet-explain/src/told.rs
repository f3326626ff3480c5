//! The answer to "why isn't it moving, and when will it" as people and programs get it: the same in the API, at the terminal and
//! on the operators' page. Nothing private is in it.

use jiff::{SignedDuration, Timestamp};
use ringfleet_quiet::Recipient;
use ringfleet_store::{Eta, Explained, LaneFacts, MessageId, Millis, State, Until, Why};
use serde::Serialize;

use self::quiet::put_off_until;
pub use self::quiet::{ToldQuietHours, bound};
use crate::sense;

mod quiet;

/// One thing that stands in the way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ToldWhy {
    /// One word, for programs: see [`Why::code`].
    pub code: &'static str,
    /// The same as a sentence's part.
    pub text: String,
    /// The word or code that stands with it in the store.
    pub reason: Option<String>,
    /// RFC 3339.
    pub since: Option<String>,
    /// When it is over by itself; RFC 3339.
    pub until: Option<String>,
    /// Of one that may have arrived: before this time it had certainly not been sent; RFC 3339.
    pub intent_at: Option<String>,
    /// What a person can do about it.
    pub remedy: Option<String>,
}

/// When it goes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ToldEta {
    /// `at`, `not-before`, `expires`, `never`, `under-way` or `looked-up`.
    pub kind: &'static str,
    /// RFC 3339.
    pub at: Option<String>,
    /// From now until then.
    pub in_ms: Option<i64>,
    /// What somebody has to do: `fleet-resumed`, `lane-resumed`, `cause-mended` or `decided`. Of `never`, and of `expires` where it
    /// would let the message go before.
    pub until: Option<&'static str>,
    pub text: String,
}

/// What is told of a message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Told {
    /// All that stands in its way, what needs a person first. Never empty.
    pub why: Vec<ToldWhy>,
    /// Null for a message that has ended.
    pub eta: Option<ToldEta>,
    /// Those that it is bound by; null for one that is under way or has ended.
    pub quiet_hours: Option<ToldQuietHours>,
}

impl Told {
    /// `recipient`: of whose quiet hours the message waits for the end; see [`bound`].
    pub fn of(explained: &Explained, recipient: Option<Recipient<'_>>) -> Self {
        let recipient = recipient.filter(|_| matches!(explained.state, State::Scheduled | State::Ready));
        let (extension, now) = (explained.lane.lane.extension(), explained.lane.now);
        let tell = |why: &Why| {
            let mut told = ToldWhy::of(why, extension, Some(explained.id));
            if let (Why::QuietHours { until }, Some(recipient)) = (why, &recipient) {
                told.text += &quiet::by_its_clock(recipient, *until);
            }
            told
        };
        let eta = explained.eta();
        let outside = recipient.map_or(eta, |recipient| explained.eta_outside(|at| put_off_until(&recipient, at)));
        let told = ToldEta::of(outside, now);
        let eta = match &recipient {
            Some(recipient) if outside != eta => told.map(|told| told.after_quiet_hours(recipient, outside)),
            _ => told,
        };
        let why = explained.why().iter().map(tell).collect();
        Self { why, eta, quiet_hours: recipient.map(|recipient| ToldQuietHours::of(&recipient, now)) }
    }
}

/// What is told of an extension.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ToldLane {
    pub extension: String,
    /// Messages that are due and wait.
    pub ready: u64,
    pub in_flight: u32,
    pub oldest_due: Option<String>,
    /// All that stands in the way of its next message, what needs a person first. Never empty.
    pub why: Vec<ToldWhy>,
    /// When the first of the ready messages goes; null where there is none.
    pub next: Option<ToldEta>,
    /// When the last of them goes.
    pub last: Option<ToldEta>,
}

impl ToldLane {
    pub fn of(facts: &LaneFacts) -> Self {
        let extension = facts.lane.extension();
        Self {
            extension: extension.to_owned(),
            ready: facts.ready(),
            in_flight: facts.in_flight,
            oldest_due: facts.oldest_due.map(rfc3339),
            why: facts.why().iter().map(|why| ToldWhy::of(why, extension, None)).collect(),
            next: ToldEta::of(facts.next_goes(), facts.now),
            last: ToldEta::of(facts.last_goes(), facts.now),
        }
    }
}

impl ToldWhy {
    /// `id`: of the message that it is told of, for its commands; `None` of a lane.
    pub fn of(why: &Why, extension: &str, id: Option<MessageId>) -> Self {
        let id = id.map_or_else(|| "ID".to_owned(), |id| id.to_string());
        Self {
            code: why.code(),
            text: why.to_string(),
            reason: why.reason().map(str::to_owned),
            since: why.since().map(rfc3339),
            until: why.until().map(rfc3339),
            intent_at: why.may_have_arrived().map(rfc3339),
            remedy: why.remedy(extension, &id),
        }
    }

    /// The text and its times.
    pub fn sentence(&self) -> String {
        let since = self.since.as_ref().map(|at| format!(", since {at}")).unwrap_or_default();
        let until = self.until.as_ref().map(|at| format!(", until {at}")).unwrap_or_default();
        let next = if self.code == "unknown" { until.replace("until", "next") } else { until };
        let look = self.intent_at.as_ref().map(|at| format!("; look from {at} on")).unwrap_or_default();
        format!("{}{since}{next}{look}", self.text)
    }

    /// What its reason means, where that is known.
    pub fn meaning(&self) -> Option<&'static str> {
        self.reason.as_deref().and_then(sense).map(|sense| sense.meaning)
    }

    /// What a person can do about it: what its reason asks for, and then what lets it go on.
    pub fn remedies(&self) -> impl Iterator<Item = &str> {
        // SEND-SAFETY: "the provider states that it was not sent" is true of the last attempt only.
        let last_only = self.code == "ended" && self.intent_at.is_some();
        let code = self.reason.as_deref().filter(|_| !last_only).and_then(sense).and_then(|sense| sense.remedy);
        code.into_iter().chain(self.remedy.as_deref())
    }
}

impl ToldEta {
    /// `None` of a message that has ended.
    pub fn of(eta: Eta, now: Millis) -> Option<Self> {
        let (kind, at, text) = match eta {
            Eta::Over => return None,
            Eta::At(at) if at <= now => ("at", Some(at), "it goes now".to_owned()),
            Eta::At(at) => ("at", Some(at), format!("it goes at about {}, in {}", rfc3339(at), span(at - now))),
            Eta::NotBefore(at) => {
                ("not-before", Some(at), format!("it goes at {} or later; how much can't be known", rfc3339(at)))
            }
            Eta::Expires { at, turn } => {
                let text = format!("it expires at {}: its turn would come at about {}", rfc3339(at), rfc3339(turn));
                ("expires", Some(at), text)
            }
            Eta::ExpiresUnless { at, until } => {
                ("expires", Some(at), format!("it expires at {} unless {} before", rfc3339(at), somebody(until).1))
            }
            Eta::Never { until } => ("never", None, format!("it stays until {}", somebody(until).1)),
            Eta::UnderWay => ("under-way", None, "its request is under way".to_owned()),
            Eta::LookedUp { next } => {
                let text = next.map_or_else(
                    || "it is sent again only if it is proven not to have been sent".to_owned(),
                    |at| format!("looked up at {}; sent again only if it is proven not to have been sent", rfc3339(at)),
                );
                ("looked-up", next, text)
            }
        };
        let until = match eta {
            Eta::Never { until } | Eta::ExpiresUnless { until, .. } => Some(somebody(until).0),
            _ => None,
        };
        Some(Self { kind, at: at.map(rfc3339), in_ms: at.map(|at| (at - now).max(0)), until, text })
    }
}

impl ToldEta {
    /// With the words for a turn that was moved.
    fn after_quiet_hours(self, recipient: &Recipient<'_>, eta: Eta) -> Self {
        let text = match eta {
            Eta::NotBefore(end) => format!(
                "it goes at {} or later: its turn comes in its recipient's quiet hours{}",
                rfc3339(end),
                quiet::by_its_clock(recipient, end)
            ),
            Eta::Expires { at, .. } => {
                format!("it expires at {}: its turn comes in its recipient's quiet hours, which end later", rfc3339(at))
            }
            _ => self.text,
        };
        Self { text, ..self }
    }
}

fn somebody(until: Until) -> (&'static str, &'static str) {
    match until {
        Until::FleetResumed => ("fleet-resumed", "somebody lets the fleet go on"),
        Until::LaneResumed => ("lane-resumed", "somebody lets its extension go on"),
        Until::CauseMended => ("cause-mended", "somebody mends the cause and lets its extension go on"),
        Until::Decided => ("decided", "a person decides"),
    }
}

fn rfc3339(at: Millis) -> String {
    Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |at| at.to_string())
}

/// As exact as it is worth.
fn span(ms: Millis) -> String {
    let exact = SignedDuration::from_millis(if ms < 10_000 { ms } else { ms / 1_000 * 1_000 });
    format!("{exact:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_764_000_000_000;

    #[test]
    fn an_eta_says_when_or_who_must_act() {
        let text = |eta| ToldEta::of(eta, NOW).map(|told| told.text).unwrap_or_default();
        assert_eq!(text(Eta::At(NOW + 185_400)), "it goes at about 2025-11-24T16:03:05.4Z, in 3m 5s");
        assert_eq!(text(Eta::At(NOW)), "it goes now");
        assert_eq!(text(Eta::Never { until: Until::Decided }), "it stays until a person decides");
        let paused = Eta::ExpiresUnless { at: NOW + 60_000, until: Until::LaneResumed };
        let told = "it expires at 2025-11-24T16:01:00Z unless somebody lets its extension go on before";
        assert_eq!(text(paused), told);
        let whole = ToldEta::of(paused, NOW).map(|told| (told.kind, told.in_ms, told.until));
        assert_eq!(whole, Some(("expires", Some(60_000), Some("lane-resumed"))));
        assert_eq!(ToldEta::of(Eta::Over, NOW), None);
        let never = ToldEta::of(Eta::Never { until: Until::CauseMended }, NOW);
        assert_eq!(never.map(|told| (told.kind, told.until, told.at)), Some(("never", Some("cause-mended"), None)));
    }

    #[test]
    fn a_reason_is_a_sentence_with_its_times_and_its_remedy() {
        let parked = ToldWhy::of(&Why::Parked { reason: "credential OAU-211".into() }, "101", None);
        assert_eq!(parked.sentence(), "its extension is parked: credential OAU-211");
        assert!(parked.remedy.is_some_and(|remedy| remedy.contains("`ringfleet lane resume 101`")));
        let unknown = Why::Unknown { since: NOW, reads: 1, next_look: Some(NOW + 90_000) };
        let told = ToldWhy::of(&unknown, "101", None).sentence();
        assert!(told.ends_with(", since 2025-11-24T16:00:00Z, next 2025-11-24T16:01:30Z"), "{told}");
    }

    #[test]
    fn what_the_provider_says_of_the_last_attempt_is_no_remedy_where_an_earlier_one_may_have_arrived() {
        let dead = |intent_at: Option<&str>| ToldWhy {
            code: "ended",
            text: "it is dead: MSG-290".to_owned(),
            reason: Some("MSG-290".to_owned()),
            since: None,
            until: None,
            intent_at: intent_at.map(str::to_owned),
            remedy: Some("look first".to_owned()),
        };
        assert_eq!(dead(Some("2030-12-01T18:00:00Z")).remedies().collect::<Vec<_>>(), ["look first"]);
        let sure = dead(None);
        let told: Vec<_> = sure.remedies().collect();
        assert!(told[0].contains("states that it was not sent") && told[1..] == ["look first"], "{told:?}");
    }

    #[test]
    fn one_that_was_given_up_and_may_have_arrived_tells_from_when_on_to_look() {
        let dead = Why::Ended {
            state: State::Dead,
            at: Some(NOW + 60_000),
            reason: "MSG-290".into(),
            may_have_arrived: Some(NOW),
        };
        let told = ToldWhy::of(&dead, "101", None);
        let sentence = "an earlier attempt may have arrived; it is dead: MSG-290, since 2025-11-24T16:01:00Z; look from \
                        2025-11-24T16:00:00Z on";
        assert_eq!(told.sentence(), sentence);
        assert_eq!((told.code, told.intent_at.as_deref()), ("ended", Some("2025-11-24T16:00:00Z")));
        assert!(
            told.remedy.is_some_and(|remedy| remedy.contains("`ringfleet held show ID` tells where to look first"))
        );
    }
}
