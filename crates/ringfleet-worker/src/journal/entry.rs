//! One send, and how it lies in the ring file: 256 bytes, so that a torn write spoils one of them only.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ringfleet_store::{LaneId, LeaseRef, LeaseToken, MessageId, Outcome, PlanSeen, Reassertion, Settlement, UNDER_WAY};
use sha2::{Digest, Sha256};

pub(super) const SIZE: usize = 256;
const WORD: std::ops::Range<usize> = 50..114;
const LANE: std::ops::Range<usize> = 115..SIZE;

/// Holds ids and codes only, no number and no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(super) lease: LeaseRef,
    pub(super) lane: LaneId,
    pub(super) story: Story,
    /// When it was about to begin, or when the response was read.
    pub(super) at: SystemTime,
}

/// What is remembered of a send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Story {
    Begun,
    Sent {
        provider_id: String,
    },
    Unknown {
        reason: String,
    },
    Rejected {
        code: String,
    },
    /// Refused with 429: its lane waits so long.
    Throttled {
        retry_after: Duration,
    },
    /// The provider refused it, and its message waits: one of `NotSent`, `Retry` and `Parked`.
    Refused(Outcome),
    /// For certain: the send that was about to begin did not.
    NotSent,
    /// It has been said that the text went out under another lease too.
    SaidTwice,
}

impl Entry {
    pub(super) fn begun(lease: LeaseRef, lane: &LaneId) -> Self {
        Self { lease, lane: lane.clone(), story: Story::Begun, at: SystemTime::now() }
    }

    /// `went_out`: the provider may have got the request. `read_at` is when the response was read.
    pub(crate) fn ended(lease: LeaseRef, lane: &LaneId, outcome: &Outcome, went_out: bool, read_at: Instant) -> Self {
        let story = match outcome {
            Outcome::Sent { provider_id } => Story::Sent { provider_id: provider_id.clone() },
            Outcome::Unknown { reason } => Story::Unknown { reason: reason.clone() },
            Outcome::Rejected { code } => Story::Rejected { code: code.clone() },
            Outcome::Throttled { retry_after } => Story::Throttled { retry_after: *retry_after },
            Outcome::NotSent { .. } | Outcome::Retry { .. } | Outcome::Parked { .. } if went_out => {
                Story::Refused(outcome.clone())
            }
            _ => Story::NotSent,
        };
        let at = SystemTime::now().checked_sub(read_at.elapsed()).unwrap_or(UNIX_EPOCH);
        Self { lease, lane: lane.clone(), story, at }
    }

    pub(super) fn said_twice(lease: LeaseRef, lane: &LaneId) -> Self {
        Self { story: Story::SaidTwice, ..Self::begun(lease, lane) }
    }

    pub(super) fn is_begin(&self) -> bool {
        self.story == Story::Begun
    }

    pub(super) fn is_end(&self) -> bool {
        !matches!(self.story, Story::Begun | Story::SaidTwice)
    }

    /// What the store is told; nothing of what never was a request. `alive`: the worker of this send is this one.
    pub(super) fn reassertion(&self, alive: bool) -> Option<Reassertion> {
        let age = self.at.elapsed().unwrap_or_default();
        let outcome = match &self.story {
            Story::Begun if alive => Outcome::Unknown { reason: UNDER_WAY.to_owned() },
            Story::Begun => Outcome::Unknown { reason: "begun-and-not-reported".to_owned() },
            Story::Sent { provider_id } => Outcome::Sent { provider_id: provider_id.clone() },
            Story::Unknown { reason } => Outcome::Unknown { reason: reason.clone() },
            Story::Rejected { code } => Outcome::Rejected { code: code.clone() },
            // SEND-SAFETY: (of the plan) a request inside the penalty would start it anew.
            Story::Throttled { retry_after } if age < *retry_after => Outcome::Throttled { retry_after: *retry_after },
            // SEND-SAFETY: (of the plan) the provider's window has the request, and the store perhaps not. Nor does it know that the
            // text did not go out, which it would ask for, or leave to a person.
            Story::Refused(outcome) => with_what_is_left(outcome, age),
            Story::Throttled { .. } => Outcome::NotSent { delay: Duration::ZERO },
            Story::NotSent | Story::SaidTwice => return None,
        };
        let settlement = Settlement { lease: self.lease, outcome, age, seen: PlanSeen::default() };
        Some(Reassertion { settlement, lane: self.lane.clone() })
    }

