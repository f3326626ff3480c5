//! What was said already: a state that lasts must not fill the logs.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A state of each of many: said when it begins and when it changes, until it is over.
#[derive(Debug)]
pub struct Told<K>(Mutex<HashMap<K, String>>);

impl<K> Default for Told<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Told<K> {
    /// Whether `what` is to be said of this one.
    pub fn is_news(&self, of: K, what: &str) -> bool {
        lock(&self.0).insert(of, what.to_owned()).is_none_or(|before| before != what)
    }

    /// Should it come again, it is news.
    pub fn is_over(&self, of: &K) {
        lock(&self.0).remove(of);
    }
}

/// What may happen many times a second: said once a minute, with how often it happened.
#[derive(Debug, Default)]
pub struct EachMinute(Mutex<(Option<Instant>, u64)>);

impl EachMinute {
    /// It has happened; how often since it was said last, if it is to be said now.
    pub fn happened(&self) -> Option<u64> {
        self.happened_at(Instant::now())
    }

    fn happened_at(&self, now: Instant) -> Option<u64> {
        let (said, times) = &mut *lock(&self.0);
        *times += 1;
        if said.is_some_and(|said| now.saturating_duration_since(said) < Duration::from_secs(60)) {
            return None;
        }
        *said = Some(now);
        Some(std::mem::take(times))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Whole at every step, so a panic elsewhere did not break it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_said_of_each_once_and_again_when_it_changes_or_comes_back() {
        let told = Told::default();
        assert!(told.is_news("101", "CMN-408") && told.is_news("102", "CMN-408"));
        assert!(!told.is_news("101", "CMN-408"));
        assert!(told.is_news("101", "CMN-401") && told.is_news("101", "CMN-408"));
        told.is_over(&"101");
        assert!(told.is_news("101", "CMN-408") && !told.is_news("102", "CMN-408"));
    }

    #[test]
    fn what_happens_all_the_time_is_said_once_a_minute_with_how_often() {
        let (happens, start) = (EachMinute::default(), Instant::now());
        let said: Vec<_> =
            (0..1_300).filter_map(|n| happens.happened_at(start + Duration::from_millis(100 * n))).collect();
        assert_eq!(said, [1, 600, 600]);
    }
}
