//! begin_send: writes the intent, the last step before a POST; and extend, which keeps the leases of a living worker.
//!
//! Invariant: once this says go, the message never returns to a queue unless its fate is known, or its policy
//! is `resend`.

use std::time::Duration;

use rusqlite::params;

use super::{fault::Step, millis, raw_token, tx::Tx};
use crate::{
    calls::{Begin, Intent},
    message::{LeaseRef, Millis, State},
};

impl Tx<'_> {
    pub(super) fn begin_send(&mut self, sends: &[Intent], lease: Duration) -> Step<Vec<Begin>> {
        let gate_closed = self.gate_until()?.is_some();
        let lease_until = self.now.saturating_add(millis(lease));
        sends.iter().map(|send| self.begin_one(&send.lease, send.session, lease_until, gate_closed)).collect()
    }

    fn begin_one(&mut self, lease: &LeaseRef, session: u64, lease_until: Millis, gate_closed: bool) -> Step<Begin> {
        // SEND-SAFETY: the fence. A lease that ended, even if nobody has reaped it yet, permits nothing: another worker
        // may hold the message before this one's POST leaves.
        let flight = self.flight(&lease.id)?;
        let held = flight.filter(|f| f.token == raw_token(lease.token) && f.lease_until > self.now);
        let Some(flight) = held else { return Ok(Begin::LeaseLost) };
        if flight.state == State::Sending {
            // The same worker asks again because the reply was lost; it posts only once it has read one.
            return Ok(Begin::Go);
        }
        let at = self.lane_at_row(flight.lane)?;
        let expired = flight.send_by > 0 && self.now > flight.send_by;
        // SEND-SAFETY: in the same step as the intent, so that an opt-out counts that came after the claim.
        let suppressed = !expired && self.message_is_out(at, flight.message)?;
        if !expired && !suppressed && !gate_closed && !self.lanes[at].stopped() && self.lanes[at].penalty <= self.now {
            // A refresh kills the token before it at once: nothing is begun with one that was replaced, or whose renewal has
            // begun. The message stays claimed: its worker asks for the newest session, and then once more.
            if self.session_is_over(self.lanes[at].id.extension(), session)? {
                return Ok(Begin::SessionOver);
            }
            // SEND-SAFETY: the intent. From here on a dead worker's message is "unknown", never "ready". It is on disk
            // before the caller hears of it: replies go out after the commit.
            self.exec(
                "UPDATE flight SET state = ?2, since = ?3, lease_until = ?4 WHERE id = ?1",
                params![lease.id.as_bytes(), State::Sending as u8, self.now, lease_until],
            )?;
            self.count(State::Claimed, -1);
            self.count(State::Sending, 1);
            return Ok(Begin::Go);
        }
        let m = self.message_at_row(flight.message)?;
        self.leave_flight(at, &flight)?;
        self.lanes[at].slots.drop(flight.token);
        self.touch(at);
        if expired {
            self.close(&m, State::Expired, "send-by-passed", "", flight.token)?;
            return Ok(Begin::Expired);
        }
        if suppressed {
            self.close(&m, State::Suppressed, "opted-out", "", flight.token)?;
            return Ok(Begin::Suppressed);
        }
        self.enqueue_front(at, &m)?;
        Ok(Begin::PutBack)
    }

    pub(super) fn extend(&mut self, leases: &[LeaseRef], lease: Duration) -> Step<Vec<bool>> {
        let lease_until = self.now.saturating_add(millis(lease));
        // SEND-SAFETY: a lease that ended stays ended, or begin_send's fence could be undone by a worker that was frozen.
        let sql = "UPDATE flight SET lease_until = ?3 WHERE id = ?1 AND token = ?2 AND lease_until > ?4";
        let keep = |lease: &LeaseRef| {
            let held = params![lease.id.as_bytes(), raw_token(lease.token), lease_until, self.now];
            Ok(self.exec(sql, held)? > 0)
        };
        leases.iter().map(keep).collect()
    }
}
