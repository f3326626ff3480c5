//! The words that the tests are told in: producers put, workers claim, begin and settle.

use std::time::Duration;

use ringfleet_store::{
    Begin, Cancelled, Claim, ClaimRequest, Decided, Enqueued, Evidence, Found, Group, IdempotencyKey, LaneId,
    LaneRules, LaneView, Lease, LeaseRef, MessageId, MessageView, NewMessage, OnUnknown, Outcome, Plan, PlanSeen,
    Private, Reaped, Reassertion, Resolution, Settled, Settlement, State, UnknownSends, WorkerId, plan::slot_hold_ms,
};

use crate::harness::{Backend, START};
pub(crate) use crate::harness::{Subject, intents};

/// The plan of [`tight`] lanes: it bites soon.
pub(crate) const TIGHT: Plan = Plan { limit: 3, window_ms: 1_000 };
/// From an answer until its slot is free again in a tight lane. One more: times are rounded down.
pub(crate) const TIGHT_HOLD: i64 = 1_000 + 2 + 1;
/// Messages of one lane in flight.
pub(crate) const CAP: u32 = 8;
pub(crate) const LEASE: Duration = Duration::from_secs(10);
/// After this time what was sent shows in the provider's message store.
pub(crate) const SETTLE_MS: i64 = 30_000;
pub(crate) const SETTLE_TIME: Duration = Duration::from_millis(SETTLE_MS as u64);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

pub(crate) fn rules() -> LaneRules {
    assert_eq!(TIGHT_HOLD, slot_hold_ms(TIGHT.window_ms.into()) + 1);
    let mut rules = LaneRules::documented();
    rules.set_plan(Group::Heavy, TIGHT);
    rules.set_plan(Group::Medium, Plan { limit: 1_000, window_ms: 60_000 });
    rules.set_plan(Group::Light, Plan { limit: 4, window_ms: 2_000 });
    rules.in_flight_cap = CAP;
    rules
}

pub(crate) async fn subject(backend: Backend) -> Subject {
    Subject::fresh(backend, rules()).await
}

/// A lane whose plan bites.
pub(crate) fn tight(extension: u32) -> LaneId {
    LaneId::try_new("app", &extension.to_string(), Group::Heavy).unwrap()
}

/// A lane whose plan never bites; only its cap does.
pub(crate) fn wide(extension: u32) -> LaneId {
    LaneId::try_new("app", &extension.to_string(), Group::Medium).unwrap()
}

pub(crate) fn key(name: &str) -> Option<IdempotencyKey> {
    Some(IdempotencyKey::try_new(name).unwrap())
}

pub(crate) fn message(lane: &LaneId, text: &str) -> NewMessage {
    NewMessage {
        lane: lane.clone(),
        key: None,
        from: Private::new("+16505550100"),
        to: Private::new(recipient(lane, text)),
        text: Private::new(text),
        priority: Default::default(),
        on_unknown: OnUnknown::Hold,
        send_at: None,
        send_by: None,
    }
}

/// A message whose unknown fate is asked about.
pub(crate) fn asked(lane: &LaneId, text: &str) -> NewMessage {
    NewMessage { on_unknown: OnUnknown::Reconcile, ..message(lane, text) }
}

/// A message whose unknown fate does not matter.
pub(crate) fn resent(lane: &LaneId, text: &str) -> NewMessage {
    NewMessage { on_unknown: OnUnknown::Resend, ..message(lane, text) }
}

