//! An extension's session: what a worker asks and is told of it, and how operators see it, which is never the token.

use std::time::Duration;

/// A fleet-wide session of one extension. The token itself is opaque here; the worker seals it.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Grows with every renewal and never comes back; a worker with an older one reads again before it does anything else.
    pub generation: u64,
    pub sealed: Vec<u8>,
    /// How long it lives from now on.
    pub lives: Duration,
    /// When it is to be renewed, from now on; until then it is used.
    pub renew_in: Duration,
}

impl std::fmt::Debug for TokenRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenRecord")
            .field("generation", &self.generation)
            .field("lives", &self.lives)
            .field("renew_in", &self.renew_in)
            .finish_non_exhaustive()
    }
}

/// A credential that the provider will not take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedCredential {
    /// As it was named in [`TokenAsk::credentials`](crate::TokenAsk).
    pub print: String,
    pub reason: String,
}

/// What came of telling that a credential was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// It is remembered from now on. Whoever is told this is the first, and raises the alarm.
    New,
    Known,
    /// It says nothing of the credential as it is now; nothing was changed.
    No,
}

/// The answer to `token_lease`: use it, renew it, or wait for the one who renews it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TokenLease {
    Valid(TokenRecord),
    /// The caller is the one who renews it; the old record, if any, helps to refresh. From here on no POST begins with it.
    Renew {
        generation: u64,
        old: Option<TokenRecord>,
        /// POSTs under way with the old one.
        sending: u32,
        /// Not to be tried.
        refused: Vec<RefusedCredential>,
    },
    /// Another worker is at it; ask again after this time.
    Busy(Duration),
    /// All credentials were refused for good: no login until one changes.
    Dead {
        refused: Vec<RefusedCredential>,
    },
}

/// As operators see it: when it ends and what is wrong.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SessionView {
    /// 0 if there never was a session.
    pub generation: u64,
    /// How long it lives from now on; zero for one that is over.
    pub lives: Duration,
    /// When it is to be renewed, from now on.
    pub renew_in: Duration,
    /// Somebody renews it at the moment.
    pub renewing: bool,
    /// Credentials that are remembered as refused, those that are gone among them.
    pub refused: Vec<RefusedCredential>,
}
