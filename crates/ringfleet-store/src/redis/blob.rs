//! A message as Redis keeps it; the layout stands in `lua/lib/begin.lua` and `messages.lua`.

use crate::{
    delivery::DeliveryReport,
    ids::{LaneId, LeaseToken, MessageId},
    message::{Lease, MessageView, Millis, NewMessage, OnUnknown, Priority, Private, State},
    store::StoreError,
};

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
        let (head, mut rest) = raw.split_at_checked(45)?;
        let millis = |at: usize| -> Option<Millis> { Some(i64::from_be_bytes(head.get(at..at + 8)?.try_into().ok()?)) };
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
            on_unknown: OnUnknown::from_code(head[4])?,
            created_at: millis(5)?,
            send_at: millis(13)?.into_time(),
            send_by: millis(21)?.into_time(),
            lane: lane.parse().ok()?,
            from: Private::new(from),
            to: Private::new(to),
            note,
            text: Private::new(String::from_utf8(rest.to_vec()).ok()?),
        })
    }

    pub(super) fn into_lease(self, id: MessageId, token: LeaseToken) -> Lease {
        Lease {
            id,
            token,
            due_at: self.created_at.max(self.send_at.unwrap_or(0)),
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
    let time = |at: Option<Millis>| at.unwrap_or(0).max(0).to_be_bytes();
    let (send_at, send_by) = (time(m.send_at), time(m.send_by));
    let print = m.fingerprint();
    let parts: [&[u8]; 10] = [
        &send_at,
        &send_by,
        print.as_bytes(),
        lane.as_bytes(),
        b"\0",
        from.as_bytes(),
        b"\0",
        to.as_bytes(),
        b"\0\0",
        m.text.expose().as_bytes(),
    ];
    Ok(([State::Ready as u8, m.priority as u8, 0, 0, m.on_unknown as u8], parts.concat()))
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
