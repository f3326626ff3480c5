//! What there is: the store, the workers, and the provider's truth.

use State::{Claimed, Sending};

pub(crate) const WORKERS: usize = 2;
pub(crate) const MESSAGES: usize = 2;

/// Names a claim. Grows with each; 0 is none.
pub type Token = u8;

/// Where a message stands in the store. `Sent` holds the token whose text was credited.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum State {
    Absent,
    Ready,
    Claimed(Token),
    Sending(Token),
    Unknown { token: Token, reads: u8 },
    Sent(Token),
    Held,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Fate {
    Sent,
    Unknown,
    NotSent,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Record {
    pub state: State,
    /// The last token whose story is closed: certainly not sent.
    pub closed: Token,
    /// A text that is known to have gone out while another attempt was under way.
    pub evidence: Token,
    /// "Duplicate confirmed" was recorded.
    pub twice: bool,
}

/// All that a rollback takes back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Store {
    pub records: [Record; MESSAGES],
    pub(crate) seq: Token,
}

/// A send: message and token.
pub type Send = (usize, Token);

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Hand {
    Free,
    Claimed(Send),
    /// In the journal; the store has not been asked, or has not answered.
    Noted(Send),
    /// `Go` was said, nothing has left.
    Cleared(Send),
    /// The POST has left, its answer has not come.
    Waiting(Send),
    /// Knows an outcome, has not settled it.
    Knows(Send, Fate),
}

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Worker {
    pub hand: Hand,
    pub(crate) journal: Vec<(Send, Fate)>,
    /// Has told the store its journal since it was started and since the store was rolled back.
    pub(crate) told: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct World {
    pub store: Store,
    /// What the disk, or the replica, will bring back.
    pub(crate) mark: Option<Store>,
    pub(crate) rollbacks_left: u8,
    pub(crate) gate: bool,
    pub workers: [Worker; WORKERS],
    /// POSTs between worker and provider.
    pub(crate) wire: Vec<Send>,
    /// The provider's truth.
    pub texts: Vec<Send>,
    pub(crate) lapsed: u16,
    pub(crate) token: Token,
    pub(crate) faults_left: u8,
    pub(crate) known: [bool; MESSAGES],
    /// `Go` was said for a message of which the store had been told that it was sent.
    pub begun_after_sent: bool,
}

impl World {
    pub(crate) fn holder(&self, send: Send) -> bool {
        self.workers.iter().any(|worker| worker.hand.send() == Some(send))
    }

    pub(crate) fn lapsed(&self, token: Token) -> bool {
        self.lapsed & (1 << token) != 0
    }

    /// A2: the settle time of this send is over.
    pub(crate) fn settled(&self, message: usize, token: Token) -> bool {
        let ours = |&(m, t): &Send| m == message && t <= token;
        let may_post = |worker: &Worker| matches!(&worker.hand, Hand::Cleared(s) if ours(s) && !self.lapsed(s.1));
        !self.wire.iter().any(ours) && !self.workers.iter().any(may_post)
    }

    pub fn accepted(&self, message: usize) -> usize {
        self.texts.iter().filter(|text| text.0 == message).count()
    }

    /// Forgets what can't matter any more, and the workers' names: fewer states, the same histories.
    pub(crate) fn tidy(&mut self) {
        let stores = [Some(self.store), self.mark];
        let live = |t: Token| {
            self.workers.iter().any(|w| w.hand.send().is_some_and(|send| send.1 == t))
                || stores
                    .iter()
                    .flatten()
                    .any(|s| s.records.iter().any(|r| [Claimed(t), Sending(t)].contains(&r.state)))
        };
        self.lapsed = (0..16).filter(|&t| self.lapsed(t) && live(t)).fold(0, |set, t| set | 1 << t);
        if self.faults_left == 0 && self.rollbacks_left == 0 && self.workers.iter().all(|w| w.told) {
            self.workers.iter_mut().for_each(|w| w.journal.clear());
        }
        self.workers.sort_unstable();
    }
}

impl Hand {
    pub(crate) fn send(self) -> Option<Send> {
        match self {
            Hand::Free => None,
            Hand::Claimed(s) | Hand::Noted(s) | Hand::Cleared(s) | Hand::Waiting(s) | Hand::Knows(s, _) => Some(s),
        }
    }
}

impl Worker {
    pub(crate) fn note(&mut self, send: Send, fate: Fate) {
        self.journal.retain(|entry| entry.0 != send);
        if fate != Fate::NotSent {
            self.journal.push((send, fate));
        }
    }
}
