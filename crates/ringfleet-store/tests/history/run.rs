//! Does to a store what a history says, does the same to the model, and compares.

use std::{fmt::Debug, time::Duration};

use ringfleet_store::{
    Begin, Enqueued, Gate, Group, IdempotencyKey, LaneId, LeaseRef, MessageId, Millis, NewMessage, Outcome, PlanSeen,
    Private, Settled, Settlement, State, UNDER_WAY, WorkerId,
};

use crate::{
    harness::{Backend, START, Subject, intents},
    model::Model,
    ops::{Ending, GateTurn, History, New, Op, Pick, Report, Step, WORKERS},
    requests::GivenSlot,
    shared::{Reader, readers},
    witness::{Name, Witness},
};

pub(crate) type Verdict = Result<(), String>;

pub(crate) fn same<T: PartialEq + Debug>(what: &str, store: T, model: T) -> Verdict {
    if store == model { Ok(()) } else { Err(format!("{what}: the store says {store:?}, the model {model:?}")) }
}

/// Records are compared one by one every so many steps, totals after each.
const LOOK_CLOSELY_EVERY: usize = 8;
/// Once nothing is in the way, a history comes to its end within so many steps.
pub(crate) const END_WITHIN: usize = 2_000;

pub(crate) struct Run<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) model: Model,
    pub(crate) witness: Witness,
    pub(crate) lanes: Vec<LaneId>,
    pub(crate) workers: Vec<WorkerId>,
    /// What each living worker believes to have.
    pub(crate) hands: Vec<Vec<LeaseRef>>,
    /// Every lease ever given out.
    pub(crate) leases: Vec<(LaneId, LeaseRef)>,
    pub(crate) ids: Vec<MessageId>,
    pub(crate) slots: Vec<GivenSlot>,
    pub(crate) readers: Vec<Reader>,
    /// Names given so far to recipients and texts that nobody has met before.
    pub(crate) strangers: u64,
}

pub(crate) async fn play(backend: Backend, history: &History) -> Verdict {
    let subject = Subject::fresh(backend, history.rules()).await;
    let lane = |app, extension, group| LaneId::try_new(app, extension, group).unwrap();
    let lanes = vec![
        lane("a", "1", Group::Heavy),
        lane("b", "1", Group::Heavy),
        lane("a", "2", Group::Heavy),
        lane("a", "1", Group::Light),
    ];
    let mut run = Run {
        subject: &subject,
        model: Model::new(START, history.rules(), &lanes),
        witness: Witness::default(),
        lanes,
        workers: (0..WORKERS).map(|n| WorkerId::incarnation(&format!("w{n}"))).collect(),
        hands: vec![Vec::new(); WORKERS],
        leases: Vec::new(),
        ids: Vec::new(),
        slots: Vec::new(),
        readers: readers(),
        strangers: 0,
    };
    for lane in &run.lanes {
        run.witness.plan(lane, history.rules().plan(lane.group()));
    }
    for (n, op) in history.ops.iter().enumerate() {
        let told = |what: String| format!("step {n}, {op:?}\n{what}");
        run.step(op).await.map_err(told)?;
        run.totals_agree().await.map_err(told)?;
        if n % LOOK_CLOSELY_EVERY == 0 {
            run.records_agree().await.map_err(told)?;
        }
    }
    run.records_agree().await?;
    run.come_to_an_end().await.map_err(|what| format!("after the last step, with everything open:\n{what}"))
}

