//! What a bystander sees of the provider's side. It knows nothing of the model, only what was begun and answered, and
//! holds the two promises that matter: never over plan, nothing twice.

use std::collections::{BTreeMap, BTreeSet};

use ringfleet_store::{LaneId, LeaseRef, LeaseToken, MessageId, Millis, OptOut, Plan};

use crate::run::Verdict;

/// A request as the provider may have seen it: some time between `begun` and `answered`.
struct Request {
    name: Name,
    begun: Millis,
    answered: Option<Millis>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Name {
    Message(LeaseToken),
    Slot(LeaseToken),
}

#[derive(Default)]
struct Seen {
    requests: Vec<Request>,
    /// The most generous plan that the lane ever had.
    plan: Option<Plan>,
}

#[derive(Default)]
pub(crate) struct Witness {
    lanes: BTreeMap<LaneId, Seen>,
    /// Messages that may have been sent.
    maybe_sent: BTreeMap<MessageId, LeaseToken>,
    /// Messages that are known to be sent, or were closed by a person as such.
    sent: BTreeSet<MessageId>,
    /// Extension, from, to, and since when.
    opted_out: BTreeMap<[String; 3], Millis>,
}

impl Witness {
    /// A lane's plan as it is now; the most generous so far counts.
    pub(crate) fn plan(&mut self, lane: &LaneId, plan: Plan) {
        let known = self.lanes.entry(lane.clone()).or_default().plan.get_or_insert(plan);
        known.limit = known.limit.max(plan.limit);
        known.window_ms = known.window_ms.min(plan.window_ms);
    }

    /// `said`: who wants texts again has heard of nothing that was entered later.
    pub(crate) fn opts_out(&mut self, extension: Option<&str>, change: &OptOut, said: Option<Millis>, now: Millis) {
        let name = [extension.unwrap_or("every"), change.from.expose(), change.to.expose()].map(str::to_owned);
        if change.out {
            self.opted_out.entry(name).or_insert(now);
        } else if self.opted_out.get(&name).is_some_and(|since| said.is_none_or(|said| *since <= said)) {
            self.opted_out.remove(&name);
        }
    }

    /// A POST may start now.
    pub(crate) fn goes(&mut self, lane: &LaneId, lease: &LeaseRef, (from, to): (&str, &str), now: Millis) -> Verdict {
        let before = self.maybe_sent.insert(lease.id, lease.token);
        if before == Some(lease.token) {
            return Ok(());
        }
        for extension in [lane.extension(), "every"] {
            if [from, "*"].iter().any(|from| self.opted_out.contains_key(&[extension, from, to].map(str::to_owned))) {
                return Err(format!("OPTED OUT: {} may be sent although its recipient wants no texts", lease.id));
            }
        }
        if before.is_some() {
            return Err(format!("TWICE: {} may be sent although it may have been sent before", lease.id));
        }
        self.request(lane, Name::Message(lease.token), now)
    }

    pub(crate) fn request(&mut self, lane: &LaneId, name: Name, now: Millis) -> Verdict {
        let seen = self.lanes.entry(lane.clone()).or_default();
        let Some(plan) = seen.plan else { return Err(format!("{lane} has no plan")) };
        // The latest time at which the provider may have counted the request; one under way may be counted any time.
        let counts = |request: &&Request| request.answered.is_none_or(|at| at > now - Millis::from(plan.window_ms));
        let others = seen.requests.iter().filter(counts).count();
        seen.requests.push(Request { name, begun: now, answered: None });
        if others >= plan.limit as usize {
            return Err(format!("OVER PLAN: {} requests of {lane} in one window of {plan:?}", others + 1));
        }
        Ok(())
    }

    pub(crate) fn begun(&self, lane: &LaneId, name: Name) -> Option<Millis> {
        self.lanes.get(lane)?.requests.iter().find(|request| request.name == name).map(|request| request.begun)
    }

    /// The answer came, or the request must be over.
    pub(crate) fn ends(&mut self, lane: &LaneId, name: Name, at: Millis) {
        let requests = self.lanes.get_mut(lane).map(|seen| &mut seen.requests);
        if let Some(request) = requests.and_then(|all| all.iter_mut().find(|request| request.name == name)) {
            request.answered = Some(at);
        }
    }

    /// There never was such a request.
    pub(crate) fn never_was(&mut self, lane: &LaneId, name: Name) {
        if let Some(seen) = self.lanes.get_mut(lane) {
            seen.requests.retain(|request| request.name != name);
        }
    }

    /// It was told that the message was sent: from here on nobody gets it in hand.
    pub(crate) fn is_sent(&mut self, id: &MessageId) {
        self.sent.insert(*id);
    }

    pub(crate) fn given_out(&self, id: &MessageId) -> Verdict {
        if self.sent.contains(id) {
            return Err(format!("TWICE: {id} is given out although it was told that it was sent"));
        }
        Ok(())
    }

    /// Its record is forgotten: a new life may begin under its id.
    pub(crate) fn forgotten(&mut self, id: &MessageId) {
        self.maybe_sent.remove(id);
        self.sent.remove(id);
    }

    /// It is certain that the message was not sent, or somebody wants it to be sent once more all the same.
    pub(crate) fn not_sent(&mut self, id: &MessageId) {
        self.maybe_sent.remove(id);
    }
}
