//! Browsers whose session the store has confirmed to this process. While it is silent they see what is known of the fleet, and
//! nobody else does: that somebody has signed out can't be asked then.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use ringfleet_store::Millis;

use super::session::{LIFE, Operator};
use crate::browser::Browser;

/// Which browsers, each by a hash of its name.
#[derive(Default)]
pub(crate) struct Watchers(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// The end of the session, by the store's clock and by this process's.
    let_in: HashMap<[u8; 32], (Millis, Instant)>,
    /// What was forgotten: sessions that end by then, and until when that is to be known.
    left: HashMap<[u8; 32], (Millis, Instant)>,
}

impl Watchers {
    /// Not with a session that was forgotten meanwhile: whether it stands, the store was asked before.
    pub(super) fn admit(&self, operator: &Operator) {
        let (name, mut known) = (name(&operator.browser), self.lock());
        if known.left.get(&name).is_none_or(|(last, _)| operator.until > *last) {
            known.let_in.insert(name, (operator.until, operator.ends));
        }
    }

    /// Whether this browser was let in with the session that has this end, and it is not over.
    pub(super) fn admitted(&self, browser: &Browser, until: Millis) -> bool {
        let now = Instant::now();
        self.lock().let_in.get(&name(browser)).is_some_and(|(known, ends)| *known == until && *ends > now)
    }

    /// Its sessions are over: the one that was let in, and the one with the end `until` where it has shown that.
    pub(super) fn forget(&self, browser: &Browser, until: Option<Millis>) {
        let (name, mut known) = (name(browser), self.lock());
        let let_in = known.let_in.remove(&name).map(|(until, _)| until);
        let before = known.left.get(&name).map(|(last, _)| *last);
        // Of a browser that has shown no session there is nothing to be kept: there may be any number of those.
        if let Some(last) = let_in.max(until).max(before) {
            known.left.insert(name, (last, Instant::now() + LIFE));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        let (now, mut known) = (Instant::now(), self.0.lock().unwrap_or_else(PoisonError::into_inner));
        known.let_in.retain(|_, (_, ends)| *ends > now);
        known.left.retain(|_, (_, ends)| *ends > now);
        known
    }
}

fn name(browser: &Browser) -> [u8; 32] {
    browser.print("watcher")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_session_is_known_until_its_end_or_until_its_browser_is_forgotten() {
        let (watchers, browser) = (Watchers::default(), Browser::new());
        let admit = |until, ends| watchers.admit(&Operator { browser: browser.clone(), until, ends });
        let now = Instant::now();
        admit(7, now + Duration::from_secs(60));
        assert!(watchers.admitted(&browser, 7));
        assert!(!watchers.admitted(&browser, 8), "another session of the same browser");
        assert!(!watchers.admitted(&Browser::new(), 7));
        watchers.forget(&browser, None);
        assert!(!watchers.admitted(&browser, 7));
        admit(9, now);
        assert!(!watchers.admitted(&browser, 9), "it is over");
    }

    #[test]
    fn a_page_that_was_being_loaded_while_its_browser_signed_out_lets_nobody_in() {
        let (watchers, browser) = (Watchers::default(), Browser::new());
        let ends = Instant::now() + Duration::from_secs(60);
        let admitted = |browser: &Browser, until| {
            watchers.admit(&Operator { browser: browser.clone(), until, ends });
            watchers.admitted(browser, until)
        };
        // It had not been let in before, so the sign-out alone tells which session it was.
        watchers.forget(&browser, Some(7));
        assert!(!admitted(&browser, 7) && !admitted(&browser, 6));
        // Neither a request without a session nor one with an older session takes that back.
        watchers.forget(&browser, None);
        watchers.forget(&browser, Some(6));
        assert!(!admitted(&browser, 7));
        assert!(admitted(&browser, 8), "who signs in anew is let in");
        assert!(admitted(&Browser::new(), 7));
        watchers.forget(&browser, None);
        assert!(!admitted(&browser, 8), "it was let in, and is forgotten");
        let stranger = Browser::new();
        watchers.forget(&stranger, None);
        assert!(!watchers.lock().left.contains_key(&name(&stranger)), "any number of strangers would be kept");
    }
}
