//! An extension's session as operators see it: when it ends and what is wrong, never the token.

use std::time::Duration;

use crate::calls::RefusedCredential;

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
