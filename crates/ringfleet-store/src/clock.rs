//! Whose clock judges. In production the store's own: Redis `TIME`, or the machine of the SQLite file.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use crate::message::Millis;

/// The store's clock, or one that tests move by hand, so that a history can be replayed exactly.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// A clock that stands still until the returned handle is moved; milliseconds since 1970, never zero.
    pub fn by_hand(start: Millis) -> (Self, Arc<AtomicI64>) {
        let hand = Arc::new(AtomicI64::new(start));
        (Self(Some(hand.clone())), hand)
    }

    pub(crate) fn set_time(&self) -> Option<Millis> {
        self.0.as_ref().map(|hand| hand.load(Ordering::SeqCst))
    }

    /// This machine's time, for a store that lives on it.
    pub(crate) fn local_now(&self) -> Millis {
        self.set_time().unwrap_or_else(|| {
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_millis() as Millis)
        })
    }
}