impl Run<'_> {
    async fn step(&mut self, op: &Op) -> Verdict {
        match op {
            Op::Enqueue(batch) => self.enqueue(batch).await,
            Op::Claim { worker, want, lease_ms } => self.claim(*worker, *want, *lease_ms).await,
            Op::Begin { which, lease_ms } => {
                let leases: Vec<_> = which.iter().filter_map(|pick| self.pick(pick)).collect();
                self.begin(&leases, *lease_ms).await
            }
            Op::Settle(reports) => {
                let batch: Vec<_> = reports.iter().filter_map(|report| self.settlement(report)).collect();
                self.settle(batch).await
            }
            Op::SendAll { worker, seen } => self.send_all(*worker, *seen).await,
            Op::Extend { which, lease_ms } => {
                let Some(lease) = self.pick(which) else { return Ok(()) };
                let kept = self.subject.store.extend(&[lease], ms(*lease_ms)).await.unwrap();
                same("extend", kept, vec![self.model.extend(&lease, *lease_ms)])
            }
            Op::Reap { limit, retention_ms } => self.reap(*limit, *retention_ms).await,
            Op::Crash { worker } => {
                self.hands[*worker].clear();
                Ok(())
            }
            Op::Pause { lane, on } => self.pause(*lane, *on).await,
            Op::Park { lane, on } => self.park(*lane, on.then_some("credential")).await,
            Op::Gate(turn) => {
                let gate = match turn {
                    GateTurn::Open => Gate::Open,
                    GateTurn::Stop => Gate::Stopped { reason: "stop".into() },
                    GateTurn::Until(after) => Gate::Until { until: self.model.now + after, reason: "429".into() },
                };
                self.set_gate(&gate).await
            }
            Op::Cancel { .. } | Op::Forget { .. } if self.ids.is_empty() => Ok(()),
            Op::Cancel { which } => self.cancel(*which.get(&self.ids)).await,
            Op::Forget { which } => {
                self.cancel(*which.get(&self.ids)).await?;
                self.move_clock(Step::By(1));
                self.reap(500, 1).await
            }
            Op::Die { worker } => {
                self.claim(*worker, 3, 50).await?;
                self.hands[*worker].clear();
                self.move_clock(Step::By(50));
                self.reap(500, 3_600_000).await
            }
            Op::Take { lanes, lock_ms } => self.take_unknown(*lanes, *lock_ms).await.map(drop),
            Op::Decide { readings, settle_ms, max_attempts } => {
                let evidence: Vec<_> = readings.iter().filter_map(|reading| self.evidence(reading)).collect();
                self.decide(evidence, *settle_ms, *max_attempts).await
            }
            Op::Resolve { which, how } => self.resolve(which, *how).await,
            Op::Reassert(reports) => {
                let batch: Vec<_> = reports.iter().filter_map(|report| self.settlement(report)).collect();
                self.reassert(batch).await
            }
            Op::TakeDeliveries { lanes, lock_ms } => self.take_deliveries(*lanes, *lock_ms).await,
            Op::TellDeliveries { lane, told } => self.tell_deliveries(*lane, told).await,
            Op::OptOut(opting) => self.opt_out(opting).await,
            Op::DocPut(put) => self.put_doc(put).await,
            Op::DocsSince { reader, limit } => self.read_docs(*reader, *limit).await,
            Op::Step(step) => {
                self.move_clock(*step);
                Ok(())
            }
            Op::Acquire { lane, hold_ms } => self.acquire(*lane, *hold_ms).await,
            Op::Release { .. } if self.slots.is_empty() => Ok(()),
            Op::Release { which, how, age_permille, seen } => {
                self.release(which.index(self.slots.len()), *how, *age_permille, *seen).await
            }
        }
    }

    async fn cancel(&mut self, id: MessageId) -> Verdict {
        let answer = self.subject.store.cancel(&id).await.unwrap();
        same("cancel", answer, self.model.cancel(&id))
    }

    fn move_clock(&mut self, step: Step) {
        let now = self.model.now;
        let ends = self.model.messages.values().filter_map(|m| m.hand.as_ref()).map(|hand| hand.ends);
        let to = match step {
            Step::By(ms) => Some(now + ms),
            Step::ToNext(beside) => self.model.next_instant().map(|at| at + beside),
            Step::ToLeaseEnd(beside) => ends.filter(|at| *at > now).min().map(|at| at + beside),
            Step::ToReports(beside) => {
                let looks = self.model.lanes.values().filter_map(|lane| lane.report_look);
                looks.filter(|at| *at > now).min().map(|at| at + beside)
            }
            Step::ToLook(beside) => self.next_look().map(|at| at + beside),
        };
        self.move_to(to.unwrap_or(now));
    }

    pub(crate) fn move_to(&mut self, at: Millis) {
        let mut to = at.max(self.model.now);
        // Not to where only the store knows which messages are due.
        let unsure = |to, m: &crate::model::Message| m.state == State::Scheduled && m.due_from <= to && to < m.due;
        while let Some(m) = self.model.messages.values().find(|m| unsure(to, m)) {
            to = m.due;
        }
        let by = to - self.model.now;
        self.subject.step(by);
        self.model.now += by;
    }

    /// When the next lane's unknown sends are looked up.
    pub(crate) fn next_look(&self) -> Option<Millis> {
        self.model.lanes.values().filter_map(|lane| lane.look).min()
    }

    fn pick(&self, pick: &Pick) -> Option<LeaseRef> {
        match pick {
            Pick::InHand(worker, index) => {
                let hand = &self.hands[*worker];
                (!hand.is_empty()).then(|| *index.get(hand))
            }
            Pick::Ever(index) => (!self.leases.is_empty()).then(|| index.get(&self.leases).1),
        }
    }

    pub(crate) fn lane_of(&self, lease: &LeaseRef) -> LaneId {
        self.leases.iter().find(|(_, known)| known == lease).map(|(lane, _)| lane.clone()).expect("a lease of ours")
    }

    async fn enqueue(&mut self, batch: &[New]) -> Verdict {
        let now = self.model.now;
        let strangers = &mut self.strangers;
        let message = |new: &New| NewMessage {
            lane: self.lanes[new.lane].clone(),
            key: new.key.map(|key| IdempotencyKey::try_new(format!("key {key}")).unwrap()),
            // Each lane has its own numbers to send from.
            from: Private::new(format!("+1650{}", new.lane)),
            to: Private::new(match (new.key, new.recipient) {
                (Some(key), _) => format!("+1651{}", key % 3),
                (None, Some(recipient)) => format!("+1651{recipient}"),
                (None, None) => {
                    *strangers += 1;
                    format!("+1652{strangers}")
                }
            }),
            on_unknown: new.on_unknown,
            text: Private::new(format!("text {}", new.body)),
            priority: new.priority,
            send_at: new.send_in.map(|after| now + after),
            send_by: new.expires_in.map(|after| now + after),
        };
        let batch: Vec<_> = batch.iter().map(message).collect();
        let answers = self.subject.store.enqueue(&batch).await.unwrap();
        same("answers to enqueue", answers.len(), batch.len())?;
        for (new, answer) in batch.into_iter().zip(answers) {
            let id = match (&new.key, answer) {
                (None, Enqueued::Accepted(id)) => id,
                (Some(key), _) => MessageId::from_key(key),
                (None, other) => return Err(format!("a message without a key is {other:?}")),
            };
            let expected = match self.model.messages.get(&id) {
                None => Enqueued::Accepted(id),
                Some(known) if known.tombstone || known.new.fingerprint() == new.fingerprint() => {
                    Enqueued::Duplicate(id)
                }
                Some(_) => Enqueued::Conflict(id),
            };
            same("enqueue", answer, expected)?;
            if expected == Enqueued::Accepted(id) {
                self.model.accept(id, new);
                self.ids.push(id);
            }
        }
        Ok(())
    }

    async fn begin(&mut self, leases: &[LeaseRef], lease_ms: Millis) -> Verdict {
        let answers = self.subject.store.begin_send(&intents(leases), ms(lease_ms)).await.unwrap();
        for (lease, answer) in leases.iter().zip(&answers) {
            same("begin_send", *answer, self.model.begin(lease, lease_ms))?;
            if *answer == Begin::Go {
                let lane = self.lane_of(lease);
                let new = &self.model.messages[&lease.id].new;
                self.witness.goes(&lane, lease, (new.from.expose(), new.to.expose()), self.model.now)?;
            }
        }
        same("answers to begin_send", answers.len(), leases.len())
    }

    fn settlement(&self, report: &Report) -> Option<Settlement> {
        let lease = self.pick(&report.which)?;
        let begun = self.witness.begun(&self.lane_of(&lease), Name::Message(lease.token));
        let age = begun.map_or(0, |begun| (self.model.now - begun) * report.age_permille / 1_000);
        let outcome = match report.ending {
            Ending::Sent => Outcome::Sent { provider_id: format!("p{}", lease.token.0) },
            Ending::SentOther => Outcome::Sent { provider_id: format!("q{}", lease.token.0) },
            Ending::Rejected => Outcome::Rejected { code: "MSG-304".into() },
            Ending::Unknown => Outcome::Unknown { reason: "timeout".into() },
            Ending::UnderWay => Outcome::Unknown { reason: UNDER_WAY.into() },
            Ending::Throttled(after) => Outcome::Throttled { retry_after: ms(after) },
            Ending::NotSent(delay) => Outcome::NotSent { delay: ms(delay) },
            Ending::Later(delay) => Outcome::Later { delay: ms(delay) },
            Ending::Parked => Outcome::Parked { reason: "credential".into() },
            Ending::Retry { delay_ms, max_attempts } => {
                Outcome::Retry { code: "CMN-500".into(), delay: ms(delay_ms), max_attempts }
            }
            Ending::Released => Outcome::Released,
        };
        Some(Settlement { lease, outcome, age: ms(age), seen: report.seen })
    }

    async fn settle(&mut self, batch: Vec<Settlement>) -> Verdict {
        let answers = self.subject.store.settle(&batch).await.unwrap();
        same("answers to settle", answers.len(), batch.len())?;
        for (settlement, answer) in batch.iter().zip(answers) {
            same("settle", answer, self.model.settle(settlement))?;
            self.see_settled(settlement, answer);
        }
        for settlement in &batch {
            let lane = self.lane_of(&settlement.lease);
            self.settle_doubts(&lane).await;
        }
        Ok(())
    }

    pub(crate) fn see_settled(&mut self, settlement: &Settlement, answer: Settled) {
        let lease = settlement.lease;
        let lane = self.lane_of(&lease);
        if matches!(answer, Settled::Done(_)) {
            let read = self.model.now - settlement.age.as_millis() as Millis;
            self.witness.ends(&lane, Name::Message(lease.token), read);
        }
        match answer {
            Settled::Done(State::Ready | State::Scheduled) | Settled::LateEvidence(State::Ready | State::Scheduled) => {
                self.witness.not_sent(&lease.id);
            }
            Settled::Again(state) if state.was_sent() => self.witness.is_sent(&lease.id),
            Settled::Done(State::Sent) | Settled::LateEvidence(State::Sent) | Settled::SentTwice => {
                self.witness.is_sent(&lease.id)
            }
            _ => {}
        }
        self.witness.plan(&lane, self.model.lanes[&lane].plan);
        self.hands.iter_mut().for_each(|hand| hand.retain(|held| *held != lease));
    }

    /// After a window may have grown.
    pub(crate) async fn settle_doubts(&mut self, lane: &LaneId) {
        let now = self.model.now;
        let used = self.subject.store.lane(lane).await.unwrap().slots_in_use as usize;
        self.model.lane(lane).settle_doubt(now, used);
    }

    pub(crate) async fn send_all(&mut self, worker: usize, seen: PlanSeen) -> Verdict {
        let hand = self.hands[worker].clone();
        self.begin(&hand, 60_000).await?;
        let report = |lease| Settlement {
            lease,
            outcome: Outcome::Sent { provider_id: format!("p{}", lease.token.0) },
            age: Duration::ZERO,
            seen,
        };
        // Only what may be posted is posted and reported.
        let is_ours = |lease: &LeaseRef| {
            let hand = self.model.messages.get(&lease.id).and_then(|m| m.hand.as_ref());
            hand.is_some_and(|hand| hand.token == lease.token)
        };
        let batch: Vec<_> = hand.into_iter().filter(is_ours).map(report).collect();
        self.hands[worker].clear();
        self.settle(batch).await
    }

    pub(crate) async fn pause(&mut self, lane: usize, on: bool) -> Verdict {
        let lane = &self.lanes[lane];
        self.subject.store.set_paused(lane, on).await.unwrap();
        self.model.lane(lane).paused = on;
        Ok(())
    }

    pub(crate) async fn park(&mut self, lane: usize, reason: Option<&str>) -> Verdict {
        let lane = &self.lanes[lane];
        self.subject.store.set_parked(lane, reason).await.unwrap();
        self.model.park(lane, reason);
        Ok(())
    }

    pub(crate) async fn set_gate(&mut self, gate: &Gate) -> Verdict {
        self.subject.store.set_gate(gate).await.unwrap();
        self.model.set_gate(gate);
        same("gate", self.subject.store.gate().await.unwrap(), self.model.gate())
    }
}

pub(crate) fn ms(ms: Millis) -> Duration {
    Duration::from_millis(ms.unsigned_abs())
}
