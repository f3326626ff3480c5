//! What is to be read next. Pure.

use std::time::Duration;

use ringcentral::{AccountId, ExtensionId};
use ringfleet_store::Millis;

use super::{
    book::Book,
    facts::{AccountList, ExtensionFacts},
    record::hash,
};

/// A reading that somebody asked for is made no sooner than this after the one before.
const ASKED_PAUSE: Millis = 1_000;
/// An extension that would have to be logged in just for this, on a budget of logins that the whole app shares, is read so
/// many times less often.
const IDLE: i64 = 24;
/// A list that could not be read is tried again after a twelfth of the usual time; who may not read it is asked again after
/// so many times of it.
const AFTER_FAILURE: i64 = 12;
const DENIED: i64 = 24;

/// What is due, in the order in which it is to be read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Due {
    /// Somebody waits for it, who asked then: a message that may not leave, a number that is looked for. In a large fleet the
    /// others may be hours behind.
    Asked(Millis),
    /// Since then.
    Since(Millis),
}

/// When things are read again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rhythm {
    pub(crate) now: Millis,
    pub(crate) every: Duration,
}

impl Rhythm {
    fn every_ms(self) -> i64 {
        i64::try_from(self.every.as_millis()).unwrap_or(i64::MAX / 64).max(1)
    }

    /// 0.8 to 1.2 times the usual, the same for one name, so that what was read together drifts apart.
    fn of(self, name: &str) -> i64 {
        self.every_ms() / 10 * 8 + (self.every_ms() / 10 * 4) * i64::from(hash(name) & 0xffff) / 0x1_0000
    }

    /// `None` for an extension that is not due. `costly`: it would have to be logged in just
    /// for this, on a budget that others need more.
    pub(crate) fn extension(
        self,
        extension: &ExtensionId,
        facts: Option<&ExtensionFacts>,
        costly: bool,
    ) -> Option<Due> {
        let Some(facts) = facts.filter(|facts| facts.tried_at() > 0) else { return Some(Due::Since(0)) };
        if facts.asked_at > facts.tried_at() && self.now >= facts.tried_at() + ASKED_PAUSE {
            return Some(Due::Asked(facts.asked_at));
        }
        let pause = self.of(extension.as_str()) * if costly { IDLE } else { 1 };
        let due = facts.tried_at().saturating_add(pause);
        (due <= self.now).then_some(Due::Since(due))
    }

