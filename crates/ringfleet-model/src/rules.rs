//! What the store and the reconciler do with what they are told.

use crate::{Fate, Flaw, Fleet, Record, Send, State, Token, World};
use State::{Absent, Claimed, Held, Ready, Sending, Sent, Unknown};

impl Fleet {
    pub(crate) fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    pub(crate) fn requeue(&self, r: &mut Record, token: Token) {
        r.closed = r.closed.max(token);
        r.state = if r.evidence > 0 { Sent(r.evidence) } else { Ready };
    }

    pub(crate) fn unknown(&self, r: &mut Record, token: Token) {
        if r.evidence > 0 || self.resend || self.has(Flaw::BlindRequeue) {
            self.requeue(r, token);
        } else {
            r.state = Unknown { token, reads: 0 };
        }
    }

    /// What a journal says. Beside a living worker's POST no policy sends again.
    pub(crate) fn told_again(&self, r: &mut Record, token: Token, fate: Fate, under_way: bool) {
        Fleet { resend: self.resend && !under_way, ..*self }.settle(r, token, fate);
    }

    /// A report, in time or late, of a living lease or an ended one, once or again.
    pub(crate) fn settle(&self, r: &mut Record, token: Token, fate: Fate) {
        match (fate, r.state) {
            (Fate::Sent, Sent(credited)) => r.twice |= credited != token,
            (Fate::Sent, Sending(other)) if other > token || (other < token && self.has(Flaw::OldAttemptStays)) => {
                r.twice = true;
                r.evidence = if other > token && !self.has(Flaw::EvidenceDropped) { token } else { 0 };
            }
            (Fate::Sent, _) => r.state = Sent(token),
            (Fate::Unknown, Sending(t) | Claimed(t)) if t == token => self.unknown(r, token),
            (Fate::Unknown, Ready | Claimed(_)) if token > r.closed => self.unknown(r, token),
            // The older attempt was closed before this one began: a rollback has brought it back.
            (Fate::Unknown, Sending(old) | Unknown { token: old, .. })
                if old < token && !self.has(Flaw::OldAttemptStays) =>
            {
                self.unknown(r, token)
            }
            (Fate::Unknown, Absent) if self.has(Flaw::TombstoneByIntent) => r.state = Sent(token),
            (Fate::Unknown, Absent) => r.state = Held,
            (Fate::NotSent, Sending(t) | Claimed(t) | Unknown { token: t, .. }) if t == token => self.requeue(r, token),
            _ => {}
        }
    }

    /// Texts in the provider's message store that look like `message` and prove no other.
    pub(crate) fn candidates(&self, w: &World, message: usize) -> Vec<Send> {
        let credited = |t: Token| w.store.records.iter().any(|r| r.state == Sent(t));
        w.texts.iter().copied().filter(|&(m, t)| (self.twins || m == message) && !credited(t)).collect()
    }

    /// What is found may be the text of its twin, which is being sent.
    pub(crate) fn shared(&self, w: &World, message: usize) -> bool {
        self.twins && matches!(w.store.records[1 - message].state, Sending(_)) && !self.has(Flaw::IgnoresRivals)
    }

    /// Nobody can tell whose a text is that may be of either. A5, of a held one, is a rule of the model alone.
    pub(crate) fn rival(&self, w: &World, message: usize) -> bool {
        let other = w.store.records[1 - message].state;
        let open = matches!(other, Unknown { .. }) || (other == Held && !self.as_built);
        self.twins && open && !self.has(Flaw::IgnoresRivals)
    }
}