/// Each text of each lane has a recipient of its own: of those between one pair of numbers only one is in flight.
fn recipient(lane: &LaneId, text: &str) -> String {
    let bytes = lane.as_str().bytes().chain([0]).chain(text.bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("+1{hash:020}")
}

pub(crate) fn ms(ms: i64) -> Duration {
    Duration::from_millis(ms.try_into().unwrap())
}

pub(crate) fn texts(leases: &[Lease]) -> Vec<&str> {
    leases.iter().map(|lease| lease.text.expose()).collect()
}

pub(crate) fn sent() -> Outcome {
    Outcome::Sent { provider_id: "provider-1".into() }
}

pub(crate) fn sent_as(provider_id: &str) -> Outcome {
    Outcome::Sent { provider_id: provider_id.into() }
}

pub(crate) fn rejected() -> Outcome {
    Outcome::Rejected { code: "MSG-304".into() }
}

pub(crate) fn throttled(after_ms: i64) -> Outcome {
    Outcome::Throttled { retry_after: ms(after_ms) }
}

pub(crate) fn not_sent(delay_ms: i64) -> Outcome {
    Outcome::NotSent { delay: ms(delay_ms) }
}

/// These are its recipient's quiet hours, for so long.
pub(crate) fn later(delay_ms: i64) -> Outcome {
    Outcome::Later { delay: ms(delay_ms) }
}

pub(crate) fn retry(delay_ms: i64, max_attempts: u32) -> Outcome {
    Outcome::Retry { code: "SMS-500".into(), delay: ms(delay_ms), max_attempts }
}

pub(crate) fn unknown() -> Outcome {
    Outcome::Unknown { reason: "timeout".into() }
}

impl Subject {
    /// Time since the test began.
    pub(crate) fn at(&self, after_start: i64) {
        self.set_time(START + after_start);
    }

    pub(crate) async fn put(&self, message: NewMessage) -> MessageId {
        match self.store.enqueue(&[message]).await.unwrap()[..] {
            [Enqueued::Accepted(id)] => id,
            ref other => panic!("not accepted: {other:?}"),
        }
    }

    /// Messages with the texts `1`, `2` … in one lane.
    pub(crate) async fn fill(&self, lane: &LaneId, count: u32) -> Vec<MessageId> {
        let batch: Vec<_> = (1..=count).map(|n| message(lane, &n.to_string())).collect();
        let mut ids = Vec::new();
        for part in batch.chunks(500) {
            ids.extend(self.store.enqueue(part).await.unwrap().into_iter().map(|answer| match answer {
                Enqueued::Accepted(id) => id,
                other => panic!("not accepted: {other:?}"),
            }));
        }
        ids
    }

    pub(crate) async fn claim_as(&self, worker: &str, free_slots: u32, lease: Duration) -> Claim {
        let worker = WorkerId::incarnation(worker);
        self.store.claim(ClaimRequest { worker: &worker, free_slots, lease }).await.unwrap()
    }

    /// As a worker does: asks again while it is told to.
    pub(crate) async fn claim(&self, free_slots: u32) -> Vec<Lease> {
        let mut leases = Vec::new();
        for _ in 0..1_000 {
            let claim = self.claim_as("worker", free_slots - leases.len() as u32, LEASE).await;
            leases.extend(claim.leases);
            if leases.len() as u32 == free_slots || claim.next_due != Some(Duration::ZERO) {
                return leases;
            }
        }
        panic!("a claim says `ask again` for ever");
    }

    pub(crate) async fn claim_one(&self) -> Lease {
        let mut leases = self.claim(1).await;
        assert_eq!(leases.len(), 1, "nothing to claim");
        leases.remove(0)
    }

    pub(crate) async fn begin(&self, lease: LeaseRef) -> Begin {
        self.store.begin_send(&[lease.into()], LEASE).await.unwrap()[0]
    }

    pub(crate) async fn settle(&self, lease: LeaseRef, outcome: Outcome) -> Settled {
        self.settle_seen(lease, outcome, 0, PlanSeen::default()).await
    }

    pub(crate) async fn settle_seen(&self, lease: LeaseRef, outcome: Outcome, age: i64, seen: PlanSeen) -> Settled {
        self.store.settle(&[Settlement { lease, outcome, age: ms(age), seen }]).await.unwrap()[0]
    }

    /// Claims one message and writes its intent.
    pub(crate) async fn claim_and_begin(&self) -> LeaseRef {
        let lease = self.claim_one().await.reference();
        assert_eq!(self.begin(lease).await, Begin::Go);
        lease
    }

    /// A claimed message goes out and its answer is read now.
    pub(crate) async fn send(&self, lease: &Lease) {
        assert_eq!(self.begin(lease.reference()).await, Begin::Go);
        assert_eq!(self.settle(lease.reference(), sent()).await, Settled::Done(State::Sent));
    }

    pub(crate) async fn state(&self, id: MessageId) -> State {
        self.get(id).await.state
    }

    pub(crate) async fn get(&self, id: MessageId) -> MessageView {
        self.store.get(&id).await.unwrap().expect("the message is known")
    }

    /// Sends a message and lets nobody know whether it arrived.
    pub(crate) async fn send_into_the_dark(&self, message: NewMessage) -> LeaseRef {
        self.put(message).await;
        let lease = self.claim_and_begin().await;
        assert_eq!(self.settle(lease, unknown()).await, Settled::Done(State::Unknown));
        lease
    }

    /// A lease that ended before its intent, whose message waits again.
    pub(crate) async fn lease_lost_before_its_intent(&self) -> LeaseRef {
        let lease = self.claim_one().await.reference();
        self.step(LEASE.as_millis() as i64);
        assert_eq!(self.reap().await.requeued, 1);
        lease
    }

    pub(crate) async fn take_unknown(&self, lanes: u32, lock: i64) -> Vec<UnknownSends> {
        self.store.reconcile_take(lanes, ms(lock)).await.unwrap()
    }

    /// The provider's message store shows these texts to a reading that began `age` ago.
    pub(crate) async fn found(&self, lease: LeaseRef, ids: &[&str], age: i64) -> Decided {
        self.found_at_most(lease, ids, age, 5).await
    }

    pub(crate) async fn found_at_most(&self, lease: LeaseRef, ids: &[&str], age: i64, max_attempts: u32) -> Decided {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        let evidence = Evidence { lease, found: Found::Candidates { ids, read_at: self.now() - age } };
        self.store.decide(&[evidence], SETTLE_TIME, max_attempts).await.unwrap()[0]
    }

    pub(crate) async fn undecidable(&self, lease: LeaseRef, reason: &str) -> Decided {
        let evidence = Evidence { lease, found: Found::Undecidable { reason: reason.into() } };
        self.store.decide(&[evidence], SETTLE_TIME, 5).await.unwrap()[0]
    }

    /// Two readings that found nothing, the second after the settle time.
    pub(crate) async fn prove_absent(&self, lease: LeaseRef) {
        assert_eq!(self.found(lease, &[], 0).await, Decided::NotYet);
        self.step(SETTLE_MS);
        assert_eq!(self.found(lease, &[], 0).await, Decided::Again);
    }

    pub(crate) async fn reassert(&self, lane: &LaneId, lease: LeaseRef, outcome: Outcome) -> Settled {
        self.reassert_while_kept(DAY, lane, lease, outcome).await
    }

    /// Records are kept for `retention`.
    pub(crate) async fn reassert_while_kept(
        &self,
        retention: Duration,
        lane: &LaneId,
        lease: LeaseRef,
        outcome: Outcome,
    ) -> Settled {
        let settlement = Settlement { lease, outcome, age: ms(0), seen: PlanSeen::default() };
        self.store.reassert(&[Reassertion { settlement, lane: lane.clone() }], retention).await.unwrap()[0]
    }

    pub(crate) async fn resolve(&self, id: MessageId, how: Resolution) -> Cancelled {
        self.store.resolve(&id, how).await.unwrap()
    }

    /// The totals are what the messages show one by one, and no lane counts one in flight that is not.
    pub(crate) async fn adds_up(&self, lane: &LaneId, ids: &[MessageId]) {
        let stats = self.store.stats().await.unwrap();
        let mut by_state = [0; State::ALL.len()];
        for id in ids {
            by_state[self.state(*id).await as usize - 1] += 1;
        }
        assert_eq!(stats.by_state, by_state, "{:?}", State::ALL);
        let in_flight = stats.count(State::Claimed) + stats.count(State::Sending);
        assert_eq!(u64::from(self.view(lane).await.in_flight), in_flight);
    }

    pub(crate) async fn reap(&self) -> Reaped {
        self.store.reap(500, DAY).await.unwrap()
    }

    pub(crate) async fn view(&self, lane: &LaneId) -> LaneView {
        self.store.lane(lane).await.unwrap()
    }
}