    /// Who is to read an account's list now: one who may, best the one who did last, `None` if it is not due or nobody may.
    pub(crate) fn account<'a>(self, book: &'a Book, account: &AccountId) -> Option<&'a ExtensionId> {
        let unread = AccountList::unread(account.clone());
        let list = book.account(account).unwrap_or(&unread);
        let due = match &list.failed {
            _ if list.tried_at() == 0 => 0,
            _ if list.asked_at > list.tried_at() => list.tried_at() + ASKED_PAUSE,
            Some(failed) if failed.at >= list.read_at => failed.at + self.every_ms() / AFTER_FAILURE,
            _ => list.read_at.saturating_add(self.of(account.as_str())),
        };
        if due > self.now {
            return None;
        }
        let since = self.now.saturating_sub(self.every_ms().saturating_mul(DENIED));
        let (denied, last) = list.denied_since(since);
        let may = |facts: &&ExtensionFacts| {
            facts.account.as_ref() == Some(account)
                && !facts.connected_by.is_empty()
                && facts.inactive().is_none()
                && !denied.contains(&facts.extension)
        };
        let reader = list.read_by.as_ref().and_then(|id| book.extension(id)).filter(may);
        // In the order of their ids.
        let mut others = book.extensions().filter(may).filter(|facts| last.is_none_or(|last| facts.extension > *last));
        reader.or_else(|| others.next()).map(|facts| &facts.extension)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, HashMap};

    use ringfleet_store::docs::MAX_BODY_BYTES;

    use super::{super::facts::Failed, *};

    const HOUR: Millis = 3_600_000;

    fn id(text: &str) -> ExtensionId {
        ExtensionId::try_new(text).unwrap()
    }

    fn account() -> AccountId {
        AccountId::try_new("1").unwrap()
    }

    fn at(now: Millis) -> Rhythm {
        Rhythm { now, every: Duration::from_secs(3_600) }
    }

    fn read(id_text: &str, read_at: Millis) -> ExtensionFacts {
        let connected_by = vec!["jwt".into()];
        ExtensionFacts { account: Some(account()), connected_by, read_at, ..ExtensionFacts::unread(id(id_text)) }
    }

    fn book(extensions: &[ExtensionFacts], list: AccountList) -> Book {
        let extensions = extensions.iter().map(|facts| (facts.extension.clone(), facts.clone())).collect();
        Book::new(Default::default(), extensions, HashMap::new(), BTreeMap::from([(account(), list)]))
    }

    #[test]
    fn an_extension_is_read_at_once_then_every_hour_and_when_somebody_asks() {
        let facts = read("7", 1_000);
        let due = |facts: &ExtensionFacts, now| at(now).extension(&id("7"), Some(facts), false);
        assert_eq!(at(5).extension(&id("7"), None, true), Some(Due::Since(0)));
        assert_eq!(due(&facts, 1_000 + HOUR / 10 * 8 - 1), None);
        assert!(due(&facts, 1_000 + HOUR / 10 * 12).is_some());
        assert_eq!(at(1_000 + 2 * HOUR).extension(&id("7"), Some(&facts), true), None, "a login is dear");
        let asked = ExtensionFacts { asked_at: 1_500, ..facts.clone() };
        assert_eq!((due(&asked, 1_999), due(&asked, 2_000)), (None, Some(Due::Asked(1_500))));
        assert!(Due::Asked(1_500) < Due::Since(0), "before all that nobody waits for");
        let answered = ExtensionFacts { failed: Some(Failed { code: "CMN-401".into(), at: 1_600 }), ..asked };
        assert_eq!(due(&answered, 10_000), None);
    }

    #[test]
    fn extensions_that_were_read_together_drift_apart() {
        let dues: BTreeSet<i64> = (0..100).map(|n| at(0).of(&format!("4001{n:05}"))).collect();
        assert!(dues.len() > 90, "{dues:?}");
        assert!(dues.iter().all(|due| (HOUR / 10 * 8..=HOUR / 10 * 12).contains(due)), "{dues:?}");
    }

    #[test]
    fn an_accounts_list_is_read_by_one_who_may_and_best_the_same_again() {
        let extensions = [read("1", 5), read("2", 5), ExtensionFacts { connected_by: Vec::new(), ..read("0", 5) }];
        let unread = AccountList::unread(account());
        assert_eq!(at(10).account(&book(&extensions, unread.clone()), &account()), Some(&id("1")));
        let denied = |at| vec![(id("1"), Failed { code: "CMN-408".into(), at })];
        let list = AccountList { denied: denied(6), ..unread.clone() };
        assert_eq!(at(10).account(&book(&extensions, list.clone()), &account()), Some(&id("2")));
        assert_eq!(at(10).account(&book(&extensions[..1], list), &account()), None);
        let long_ago = AccountList { denied: denied(6), ..unread.clone() };
        assert_eq!(at(7 + 24 * HOUR).account(&book(&extensions[..1], long_ago), &account()), Some(&id("1")));
        let list = AccountList { read_at: 7, read_by: Some(id("2")), ..unread };
        assert_eq!(at(10).account(&book(&extensions, list.clone()), &account()), None);
        assert_eq!(at(7 + 2 * HOUR).account(&book(&extensions, list.clone()), &account()), Some(&id("2")));
        let failed = AccountList { failed: Some(Failed { code: "x".into(), at: 8 }), ..list };
        assert_eq!(at(8 + HOUR / 12).account(&book(&extensions, failed), &account()), Some(&id("2")));
    }
    #[test]
    fn one_who_may_is_found_behind_thousands_who_may_not_and_each_of_them_is_asked_once_in_a_time() {
        let extensions: Vec<_> = (0..2_001).map(|n| read(&format!("4001{n:08}"), 5)).collect();
        let administrator = &extensions.last().unwrap().extension;
        let asks = |list: &mut AccountList, now: &mut Millis| {
            let mut asked = Vec::new();
            while let Some(by) = at(*now).account(&book(&extensions, list.clone()), &account()) {
                asked.push(by.clone());
                assert!(asked.len() <= extensions.len(), "somebody is asked again");
                if by == administrator {
                    break;
                }
                list.deny(by, Failed { code: "CMN-408".into(), at: *now });
                assert!(list.body().len() + 100 < MAX_BODY_BYTES, "{}", list.body().len());
                *now += 15_000;
            }
            asked
        };
        let all: Vec<_> = extensions.iter().map(|facts| facts.extension.clone()).collect();
        let (mut list, mut now) = (AccountList::unread(account()), 10);
        assert!(asks(&mut list, &mut now) == all, "in their order, once each");
        // It loses that right.
        let loses = |list: &mut AccountList, now| list.deny(administrator, Failed { code: "CMN-408".into(), at: now });
        list.is_read_by(administrator);
        loses(&mut list, now);
        assert!(asks(&mut list, &mut now) == all, "the others may have got it");
        loses(&mut list, now);
        assert_eq!(at(now).account(&book(&extensions, list.clone()), &account()), None);
        now += DENIED * HOUR;
        assert!(asks(&mut list, &mut now) == all, "and again");
    }
}
