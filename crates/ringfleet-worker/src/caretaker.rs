//! Lets a lane go on by itself when the cause for which it was parked is gone: its credential is another one, or what the
//! provider says of its numbers.

use std::{sync::Arc, time::Duration};

use ringcentral::ExtensionId;
use ringfleet_identity::{
    NO_CREDENTIAL, Sessions,
    directory::{Directory, Register},
};
use ringfleet_store::{Group, LaneId, Millis, StoreError};
use tokio_util::sync::CancellationToken;

use crate::parked::{CREDENTIAL, sender_read_at};

/// Extensions looked after in one round, so that thousands of them are no load on the store.
const AT_ONCE: usize = 200;
const EVERY: Duration = Duration::from_secs(15);
/// A parked extension's numbers are read again so often, if the setting is not quicker.
const READ_AGAIN: Duration = Duration::from_secs(120);

pub(crate) struct Caretaker {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) directory: Directory,
    pub(crate) register: Register,
    /// How often the directory is read; `None` if it is not.
    pub(crate) refresh: Option<Duration>,
}

impl Caretaker {
    /// Looks after all extensions in turn, and at once after a change of the roster.
    pub(crate) async fn care(self, stop: CancellationToken) {
        let mut changes = self.sessions.roster().changes();
        loop {
            let extensions = self.sessions.roster().extensions();
            for some in extensions.chunks(AT_ONCE) {
                for extension in some {
                    if let Err(error) = self.look_after(extension).await {
                        crate::metrics::store_error("lane", &error);
                        break;
                    }
                }
                let wait = EVERY.min(self.refresh.unwrap_or(EVERY)).mul_f64(rand::random_range(0.7..=1.3));
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(wait) => {}
                    Ok(()) = changes.changed() => break,
                }
            }
            if extensions.is_empty() {
                tokio::select! {
                    () = stop.cancelled() => return,
                    Ok(()) = changes.changed() => {}
                }
            }
        }
    }

    async fn look_after(&self, extension: &str) -> Result<(), StoreError> {
        let Ok(lane) = LaneId::try_new(self.sessions.app(), extension, Group::Medium) else { return Ok(()) };
        let Some(reason) = self.sessions.store().lane(&lane).await?.parked else { return Ok(()) };
        let gone = match (reason.strip_prefix(CREDENTIAL), sender_read_at(&reason)) {
            (Some(cause), _) => self.credential_changed(extension, cause),
            (None, Some(read_at)) => self.was_read_since(extension, read_at).await?,
            (None, None) => return Ok(()),
        };
        if gone {
            let cause = reason.split(" #").next().unwrap_or_default();
            tracing::info!(extension.id = extension, cause, "what parked it has changed; the lane goes on");
            self.sessions.store().set_parked(&lane, None).await?;
        }
        Ok(())
    }

    fn credential_changed(&self, extension: &str, cause: &str) -> bool {
        match cause.split_once('#') {
            Some((_, refused)) => refused != self.sessions.prints(extension),
            None => cause == NO_CREDENTIAL,
        }
    }

    /// SEND-SAFETY: the lane goes on after every newer reading, whatever it says: each message is judged by it before its
    /// intent, and one that can't leave from here parks the lane again, with the reason as it is now. The provider has refused
    /// what was sent before, so nothing has left. Read no more often than every two minutes: a provider whose list and whose
    /// refusals disagree costs one refused request each time.
    async fn was_read_since(&self, extension: &str, read_at: Millis) -> Result<bool, StoreError> {
        let Ok(id) = ExtensionId::try_new(extension) else { return Ok(false) };
        let (known, tried) = {
            let book = self.directory.book();
            let facts = book.extension(&id);
            (facts.map_or(0, |facts| facts.read_at), facts.map_or(0, |facts| facts.tried_at().max(facts.asked_at)))
        };
        if known > read_at {
            return Ok(true);
        }
        if let Some(refresh) = self.refresh {
            let pause = READ_AGAIN.min(refresh).as_millis() as Millis;
            if self.sessions.store().now().await? > tried + pause {
                self.register.ask(&id).await?;
            }
        }
        Ok(false)
    }
}
