//! Whether a claim gave out the right messages. Which of several lanes goes first is the store's business; that none is
//! passed over, and that each gives its own messages in order, is not.

use std::{collections::BTreeMap, time::Duration};

use ringfleet_store::{Claim, ClaimRequest, LaneId, Lease, MessageId, Millis};

use crate::run::{Run, Verdict, same};

/// A worker that is told to ask again does so; it must come to an end.
const TIMES_ASKED: u32 = 20;

impl Run<'_> {
    pub(crate) async fn claim(&mut self, worker: usize, want: u32, lease_ms: Millis) -> Verdict {
        let mut left = want as usize;
        for _ in 0..TIMES_ASKED {
            let lease = Duration::from_millis(lease_ms.unsigned_abs());
            let request = ClaimRequest { worker: &self.workers[worker], free_slots: left as u32, lease };
            let claim = self.subject.store.claim(request).await.unwrap();
            self.judge(&claim, left, lease_ms).await?;
            self.hands[worker].extend(claim.leases.iter().map(Lease::reference));
            left -= claim.leases.len();
            if left == 0 || claim.next_due != Some(Duration::ZERO) {
                return Ok(());
            }
        }
        Err("STALL: a claim says `ask again` for ever".to_owned())
    }

    async fn judge(&mut self, claim: &Claim, want: usize, lease_ms: Millis) -> Verdict {
        self.model.promote();
        // Entries that are no longer alive may use up a turn; then the store must say `ask again`.
        let waiting = self.model.messages.values().filter(|m| m.waits());
        let disturbed = !self.model.left_a_gap.is_empty() || waiting.clone().any(|m| m.is_past(self.model.now));

        let lanes: Vec<LaneId> = self.model.lanes.keys().cloned().collect();
        let mut given: BTreeMap<&LaneId, Vec<&Lease>> = lanes.iter().map(|lane| (lane, Vec::new())).collect();
        for lease in &claim.leases {
            given.get_mut(&lease.lane).ok_or_else(|| format!("{} is no lane of ours", lease.lane))?.push(lease);
        }
        let claimable: BTreeMap<_, _> = lanes.iter().map(|lane| (lane, self.model.claimable(lane))).collect();
        for (lane, leases) in &given {
            if leases.len() > claimable[lane] {
                return Err(format!("{lane} gave {} messages and might give {}", leases.len(), claimable[lane]));
            }
            self.in_order(lane, leases)?;
        }

        let possible = want.min(claimable.values().sum());
        let asks_again = claim.next_due == Some(Duration::ZERO);
        if claim.leases.len() != possible && !(disturbed && asks_again && claim.leases.len() < possible) {
            return Err(format!("a claim of {want} gave {}, not {possible}", claim.leases.len()));
        }
        if !disturbed {
            for (behind, leases) in &given {
                let ahead = given.values().map(Vec::len).max().unwrap_or(0);
                if leases.len() < claimable[behind] && ahead > leases.len() + 1 {
                    return Err(format!("{behind} was passed over: it gave {}, another {ahead}", leases.len()));
                }
            }
        }

        let ends = self.model.now + lease_ms;
        for lease in &claim.leases {
            self.as_enqueued(lease)?;
            self.model.take(lease, ends);
            self.leases.push((lease.lane.clone(), lease.reference()));
        }
        self.see_what_expired().await?;
        self.sleeps_no_longer_than_it_may(claim, want, disturbed)
    }

    /// The lane's messages come in turn. One whose older namesake left a gap may be put there.
    fn in_order(&self, lane: &LaneId, leases: &[&Lease]) -> Verdict {
        let expected = self.model.in_turn(lane);
        let jumps = |id: &MessageId| self.model.messages.get(id).is_some_and(|m| m.may_jump);
        if let Some(stranger) = leases.iter().find(|lease| !expected.contains(&lease.id)) {
            return Err(format!("{lane} gave {}, which does not wait there", stranger.id));
        }
        let given: Vec<_> = leases.iter().map(|lease| lease.id).filter(|id| !jumps(id)).collect();
        let expected: Vec<_> = expected.into_iter().filter(|id| !jumps(id)).take(given.len()).collect();
        same("messages given out, in order", given, expected)
    }

    fn as_enqueued(&mut self, lease: &Lease) -> Verdict {
        let m = &self.model.messages[&lease.id];
        let due = m.created.max(m.new.send_at.unwrap_or(0));
        let given = (&lease.lane, &lease.from, &lease.to, lease.text.expose(), lease.priority);
        same("a lease", given, (&m.new.lane, &m.new.from, &m.new.to, m.new.text.expose(), m.new.priority))?;
        let numbers = (lease.attempt, lease.recoveries, lease.created_at, lease.due_at);
        same("a lease's numbers", numbers, (m.attempt, m.recoveries, m.created, due))?;
        if self.leases.iter().any(|(_, known)| known.token >= lease.token) {
            return Err("a new lease has no newer token than all before".to_owned());
        }
        Ok(())
    }

    fn sleeps_no_longer_than_it_may(&self, claim: &Claim, want: usize, disturbed: bool) -> Verdict {
        if claim.leases.len() == want {
            return same("next_due of a full claim", claim.next_due, Some(Duration::ZERO));
        }
        let wakes = claim.next_due.map(|due| self.model.now + due.as_millis() as Millis);
        match (self.model.next_instant(), wakes) {
            (Some(may), Some(wakes)) if wakes <= may => Ok(()),
            (Some(may), wakes) => Err(format!("STALL: it may go on at {may} and is told to wake at {wakes:?}")),
            (None, Some(wakes)) if wakes <= self.model.now && !disturbed => {
                Err("told to ask again for nothing".to_owned())
            }
            (None, _) => Ok(()),
        }
    }
}
