//! The rules in force.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::{Endpoint, Fault, FaultRule};
use crate::world::{Number, lock, mix};

/// What a request is, as far as rules can see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) endpoint: Endpoint,
    pub(crate) extension_id: Option<u64>,
    pub(crate) to: Option<Number>,
}

pub(crate) struct FaultRules {
    /// Read before the lock: the usual run has no rules and must not queue here.
    count: AtomicUsize,
    rules: Mutex<Rules>,
    seed: u64,
}

#[derive(Default)]
struct Rules {
    list: Vec<Rule>,
    named: u64,
}

struct Rule {
    rule: FaultRule,
    fault: Arc<Fault>,
    /// Requests that met the other conditions.
    seen: u64,
    struck: u64,
}

impl FaultRules {
    pub(crate) fn new(seed: u64) -> Self {
        Self { count: AtomicUsize::new(0), rules: Mutex::default(), seed }
    }

    pub(crate) fn add(&self, mut rule: FaultRule) -> String {
        let mut rules = lock(&self.rules);
        if rule.id.is_empty() {
            rules.named += 1;
            rule.id = format!("fault-{}", rules.named);
        }
        let id = rule.id.clone();
        rules.list.retain(|other| other.rule.id != id);
        rules.list.push(Rule { fault: Arc::new(rule.fault.clone()), rule, seen: 0, struck: 0 });
        self.count.store(rules.list.len(), Ordering::Release);
        id
    }

    /// `None` removes all. Says how many went.
    pub(crate) fn remove(&self, id: Option<&str>) -> usize {
        let mut rules = lock(&self.rules);
        let before = rules.list.len();
        rules.list.retain(|rule| id.is_some_and(|id| rule.rule.id != id));
        self.count.store(rules.list.len(), Ordering::Release);
        before - rules.list.len()
    }

    /// Each rule and how often it struck.
    pub(crate) fn list(&self) -> Vec<(FaultRule, u64)> {
        let rules = lock(&self.rules);
        rules.list.iter().map(|r| (r.rule.clone(), r.struck)).collect()
    }

    /// The first rule that applies strikes.
    pub(crate) fn strike(&self, subject: &Subject) -> Option<Arc<Fault>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut rules = lock(&self.rules);
        let seed = self.seed;
        let rule = rules.list.iter_mut().find_map(|r| r.applies(subject, seed).then_some(r))?;
        rule.struck += 1;
        Some(Arc::clone(&rule.fault))
    }
}

impl Rule {
    fn applies(&mut self, subject: &Subject, seed: u64) -> bool {
        let matching = &self.rule.matching;
        let spent = self.rule.times.is_some_and(|times| self.struck >= times);
        let endpoint = matching.endpoint == subject.endpoint;
        let extension =
            matching.extension.as_ref().is_none_or(|id| subject.extension_id.is_some_and(|own| own.to_string() == *id));
        let to = matching.to.as_ref().is_none_or(|prefix| {
            let digits = prefix.trim_start_matches('+');
            subject.to.is_some_and(|to| to.0.to_string().starts_with(digits))
        });
        if spent || !endpoint || !extension || !to {
            return false;
        }
        self.seen += 1;
        let lucky = matching.fraction.is_none_or(|part| {
            let roll = (mix(seed ^ mix(self.seen)) >> 11) as f64 / (1u64 << 53) as f64;
            roll < part
        });
        let nth = matching.every_nth.is_none_or(|n| self.seen.is_multiple_of(n.max(1)));
        lucky && nth
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Fault, FaultMatch};
    use super::*;

    fn struck(matching: FaultMatch, times: Option<u64>, requests: u64) -> Vec<u64> {
        let rules = FaultRules::new(7);
        rules.add(FaultRule { id: String::new(), matching, fault: Fault::Garbage, times });
        (0..requests)
            .filter(|n| {
                let to = Some(Number(15_550_200_000 + n));
                let subject = Subject { endpoint: Endpoint::Sms, extension_id: Some(400_100_001), to };
                rules.strike(&subject).is_some()
            })
            .collect()
    }

    #[test]
    fn conditions_hold_together() {
        let all = FaultMatch::default();
        assert_eq!(struck(all.clone(), Some(2), 5), [0, 1]);
        let nth = FaultMatch { every_nth: Some(3), ..all.clone() };
        assert_eq!(struck(nth, None, 9), [2, 5, 8]);
        let prefix = FaultMatch { to: Some("+1555020000".into()), every_nth: Some(5), ..all.clone() };
        assert_eq!(struck(prefix, None, 30), [4, 9]);
        let other = FaultMatch { extension: Some("400100002".into()), ..all.clone() };
        assert_eq!(struck(other, None, 5), [0u64; 0]);
        let token = FaultMatch { endpoint: Endpoint::Token, ..all.clone() };
        assert_eq!(struck(token, None, 5), [0u64; 0]);
        let tenth = FaultMatch { fraction: Some(0.1), ..all };
        assert!((50..150).contains(&struck(tenth, None, 1000).len()));
    }
}
