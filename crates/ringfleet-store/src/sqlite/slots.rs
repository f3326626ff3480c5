//! The log of a lane's window: which requests count against the plan, and until when.

use crate::message::Millis;

/// When the slot of a request under way is free: nobody knows yet.
pub(super) const IN_USE: Millis = 9_000_000_000_000_000;

/// Stored as pairs of big-endian 64-bit numbers: token, time at which it is free.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Slots(Vec<(i64, Millis)>);

impl Slots {
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<8>();
        let (pairs, odd) = words.as_chunks::<2>();
        let whole = rest.is_empty() && odd.is_empty();
        whole.then(|| Self(pairs.iter().map(|[t, at]| (i64::from_be_bytes(*t), i64::from_be_bytes(*at))).collect()))
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(token, at)| [token.to_be_bytes(), at.to_be_bytes()]).flatten().collect()
    }

    /// Forgets what is free by now and counts the rest.
    pub(super) fn in_use(&mut self, now: Millis) -> usize {
        self.0.retain(|(_, free_at)| *free_at > now);
        self.0.len()
    }

    pub(super) fn count_after(&self, now: Millis) -> usize {
        self.0.iter().filter(|(_, free_at)| *free_at > now).count()
    }

    /// Those that are not free yet, the first to be so first: token, time at which it is free.
    pub(super) fn after(&self, now: Millis) -> Vec<(i64, Millis)> {
        let mut slots: Vec<_> = self.0.iter().copied().filter(|(_, free_at)| *free_at > now).collect();
        slots.sort_unstable_by_key(|(token, free_at)| (*free_at, *token));
        slots
    }

    /// The first instant at which the window has a place.
    pub(super) fn free_at(&mut self, limit: usize, now: Millis) -> Millis {
        let used = self.in_use(now);
        if used < limit {
            return now;
        }
        let mut times: Vec<Millis> = self.0.iter().map(|(_, free_at)| *free_at).collect();
        *times.select_nth_unstable(used - limit).1
    }

    pub(super) fn set(&mut self, token: i64, free_at: Millis) {
        match self.0.iter_mut().find(|(known, _)| *known == token) {
            Some(slot) => slot.1 = free_at,
            None => self.0.push((token, free_at)),
        }
    }

    /// As `set`, but never earlier than it was.
    pub(super) fn keep_longer(&mut self, token: i64, free_at: Millis) {
        let known = self.0.iter().find(|(known, _)| *known == token).map_or(0, |(_, at)| *at);
        self.set(token, free_at.max(known));
    }

    pub(super) fn drop(&mut self, token: i64) {
        self.0.retain(|(known, _)| *known != token);
    }

    /// Moves every timed slot, for a window that turns out to be longer or shorter.
    pub(super) fn shift(&mut self, by: Millis) {
        self.0.iter_mut().filter(|(_, free_at)| *free_at < IN_USE).for_each(|(_, free_at)| *free_at += by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_window_is_free_when_enough_slots_are() {
        let mut slots = Slots::default();
        for (token, free_at) in [(1, 300), (2, 100), (3, IN_USE), (4, 200)] {
            slots.set(token, free_at);
        }
        assert_eq!(slots.free_at(5, 50), 50);
        assert_eq!(slots.free_at(4, 50), 100);
        assert_eq!(slots.free_at(2, 50), 300);
        assert_eq!(slots.free_at(1, 50), IN_USE);
        assert_eq!((slots.count_after(100), slots.in_use(100)), (3, 3));
    }

    #[test]
    fn slots_survive_being_stored() {
        let mut slots = Slots::default();
        slots.set(7, 1_000);
        slots.set(8, IN_USE);
        slots.shift(-10);
        assert_eq!(Slots::from_bytes(&slots.to_bytes()), Some(slots.clone()));
        assert_eq!(slots.free_at(2, 0), 990);
        assert_eq!(Slots::from_bytes(&[0; 15]), None);
    }
}