    /// checksum (8), number (8), id (16), token (8), time in ms (8), kind (1), word (1 + 64), lane (1 + 140).
    ///
    /// SEND-SAFETY: a program of before refusals were told takes what it does not know for torn, and a send without an end for one
    /// of unknown fate: so a refusal has the kind of what was not sent, whose word that program does not read.
    pub(super) fn to_bytes(&self, number: u64) -> [u8; SIZE] {
        let text;
        let (kind, word) = match &self.story {
            Story::Sent { provider_id } => (1, provider_id.as_str()),
            Story::Unknown { reason } => (2, reason.as_str()),
            Story::Rejected { code } => (3, code.as_str()),
            Story::Begun => (4, ""),
            Story::NotSent => (5, ""),
            Story::Refused(outcome) => {
                text = refusal(outcome);
                (5, text.as_str())
            }
            Story::SaidTwice => (7, ""),
            Story::Throttled { retry_after } => {
                text = retry_after.as_millis().to_string();
                (6, text.as_str())
            }
        };
        let mut raw = [0; SIZE];
        raw[8..16].copy_from_slice(&number.to_be_bytes());
        raw[16..32].copy_from_slice(self.lease.id.as_bytes());
        raw[32..40].copy_from_slice(&self.lease.token.0.to_be_bytes());
        let at = self.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        raw[40..48].copy_from_slice(&at.to_be_bytes());
        raw[48] = kind;
        put(&mut raw, 49, WORD, word);
        put(&mut raw, 114, LANE, self.lane.as_str());
        let sum = checksum(&raw);
        raw[..8].copy_from_slice(&sum);
        raw
    }

    /// `None` for a place that was never written, or was torn.
    pub(super) fn from_bytes(raw: &[u8; SIZE]) -> Option<(u64, Self)> {
        if raw[..8] != checksum(raw) {
            return None;
        }
        let number = |from: usize| raw[from..from + 8].try_into().map(u64::from_be_bytes).ok();
        let word = get(raw, 49, WORD)?.to_owned();
        let story = match raw[48] {
            1 => Story::Sent { provider_id: word },
            2 => Story::Unknown { reason: word },
            3 => Story::Rejected { code: word },
            4 => Story::Begun,
            5 if word.is_empty() => Story::NotSent,
            5 => Story::Refused(refused(&word)?),
            6 => Story::Throttled { retry_after: ms(&word)? },
            7 => Story::SaidTwice,
            _ => return None,
        };
        let lease =
            LeaseRef { id: MessageId::from_bytes(raw[16..32].try_into().ok()?), token: LeaseToken(number(32)?) };
        let at = UNIX_EPOCH.checked_add(Duration::from_millis(number(40)?))?;
        Some((number(8)?, Self { lease, lane: get(raw, 114, LANE)?.parse().ok()?, story, at }))
    }
}

/// What is left of the time that the message, or its lane, was to wait.
fn with_what_is_left(outcome: &Outcome, age: Duration) -> Outcome {
    let mut outcome = outcome.clone();
    if let Outcome::NotSent { delay } | Outcome::Retry { delay, .. } = &mut outcome {
        *delay = delay.saturating_sub(age);
    }
    outcome
}

/// One letter each, so that the longest reason which somebody reads later fits into 64 bytes.
fn refusal(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Parked { reason } => format!("P {reason}"),
        Outcome::Retry { code, delay, max_attempts } => format!("R {} {max_attempts} {code}", delay.as_millis()),
        Outcome::NotSent { delay } => format!("N {}", delay.as_millis()),
        _ => "N 0".to_owned(),
    }
}

fn refused(word: &str) -> Option<Outcome> {
    let (how, rest) = word.split_once(' ')?;
    if how == "P" {
        return Some(Outcome::Parked { reason: rest.to_owned() });
    }
    let mut rest = rest.splitn(3, ' ');
    let delay = ms(rest.next()?)?;
    match how {
        "N" => Some(Outcome::NotSent { delay }),
        "R" => {
            let max_attempts = rest.next()?.parse().ok()?;
            Some(Outcome::Retry { code: rest.next()?.to_owned(), delay, max_attempts })
        }
        _ => None,
    }
}

fn ms(word: &str) -> Option<Duration> {
    word.parse().ok().map(Duration::from_millis)
}

