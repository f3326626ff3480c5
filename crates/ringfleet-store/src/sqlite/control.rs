//! control: an operator's hand on a lane, a message or everything.

use rusqlite::params;

use super::{fault::Step, short, tx::Tx};
use crate::{
    calls::{Cancelled, Gate, Resolution},
    ids::{LaneId, MessageId},
    message::State,
};

impl Tx<'_> {
    pub(super) fn set_paused(&mut self, lane: &LaneId, paused: bool) -> Step<()> {
        let at = self.lane_named(lane)?;
        self.lanes[at].paused = paused;
        self.touch(at);
        self.wake = true;
        Ok(())
    }

    pub(super) fn set_parked(&mut self, lane: &LaneId, reason: Option<&str>) -> Step<()> {
        let at = self.lane_named(lane)?;
        self.lanes[at].parked = reason.map(short).filter(|reason| !reason.is_empty());
        if self.lanes[at].parked.is_none() {
            self.session_resumes(lane.extension())?;
            // Whoever lets it go on says that the cause is gone, so a refused credential is tried again.
            self.exec("UPDATE sessions SET refused = '' WHERE extension = ?1", [lane.extension()])?;
        }
        self.touch(at);
        self.wake = true;
        Ok(())
    }

    pub(super) fn unpark(&mut self, lane: &LaneId) -> Step<()> {
        self.session_resumes(lane.extension())?;
        let at = self.lane_named(lane)?;
        self.lanes[at].parked = None;
        self.touch(at);
        self.wake = true;
        Ok(())
    }

    pub(super) fn set_gate(&mut self, gate: &Gate) -> Step<()> {
        self.wake = true;
        match gate {
            Gate::Open => {
                // The kill switch only: a penalty of the provider goes on, whatever an operator wishes.
                self.exec("UPDATE store SET gate_stopped = 0, gate_reason = ''", [])?;
            }
            Gate::Stopped { reason } => {
                self.exec("UPDATE store SET gate_stopped = 1, gate_reason = ?1", [short(reason)])?;
            }
            Gate::Until { until, reason } => {
                // A penalty never shortens a longer one and never opens the kill switch; under it, it is remembered.
                let sql = "UPDATE store SET gate_until = ?1, gate_why = ?2 WHERE coalesce(gate_until, 0) < ?1";
                self.exec(sql, params![until, short(reason)])?;
            }
        }
        Ok(())
    }

    /// A person's word on a message that is held, or dead.
    pub(super) fn resolve(&mut self, id: &MessageId, how: Resolution) -> Step<Cancelled> {
        let Some(mut m) = self.message(id)? else { return Ok(Cancelled::Missing) };
        let again = how == Resolution::Resend;
        if (m.state != State::Held && !(m.state == State::Dead && again)) || (again && !self.has_text(m.row)?) {
            return self.state_now(&m).map(Cancelled::TooLate);
        }
        let at = self.lane_at_row(m.lane)?;
        self.touch(at);
        self.count(m.state, -1);
        let token = m.token;
        match how {
            Resolution::Resend if self.message_is_out(at, m.row)? => {
                self.close(&m, State::Suppressed, "opted-out", "", token)?;
                return Ok(Cancelled::TooLate(State::Suppressed));
            }
            Resolution::Resend => {
                // SEND-SAFETY: a person has looked and says that it was not sent. Counted as an attempt. What was sent before is
                // another message's: days later it must not pass for this one.
                m.attempt = (m.attempt + 1).min(255);
                (m.recoveries, m.intent) = (0, 0);
                self.wait_once_more(at, &m, "resent-by-operator", token)?;
                self.wake = true;
            }
            Resolution::Sent => self.close(&m, State::Sent, "closed-by-operator", "", token)?,
            Resolution::Cancelled => self.close(&m, State::Cancelled, "closed-by-operator", "", token)?,
        }
        Ok(Cancelled::Done)
    }

    pub(super) fn cancel(&mut self, id: &MessageId) -> Step<Cancelled> {
        let Some(m) = self.message(id)? else { return Ok(Cancelled::Missing) };
        if m.state != State::Ready {
            return Ok(Cancelled::TooLate(m.state));
        }
        if let Some(flight) = self.flight(id)? {
            return Ok(Cancelled::TooLate(flight.state));
        }
        self.stop_waiting(&m)?;
        self.close_unsent(&m, State::Cancelled, "cancelled")?;
        Ok(Cancelled::Done)
    }
}
