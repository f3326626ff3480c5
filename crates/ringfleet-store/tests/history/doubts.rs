//! Sends of unknown fate: looked up, decided, told once more, or left to a person.

use std::time::Duration;

use proptest::sample::Index;
use ringfleet_store::{
    Cancelled, Decided, Evidence, Found, LaneId, LeaseRef, MessageId, Millis, Outcome, PlanSeen, Reassertion,
    Resolution, Settled, Settlement, State,
};

use crate::{
    ops::{Reading, Shows, Which},
    run::{Run, Verdict, ms, same},
};

/// For so long a text is remembered as another message's in any case.
const REMEMBERED: Millis = 900_000;

impl Run<'_> {
    pub(crate) async fn take_unknown(&mut self, lanes: u32, lock_ms: Millis) -> Result<Vec<LeaseRef>, String> {
        let taken = self.subject.store.reconcile_take(lanes, ms(lock_ms)).await.unwrap();
        let expected = self.model.reconcile_take(lanes as usize, lock_ms);
        let leases = |of_lane: &ringfleet_store::UnknownSends| of_lane.sends.iter().map(|send| send.lease).collect();
        let given: Vec<(LaneId, Vec<LeaseRef>)> = taken.iter().map(|one| (one.lane.clone(), leases(one))).collect();
        same("unknown sends to look up", &given, &expected)?;
        for send in taken.iter().flat_map(|of_lane| &of_lane.sends) {
            let m = &self.model.messages[&send.lease.id];
            same("an unknown send's numbers", (&send.from, &send.to), (&m.new.from, &m.new.to))?;
            same("its text", send.text.expose(), m.new.text.expose())?;
            same("its times", (Some(send.intent_at), Some(send.since)), (m.intent, m.finished_at))?;
        }
        Ok(given.into_iter().flat_map(|(_, leases)| leases).collect())
    }

    pub(crate) fn evidence(&mut self, reading: &Reading) -> Option<Evidence> {
        let unknown: Vec<_> = self.model.lanes.keys().flat_map(|lane| self.model.unknown_of(lane)).collect();
        let any = |index: &Index| (!self.leases.is_empty()).then(|| index.get(&self.leases).1);
        let lease = match &reading.which {
            Which::Unknown(index) if !unknown.is_empty() => *index.get(&unknown),
            Which::Unknown(index) | Which::Ever(index) => any(index)?,
        };
        // Where the message is now: one that was forgotten may be back in another lane, whose extension has other texts.
        let known = self.model.messages.get(&lease.id).map(|m| m.new.lane.clone());
        let (lane, now) = (known.unwrap_or_else(|| self.lane_of(&lease)), self.model.now);
        let found = match &reading.shows {
            Shows::Nothing => Found::Undecidable { reason: "no permission".into() },
            Shows::Texts { new, counted } => {
                let credits = self.model.lanes[&lane].credits.iter().filter(|(_, at)| now - **at < REMEMBERED);
                let credits: Vec<_> = credits.map(|(id, _)| id.clone()).collect();
                let known = counted.iter().filter(|_| !credits.is_empty()).map(|index| index.get(&credits).clone());
                let ids = known.chain(std::iter::repeat_with(|| self.stranger()).take(*new)).collect();
                Found::Candidates { ids, read_at: now - reading.age }
            }
        };
        Some(Evidence { lease, found })
    }

    fn stranger(&mut self) -> String {
        self.strangers += 1;
        format!("text {}", self.strangers)
    }

    pub(crate) async fn decide(&mut self, evidence: Vec<Evidence>, settle_ms: Millis, max_attempts: u32) -> Verdict {
        let answers = self.subject.store.decide(&evidence, ms(settle_ms), max_attempts).await.unwrap();
        same("decide", &answers, &self.model.decide(&evidence, settle_ms, max_attempts))?;
        for (one, answer) in evidence.iter().zip(answers) {
            match answer {
                Decided::Sent => self.witness.is_sent(&one.lease.id),
                Decided::Again => self.witness.not_sent(&one.lease.id),
                _ => {}
            }
        }
        Ok(())
    }

    /// At the end of a history every unknown send turns out to have arrived.
    pub(crate) async fn find_all(&mut self) -> Verdict {
        let taken = self.take_unknown(100, 1).await?;
        let read_at = self.model.now;
        let found = |run: &mut Self| Found::Candidates { ids: vec![run.stranger()], read_at };
        let evidence = taken.into_iter().map(|lease| Evidence { lease, found: found(self) }).collect();
        self.decide(evidence, 1_000, 5).await
    }

    pub(crate) async fn resolve(&mut self, which: &Index, how: Resolution) -> Verdict {
        let waits_for_a_person = |id: &&MessageId| {
            self.model.messages.get(*id).is_some_and(|m| matches!(m.state, State::Held | State::Dead))
        };
        let open: Vec<_> = self.ids.iter().filter(waits_for_a_person).copied().collect();
        let among = if open.is_empty() { &self.ids } else { &open };
        if among.is_empty() {
            return Ok(());
        }
        let id = *which.get(among);
        let answer = self.subject.store.resolve(&id, how).await.unwrap();
        same("resolve", answer, self.model.resolve(&id, how))?;
        match (answer, how) {
            (Cancelled::Done, Resolution::Resend) => self.witness.not_sent(&id),
            (Cancelled::Done, Resolution::Sent) => self.witness.is_sent(&id),
            _ => {}
        }
        Ok(())
    }

    pub(crate) async fn reassert(&mut self, batch: Vec<Settlement>) -> Verdict {
        let told = |settlement: Settlement| {
            let settlement = Settlement { seen: PlanSeen::default(), ..settlement };
            Reassertion { lane: self.lane_of(&settlement.lease), settlement }
        };
        let journal: Vec<_> = batch.into_iter().map(told).collect();
        // As if records were kept for ever; conformance/long_ago.rs tells of sends of before.
        let answers = self.subject.store.reassert(&journal, Duration::MAX).await.unwrap();
        same("answers to reassert", answers.len(), journal.len())?;
        for (entry, answer) in journal.iter().zip(answers) {
            same("reassert", answer, self.model.reassert(&entry.lane, &entry.settlement))?;
            self.see_settled(&entry.settlement, answer);
            if answer == Settled::Missing && matches!(entry.settlement.outcome, Outcome::Sent { .. }) {
                self.witness.is_sent(&entry.settlement.lease.id);
            }
        }
        for entry in &journal {
            self.settle_doubts(&entry.lane).await;
        }
        Ok(())
    }
}