fn put(raw: &mut [u8; SIZE], length_at: usize, place: std::ops::Range<usize>, word: &str) {
    let mut end = word.len().min(place.len());
    while !word.is_char_boundary(end) {
        end -= 1;
    }
    raw[length_at] = end as u8;
    raw[place.start..place.start + end].copy_from_slice(&word.as_bytes()[..end]);
}

fn get(raw: &[u8; SIZE], length_at: usize, place: std::ops::Range<usize>) -> Option<&str> {
    std::str::from_utf8(raw[place].get(..raw[length_at].into())?).ok()
}

fn checksum(raw: &[u8; SIZE]) -> [u8; 8] {
    let digest = Sha256::digest(&raw[8..]);
    let mut sum = [0; 8];
    sum.copy_from_slice(&digest[..8]);
    sum
}

#[cfg(test)]
mod tests {
    use ringfleet_store::Group;

    use super::*;

    fn of(at: SystemTime) -> Entry {
        Entry {
            lease: LeaseRef { id: MessageId::random(), token: LeaseToken(77) },
            lane: LaneId::try_new(&"a".repeat(64), &"b".repeat(64), Group::Medium).unwrap(),
            story: Story::Begun,
            at,
        }
    }

    #[test]
    fn a_refusal_is_told_with_its_penalty_for_as_long_as_that_lasts_and_then_as_what_was_not_sent() {
        let refused = |ago| {
            let outcome = Outcome::Throttled { retry_after: Duration::from_secs(60) };
            let read_at = Instant::now().checked_sub(Duration::from_secs(ago)).unwrap();
            let begun = of(SystemTime::now());
            Entry::ended(begun.lease, &begun.lane, &outcome, true, read_at).reassertion(true)
        };
        let told = refused(50).unwrap().settlement;
        assert_eq!(told.outcome, Outcome::Throttled { retry_after: Duration::from_secs(60) });
        assert!(told.age >= Duration::from_secs(50));
        assert_eq!(refused(61).unwrap().settlement.outcome, Outcome::NotSent { delay: Duration::ZERO });
    }

    #[test]
    fn a_refusal_after_which_the_message_waits_is_told_with_what_is_left_of_its_wait_and_no_request_is_not() {
        let told = |outcome: Outcome, went_out| {
            let read_at = Instant::now().checked_sub(Duration::from_secs(20)).unwrap();
            let begun = of(SystemTime::now());
            Entry::ended(begun.lease, &begun.lane, &outcome, went_out, read_at).reassertion(true)
        };
        let delay = |secs| Duration::from_secs(secs);
        let retry = |secs| Outcome::Retry { code: "MSG-290".to_owned(), delay: delay(secs), max_attempts: 5 };
        let parked = Outcome::Parked { reason: "MSG-304".to_owned() };
        assert_eq!(told(parked.clone(), true).unwrap().settlement.outcome, parked);
        let Outcome::Retry { delay: left, .. } = told(retry(60), true).unwrap().settlement.outcome else { panic!() };
        assert!(left > delay(30) && left <= delay(40), "{left:?}");
        let over = Outcome::NotSent { delay: delay(0) };
        assert_eq!(told(Outcome::NotSent { delay: delay(2) }, true).unwrap().settlement.outcome, over);
        for outcome in [retry(60), parked, over] {
            assert_eq!(told(outcome, false), None);
        }
    }

    #[test]
    fn an_entry_survives_being_written_and_a_torn_one_is_left_out() {
        let sent = Story::Sent { provider_id: "9000000000001".to_owned() };
        let refused = Story::Throttled { retry_after: Duration::from_millis(3_600_000) };
        let delay = Duration::from_millis(60_000);
        let retry = Outcome::Retry { code: "MSG-290".to_owned(), delay, max_attempts: 5 };
        let parked = "sender number moved to extension 1234567890123 #1764444123456";
        let parked = Outcome::Parked { reason: parked.to_owned() };
        let waits = [retry, parked, Outcome::NotSent { delay }].map(Story::Refused);
        for story in [sent, refused, Story::SaidTwice].into_iter().chain(waits) {
            let entry = Entry { story, ..of(UNIX_EPOCH + Duration::from_millis(1_700_000_000_123)) };
            let mut raw = entry.to_bytes(5);
            assert_eq!(Entry::from_bytes(&raw), Some((5, entry)));
            raw[20] ^= 1;
            assert_eq!(Entry::from_bytes(&raw), None);
        }
        assert_eq!(Entry::from_bytes(&[0; SIZE]), None);
    }
}
