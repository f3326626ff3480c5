//! Whether a claim gave out the right messages. Which of several lanes goes first is the store's business; that none is
//! passed over, and that each gives its own messages in order, is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ringfleet_store::{Claim, ClaimRequest, LaneId, Lease, MessageId, Millis, State};

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
        let lanes: Vec<LaneId> = self.model.lanes.keys().cloned().collect();
        // Entries that are no longer alive, or whose recipient is busy, may use up a turn; then the store must say `ask again`.
        let waiting = self.model.messages.values().filter(|m| m.waits());
        let busy = |lane: &LaneId| self.model.in_turn(lane).len() != self.model.takeable(lane).len();
        let disturbed = !self.model.left_a_gap.is_empty()
            || waiting.clone().any(|m| m.is_past(self.model.now))
            || lanes.iter().any(busy);

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
        let turns: Vec<_> = lanes.iter().map(|lane| self.turn(lane, &given[lane], claim.leases.len() < want)).collect();

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
            self.witness.given_out(&lease.id)?;
            self.as_enqueued(lease)?;
            self.model.take(lease, ends);
            self.leases.push((lease.lane.clone(), lease.reference()));
        }
        self.see_what_expired().await?;
        self.see_what_was_put_off(turns, disturbed).await?;
        self.sleeps_no_longer_than_it_may(claim, want, disturbed)
    }

    /// A lane's messages in turn, and up to which of them the claim must have come.
    fn turn(&self, lane: &LaneId, given: &[&Lease], wants_more: bool) -> (Vec<MessageId>, usize) {
        let all = self.model.in_turn(lane);
        let last = all.iter().rposition(|id| given.iter().any(|lease| lease.id == *id));
        let may_send = self.model.may_send_at(lane) == Some(self.model.now);
        let to_the_end = may_send && wants_more && self.model.room(lane) > given.len();
        let met = if to_the_end { all.len() } else { last.map_or(0, |last| last + 1) };
        (all, met)
    }

    /// Those that were met while their pair was busy are put off, and no others.
    async fn see_what_was_put_off(&mut self, turns: Vec<(Vec<MessageId>, usize)>, disturbed: bool) -> Verdict {
        let mut put_off = Vec::new();
        for (all, met) in turns {
            let mut of_lane = Vec::new();
            for (n, id) in all.iter().enumerate() {
                let m = &self.model.messages[id];
                if m.state != State::Ready || !self.model.pair_is_busy(id) {
                    continue;
                }
                let view = self.subject.store.get(id).await.unwrap().ok_or_else(|| format!("LOST: {id}"))?;
                if view.state == State::Scheduled {
                    of_lane.push(*id);
                } else if n < met && !disturbed && !m.may_jump {
                    return Err(format!("{id} was met while its pair was busy, and is {:?}", view.state));
                }
            }
            put_off.push(of_lane);
        }
        let total: usize = put_off.iter().map(Vec::len).sum();
        for of_lane in put_off {
            let in_order = !disturbed && !of_lane.iter().any(|id| self.model.messages[id].may_jump);
            self.model.put_off(&of_lane, total - of_lane.len(), in_order);
        }
        Ok(())
    }

    /// The lane's messages come in turn. One whose older namesake left a gap may be put there.
    fn in_order(&self, lane: &LaneId, leases: &[&Lease]) -> Verdict {
        let waiting = self.model.in_turn(lane);
        let jumps = |id: &MessageId| self.model.messages.get(id).is_some_and(|m| m.may_jump);
        if let Some(stranger) = leases.iter().find(|lease| !waiting.contains(&lease.id)) {
            return Err(format!("{lane} gave {}, which does not wait there", stranger.id));
        }
        let pair = |id: &MessageId| self.model.messages[id].pair();
        let mut pairs = BTreeSet::new();
        if let Some(second) =
            leases.iter().find(|lease| self.model.pair_is_busy(&lease.id) || !pairs.insert(pair(&lease.id)))
        {
            return Err(format!("{lane} gave {}, whose recipient is busy with another one", second.id));
        }
        let mut expected = waiting;
        // Of a pair one goes; if it was one that may jump, it was that.
        let jumped: Vec<_> = leases.iter().map(|lease| lease.id).filter(jumps).collect();
        let mut met = BTreeSet::new();
        expected.retain(|id| {
            let taken_by_a_jump = jumped.iter().any(|jumper| pair(jumper) == pair(id));
            !jumps(id) && !taken_by_a_jump && !self.model.pair_is_busy(id) && met.insert(pair(id))
        });
        let given: Vec<_> = leases.iter().map(|lease| lease.id).filter(|id| !jumps(id)).collect();
        expected.truncate(given.len());
        same("messages given out, in order", given, expected)
    }

    fn as_enqueued(&mut self, lease: &Lease) -> Verdict {
        let m = &self.model.messages[&lease.id];
        let put_off_to = if m.reason == "quiet-hours" { m.put_off_to } else { 0 };
        let due = m.created.max(m.new.send_at.unwrap_or(0)).max(put_off_to);
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
