//! Browsers whose session the store has confirmed to this process. While it is silent they see what is known of the fleet, and
//! nobody else does: that somebody has signed out can't be asked then.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use ringfleet_store::Millis;

use super::session::Operator;
use crate::browser::Browser;

/// By a hash of the browser's name: the end of its session, by the store's clock and by this process's.
#[derive(Default)]
pub(crate) struct Watchers(Mutex<HashMap<[u8; 32], (Millis, Instant)>>);

impl Watchers {
    pub(super) fn admit(&self, operator: &Operator) {
        let now = Instant::now();
        let mut all = self.lock();
        all.retain(|_, (_, ends)| *ends > now);
        all.insert(name(&operator.browser), (operator.until, operator.ends));
    }

    /// Whether this browser was let in with the session that has this end, and it is not over.
    pub(super) fn admitted(&self, browser: &Browser, until: Millis) -> bool {
        let now = Instant::now();
        self.lock().get(&name(browser)).is_some_and(|(known, ends)| *known == until && *ends > now)
    }

    pub(super) fn forget(&self, browser: &Browser) {
        self.lock().remove(&name(browser));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], (Millis, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        watchers.forget(&browser);
        assert!(!watchers.admitted(&browser, 7));
        admit(9, now);
        assert!(!watchers.admitted(&browser, 9), "it is over");
    }
}
