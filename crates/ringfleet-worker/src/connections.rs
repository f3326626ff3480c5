//! Refreshes connections that no message has needed for days, before they run out: an employee would have to connect the
//! extension again.
//!
//! Every worker watches all of them; whoever comes first to one that is due refreshes it under the extension's own lock, and the
//! others find it done. Only from logins that nobody waits for, until its end is near.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use ringcentral::ExtensionId;
use ringfleet_identity::{Chain, KeptAlive, Sessions};
use ringfleet_store::{Millis, StoreError};
use tokio_util::sync::CancellationToken;

/// Longest time between two looks.
const EVERY: Duration = Duration::from_secs(30);
/// After that it is looked again whether there is a login to spare.
const SPARE_AGAIN: Duration = Duration::from_secs(2);
/// By then the roster shows what was done.
const SHOWN: Duration = Duration::from_secs(2);
/// The next look at one that was given up.
const REFUSED: Duration = Duration::from_secs(3_600);
const LEAST: Duration = Duration::from_millis(200);
/// Refreshed in one round, one after the other; then it is looked again whether a message waits for a login.
const A_ROUND: usize = 20;

pub(crate) struct Connections {
    sessions: Arc<Sessions>,
    lateness: f64,
    /// Extensions that were looked after a moment ago.
    resting: HashMap<Arc<str>, Instant>,
}

impl Connections {
    pub(crate) fn new(sessions: Arc<Sessions>) -> Self {
        Self { sessions, lateness: rand::random_range(0.0..Chain::LATEST), resting: HashMap::new() }
    }

    pub(crate) async fn keep_alive(mut self, stop: CancellationToken) {
        let mut changes = self.sessions.roster().changes();
        loop {
            let next = match self.round(&stop).await {
                Ok(next) => next,
                Err(error) => {
                    crate::metrics::store_error("token_lease", &error);
                    Duration::from_secs(5)
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(next.clamp(LEAST, EVERY)) => {}
                // One that was brought in from elsewhere may be near its end.
                Ok(()) = changes.changed() => {}
            }
        }
    }

    /// Refreshes what is due, and says when to look again.
    async fn round(&mut self, stop: &CancellationToken) -> Result<Duration, StoreError> {
        let store = self.sessions.store();
        let now = store.now().await?;
        self.resting.retain(|_, until| *until > Instant::now());
        let extensions = self.sessions.roster().extensions();
        let all = extensions.into_iter().filter_map(|extension| {
            let chain = self.sessions.chain(&extension)?;
            Some((extension, chain))
        });
        let mut next = EVERY;
        let mut due: Vec<(Arc<str>, Chain)> = Vec::new();
        for (extension, chain) in all {
            let wait = chain.due_at + (chain.life_ms as f64 * self.lateness) as Millis - now;
            if let Some(until) = self.resting.get(&extension) {
                next = next.min(until.saturating_duration_since(Instant::now()));
            } else if wait > 0 {
                next = next.min(Duration::from_millis(wait.unsigned_abs()));
            } else {
                due.push((extension, chain));
            }
        }
        due.sort_by_key(|(_, chain)| chain.ends_at);
        let more = due.len() > A_ROUND;
        for (extension, chain) in due.into_iter().take(A_ROUND) {
            if stop.is_cancelled() {
                break;
            }
            if now < chain.urgent_at && !self.sessions.has_login_to_spare().await? {
                return Ok(SPARE_AGAIN);
            }
            let Ok(id) = ExtensionId::try_new(&extension) else { continue };
            let kept = match self.sessions.keep_alive(&id).await {
                Ok(kept) => kept,
                // Of several shards the others answer.
                Err(error) if error.is_transient() && store.shards() > 1 => {
                    crate::metrics::store_error("keep_alive", &error);
                    KeptAlive::Later
                }
                Err(error) => return Err(error),
            };
            tracing::debug!(extension.id = %extension, ?kept, "connection was due to be kept alive");
            // The roster shows a moment later what was done. What could not be done is tried again, with a pause that fits the
            // life that is left.
            let longest = match kept {
                KeptAlive::Refreshed | KeptAlive::NotDue | KeptAlive::Elsewhere => SHOWN,
                KeptAlive::Later => 2 * EVERY,
                // For as long as nobody acts, which may be years. Whoever lets its lane go on expects it to be kept alive again.
                KeptAlive::Refused => REFUSED,
            };
            let rest = Duration::from_millis(chain.life_ms.unsigned_abs() / 50).clamp(LEAST, longest);
            self.resting.insert(extension, Instant::now() + rest);
            next = next.min(rest);
        }
        Ok(if more { LEAST } else { next })
    }
}

#[cfg(test)]
mod tests {
    use ringcentral::RefreshToken;
    use ringfleet_identity::{Credential, Follower, Login};
    use ringfleet_store::{Heard, RefusedCredential, WorkerId, sqlite::SqliteOptions};

    use super::*;
    use crate::tests::rig::{EXTENSION, LEASE, NOBODY, client, credential, sqlite, vault};

    #[tokio::test]
    async fn a_connection_that_was_given_up_is_looked_at_once_an_hour() {
        let folder = tempfile::tempdir().unwrap();
        let vault = vault(sqlite(folder.path(), SqliteOptions::default()).await);
        let login = Login::Code { connection: "c".to_owned(), refresh: RefreshToken::try_new("first").unwrap() };
        vault.put(&Credential { login, ..credential(EXTENSION) }).await.unwrap();
        let (roster, _) = Follower::start(vault.clone(), Vec::new()).await.unwrap();
        let worker = WorkerId::incarnation("w");
        let sessions = Arc::new(Sessions::new(vault.clone(), roster, client(NOBODY), worker.clone(), LEASE));
        let refused =
            RefusedCredential { print: sessions.standings(EXTENSION).remove(0).print, reason: "OAU-236".to_owned() };
        let heard = vault.store().token_refuse(EXTENSION, &worker, 0, &refused, Duration::ZERO).await.unwrap();
        assert_eq!(heard, Heard::New);

        let mut connections = Connections::new(sessions);
        // It is due from its beginning on.
        connections.lateness = 0.0;
        connections.round(&CancellationToken::new()).await.unwrap();
        let rest = connections.resting[EXTENSION].saturating_duration_since(Instant::now());
        assert!((REFUSED / 2..=REFUSED).contains(&rest), "{rest:?}");
    }
}
