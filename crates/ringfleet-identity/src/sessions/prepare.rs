//! A session ahead of the work that needs it, so that the first message of a lane is not late by a login.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ringcentral::ExtensionId;
use ringfleet_store::StoreError;

use super::{NoSession, Session, Sessions};

/// A session is renewed ahead of its time by no more than this part of its life: many messages in sight must not each cost a
/// login.
const PART_OF_LIFE: u32 = 10;

impl Sessions {
    /// Whether a message that is due in `due_in` would find a session that is good then, as far as this process knows.
    pub fn is_prepared(&self, extension: &str, due_in: Duration) -> bool {
        let lasts = |session: Session| session.lasts(due_in);
        self.remembered(extension).is_some_and(lasts)
    }

    /// Whether the fleet has a session of the extension that is good for a while, as far as this process knows: getting it costs no
    /// login.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be asked.
    pub(crate) async fn is_there(&self, extension: &str) -> Result<bool, StoreError> {
        if self.remembered(extension).is_some() {
            return Ok(true);
        }
        let known_bad = self.trial(extension, |trial| trial.refused);
        let stored = self.store().sessions(&[extension.to_owned()]).await?;
        Ok(stored.iter().any(|view| view.generation > known_bad && !view.lives.is_zero() && !view.renew_in.is_zero()))
    }

    /// Whether a login may be made now for a message that is not due yet: none that is due waits for one, and if the budget is
    /// the app's, more than half of it is free.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be asked.
    pub async fn may_prepare(&self) -> Result<bool, StoreError> {
        Ok(self.show_waiting() == 0 && self.login_budget().await?.roomy)
    }

    /// Gets a session for a message that is due in `due_in`, or renews one that would have to be renewed just then. Does
    /// nothing if that is too far away for its short life. Cancel-safe like [`get`](Self::get).
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn prepare(self: &Arc<Self>, extension: &ExtensionId, due_in: Duration) -> Result<(), NoSession> {
        let session = self.get(extension).await?;
        if !session.lasts(due_in) && due_in <= session.life / PART_OF_LIFE {
            self.get_newer(extension, session.generation).await?;
        }
        Ok(())
    }
}

impl Session {
    fn lasts(&self, due_in: Duration) -> bool {
        self.until > Instant::now() + due_in
    }
}
