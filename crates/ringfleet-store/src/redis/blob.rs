//! A message as Redis keeps it; the layout stands in `lua/lib/begin.lua` and `messages.lua`.

use crate::{
    calls::QUIET_HOURS,
    delivery::DeliveryReport,
    ids::{LaneId, LeaseToken, MessageId},
    message::{Lease, MessageView, Millis, NewMessage, OnUnknown, Priority, Private, State},
    store::StoreError,
};

use super::words;

/// Bytes of what every record begins with: five of one byte, the time at which it was created, the fingerprint.
const HEAD: usize = 5 + 6 + PRINT;
/// Of the fingerprint. It tells apart what comes under one key, which nobody can choose at leisure: a key is used twice by
/// mistake.
const PRINT: usize = 8;
/// Added to the policy where the record has `send_at` and `send_by`.
const OWN_TIMES: u8 = 128;
/// The latest time that a record holds, in the year 10889.
const LATEST: Millis = (1 << 48) - 1;

pub(super) struct Blob {
    pub(super) priority: Priority,
    pub(super) attempt: u32,
    pub(super) recoveries: u32,
    pub(super) on_unknown: OnUnknown,
    pub(super) created_at: Millis,
    pub(super) send_at: Option<Millis>,
    pub(super) send_by: Option<Millis>,
    pub(super) lane: LaneId,
    pub(super) from: Private,
    pub(super) to: Private,
    pub(super) note: String,
    pub(super) text: Private,
}

impl Blob {
    pub(super) fn parse(raw: &[u8]) -> Option<Self> {
        let (head, mut rest) = raw.split_first_chunk::<HEAD>()?;
        let mut times = None;
        if head[4] >= OWN_TIMES {
            let (own, names) = rest.split_first_chunk::<12>()?;
            (times, rest) = (Some(own), names);
        }
        let own_time = |at: usize| times.and_then(|own| millis(&own[at..at + 6]).into_time());
        let mut word = || -> Option<String> {
            let end = rest.iter().position(|byte| *byte == 0)?;
            let word = String::from_utf8(rest[..end].to_vec()).ok()?;
            rest = &rest[end + 1..];
            Some(word)
        };
        let (lane, from, to, note) = (word()?, word()?, word()?, word()?);
        Some(Self {
            priority: Priority::from_code(head[1])?,
            attempt: head[2].into(),
            recoveries: head[3].into(),
            on_unknown: OnUnknown::from_code(head[4] % OWN_TIMES)?,
            created_at: millis(&head[5..11]),
            send_at: own_time(0),
            send_by: own_time(6),
            lane: lane.parse().ok()?,
            from: Private::new(from),
            to: Private::new(to),
            note,
            text: Private::new(words::unpack(rest)?),
        })
    }

    pub(super) fn into_lease(self, id: MessageId, token: LeaseToken) -> Lease {
        Lease {
            id,
            token,
            due_at: self.created_at.max(self.send_at.unwrap_or(0)).max(self.put_off_to().unwrap_or(0)),
            lane: self.lane,
            from: self.from,
            to: self.to,
            text: self.text,
            priority: self.priority,
            attempt: self.attempt,
            recoveries: self.recoveries,
            created_at: self.created_at,
        }
    }

    /// The intent of a send whose fate is or was unknown, and how often the provider was asked about it.
    pub(super) fn intent(&self) -> (Option<Millis>, u32) {
        let mut tail = self.note.split('|').skip(4);
        let mut number = || tail.next().and_then(|word| word.parse::<i64>().ok());
        (number(), number().unwrap_or(0) as u32)
    }

    fn delivery(&self) -> Option<DeliveryReport> {
        let mut tail = self.note.split('|').skip(6);
        let at = tail.next()?.parse().ok()?;
        Some(DeliveryReport { at, code: tail.next().unwrap_or_default().to_owned() })
    }

    /// When the note was written.
    pub(super) fn noted_at(&self) -> Option<Millis> {
        self.note.split('|').nth(2)?.parse().ok()
    }

    /// The end of the quiet hours that it was put off to.
    fn put_off_to(&self) -> Option<Millis> {
        self.noted_at().filter(|_| self.note.split('|').next() == Some(QUIET_HOURS))
    }

    /// `state` is the state now: a waiting blob does not tell scheduled, claimed and sending apart.
    pub(super) fn into_view(self, id: MessageId, state: State) -> MessageView {
        let mut note = self.note.split('|');
        let reason = note.next().unwrap_or_default().to_owned();
        let provider_id = note.next().filter(|id| !id.is_empty()).map(str::to_owned);
        let waits = matches!(state, State::Scheduled | State::Ready | State::Claimed | State::Sending);
        let finished_at = note.next().and_then(|at| at.parse().ok()).filter(|_| !waits);
        let ((intent_at, reads), delivery) = (self.intent(), self.delivery());
        MessageView {
            id,
            lane: self.lane,
            state,
            from: self.from,
            to: self.to,
            text: self.text,
            priority: self.priority,
            attempt: self.attempt,
            recoveries: self.recoveries,
            created_at: self.created_at,
            send_at: self.send_at,
            send_by: self.send_by,
            on_unknown: self.on_unknown,
            reason,
            provider_id,
            finished_at,
            intent_at,
            reads,
            delivery,
        }
    }
}

/// The record of a new message up to the time at which it was created, which the store fills in, and from there on.
///
/// # Errors
/// [`StoreError::Refused`] if a number holds a zero byte.
pub(super) fn of_new(m: &NewMessage) -> Result<([u8; 5], Vec<u8>), StoreError> {
    let (lane, from, to) = (m.lane.as_str(), m.from.expose(), m.to.expose());
    // SEND-SAFETY: the names in a record end with a zero byte. One inside would make the next name of its rest: another
    // recipient.
    if from.contains('\0') || to.contains('\0') {
        return Err(StoreError::Refused { call: "enqueue", reason: "a number holds a zero byte".to_owned() });
    }
    // SEND-SAFETY: a time that does not fit must not come round to an early one.
    let times = [m.send_at, m.send_by].map(|at| at.unwrap_or(0).clamp(0, LATEST).to_be_bytes());
    let own_times = times.concat().iter().any(|byte| *byte != 0);
    let (print, text) = (m.fingerprint(), words::pack(m.text.expose()));
    let parts: [&[u8]; 10] = [
        &print.as_bytes()[..PRINT],
        if own_times { &times[0][2..] } else { b"" },
        if own_times { &times[1][2..] } else { b"" },
        lane.as_bytes(),
        b"\0",
        from.as_bytes(),
        b"\0",
        to.as_bytes(),
        b"\0\0",
        &text,
    ];
    let policy = m.on_unknown as u8 + if own_times { OWN_TIMES } else { 0 };
    Ok(([State::Ready as u8, m.priority as u8, 0, 0, policy], parts.concat()))
}

/// Six bytes, or whatever is there.
fn millis(bytes: &[u8]) -> Millis {
    bytes.iter().fold(0, |time, byte| time << 8 | Millis::from(*byte))
}

trait IntoTime {
    fn into_time(self) -> Option<Millis>;
}

impl IntoTime for Millis {
    /// Zero stands for "no such time".
    fn into_time(self) -> Option<Millis> {
        (self != 0).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Group;

    fn read_back(send_at: Option<Millis>, send_by: Option<Millis>) -> (usize, Option<Millis>, Option<Millis>) {
        let message = NewMessage {
            lane: LaneId::try_new("main", "400129", Group::Medium).expect("a lane"),
            key: None,
            from: Private::new("+15551000001"),
            to: Private::new("+15552000002"),
            text: Private::new("on Monday"),
            priority: Priority::High,
            on_unknown: OnUnknown::Hold,
            send_at,
            send_by,
        };
        let (head, tail) = of_new(&message).expect("no zero byte");
        let record = [&head[..], &1_795_000_000_000_i64.to_be_bytes()[2..], &tail].concat();
        let blob = Blob::parse(&record).expect("a record");
        assert_eq!((blob.created_at, blob.on_unknown), (1_795_000_000_000, OnUnknown::Hold));
        assert_eq!((blob.lane, blob.from, blob.to, blob.text), (message.lane, message.from, message.to, message.text));
        (record.len(), blob.send_at, blob.send_by)
    }

    #[test]
    fn only_a_record_with_times_of_its_own_has_room_for_them() {
        let (without, ..) = read_back(None, None);
        assert_eq!(read_back(Some(-5), Some(0)), (without, None, None));
        assert_eq!(read_back(Some(1_796_000_000_000), None), (without + 12, Some(1_796_000_000_000), None));
        assert_eq!(read_back(None, Some(1_796_000_000_001)), (without + 12, None, Some(1_796_000_000_001)));
    }

    /// A time that does not fit must not come round to an early one.
    #[test]
    fn a_time_after_the_last_one_is_the_last_one() {
        assert_eq!(read_back(Some(Millis::MAX), Some(LATEST + 1)).1, Some(LATEST));
        assert_eq!(read_back(Some(Millis::MAX), Some(LATEST + 1)).2, Some(LATEST));
    }
}
