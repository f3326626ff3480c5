//! Follows the roster: a credential that was taken away ends its session. Lets a lane go on by itself when the cause for which
//! it was parked is gone: its credential is another one, or what the provider says of its numbers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use ringcentral::ExtensionId;
use ringfleet_identity::{
    AppStanding, NO_CREDENTIAL, Sessions, Standing,
    directory::{Directory, Register},
    jittered,
};
use ringfleet_store::{Group, LaneId, Millis, StoreError};
use tokio_util::sync::CancellationToken;

use crate::parked::{CREDENTIAL, sender_read_at};

#[cfg(test)]
mod tests;

/// All extensions are looked after so often, if the directory is not read more often, beside those that have changed.
const EVERY: Duration = Duration::from_secs(60);
/// One look of many follows the other after this time, so that thousands of them, by each worker of a large fleet, are no load on
/// the store.
const PACE: Duration = Duration::from_millis(20);
/// A parked extension's numbers are read again so often, if the setting is not quicker.
const READ_AGAIN: Duration = Duration::from_secs(120);

/// How long a look waits for the store, a shard of which may not answer.
const PATIENCE: Duration = Duration::from_secs(2);

type Known = BTreeMap<Arc<str>, Vec<Standing>>;
/// Extensions to look after, and whether one of its credentials that was refused is said to be good again.
type Due = BTreeMap<Arc<str>, bool>;

pub(crate) struct Caretaker {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) directory: Directory,
    pub(crate) register: Register,
    /// How often the directory is read; `None` if it is not.
    pub(crate) refresh: Option<Duration>,
}

impl Caretaker {
    /// Looks after all extensions in turn, and at once after those that change in the roster.
    pub(crate) async fn care(self, stop: CancellationToken) {
        let mut changes = self.sessions.roster().changes();
        let mut known = standings(&self.sessions);
        let mut shown = None;
        let all = || self.sessions.roster().extensions().into_iter();
        let again = || {
            let wait = EVERY.min(self.refresh.unwrap_or(EVERY));
            tokio::time::Instant::now() + jittered(wait)
        };
        // All in turn, begun anew only when its end was reached: in a large fleet that takes longer than the time after which it
        // may be, and a connection is refreshed every few seconds.
        let mut round = all();
        let mut again_at = again();
        let mut changed = Due::new();
        // Some that have changed, when the store did not answer.
        let mut missed = Due::new();
        loop {
            let mut answers = true;
            // One of each, so that whatever changes all the time keeps nobody from its turn.
            if let Some((extension, cleared)) = changed.pop_first()
                && !self.see_to(&extension, cleared).await
            {
                missed.insert(extension, cleared);
                answers = false;
            }
            if let Some(extension) = round.next() {
                answers &= self.see_to(&extension, false).await;
            }
            self.sessions.show_waiting();
            if shown.is_none_or(|shown: Instant| shown.elapsed() > EVERY / 2) {
                shown = Some(Instant::now());
                if let Err(error) = self.sessions.show_health().await {
                    crate::metrics::store_error("sessions", &error);
                }
            }
            let more = !changed.is_empty() || round.len() > 0;
            // Of several shards the others answer.
            let goes_on = more && (answers || self.sessions.store().shards() > 1);
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = changes.changed() => {
                    let now = standings(&self.sessions);
                    add(&mut changed, take_over(&self.sessions, &known, &now));
                    known = now;
                }
                () = tokio::time::sleep_until(again_at) => {
                    again_at = again();
                    add(&mut changed, std::mem::take(&mut missed));
                    if round.len() == 0 {
                        round = all();
                    }
                }
                () = tokio::time::sleep(PACE), if goes_on => {}
            }
        }
    }

    /// `false`: the store does not answer, or not for this one.
    async fn see_to(&self, extension: &str, cleared: bool) -> bool {
        let seen_to = self.look_after(extension, cleared).await;
        if let Err(error) = &seen_to {
            crate::metrics::store_error("lane", error);
        }
        seen_to.is_ok()
    }

    async fn look_after(&self, extension: &str, cleared: bool) -> Result<(), StoreError> {
        let (sessions, store) = (&self.sessions, self.sessions.store());
        let Ok(lane) = LaneId::try_new(sessions.app(), extension, Group::Medium) else { return Ok(()) };
        let known = tokio::time::timeout(PATIENCE, store.lane(&lane)).await;
        let known = known.unwrap_or_else(|late| Err(StoreError::Unavailable { call: "lane", source: late.into() }));
        let Some(reason) = known?.parked else {
            // It goes on, with another credential; the one that is good again is tried with the next renewal.
            return if cleared { store.set_parked(&lane, None).await } else { Ok(()) };
        };
        if let Some((_, of)) = reason.split_once("#app:")
            && !cleared
        {
            return self.look_at_app(extension, &lane, of).await;
        }
        let cause = reason.split(" #").next().unwrap_or_default();
        let goes_on =
            || tracing::info!(extension.id = extension, cause, "what parked it has changed; the lane goes on");
        match (reason.strip_prefix(CREDENTIAL), sender_read_at(&reason)) {
            (Some(_), _) if cleared => {
                goes_on();
                store.set_parked(&lane, None).await
            }
            (Some(refused), _) if is_another(&sessions.standings(extension), refused) => {
                goes_on();
                store.unpark(&lane).await
            }
            (None, Some(read_at)) if self.was_read_since(extension, read_at).await? => {
                goes_on();
                store.unpark(&lane).await
            }
            _ => Ok(()),
        }
    }

    /// The lane waits for the app, which the provider has refused, or for a login that this does not concern.
    async fn look_at_app(&self, extension: &str, lane: &LaneId, of: &str) -> Result<(), StoreError> {
        let standing = self.sessions.app_standing(extension, of).await?;
        let goes_on = match (standing, ExtensionId::try_new(extension)) {
            (AppStanding::Open, _) => true,
            // Of all who try, one makes a login.
            (AppStanding::DueForTrial, Ok(id)) => match self.sessions.get(&id).await {
                Ok(_) => true,
                Err(error) => {
                    tracing::debug!(extension.id = extension, ?error, "no login while the app is refused");
                    self.sessions.app_standing(extension, of).await? == AppStanding::Open
                }
            },
            (AppStanding::DueForTrial | AppStanding::Refused, _) => false,
        };
        if goes_on { self.sessions.store().unpark(lane).await } else { Ok(()) }
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

/// Whether there is a credential that was not among the refused ones, which a reason names after its `#`.
fn is_another(standings: &[Standing], cause: &str) -> bool {
    match cause.split_once('#') {
        Some((_, refused)) => standings.iter().any(|one| refused.split(',').all(|print| print != one.print)),
        None => cause == NO_CREDENTIAL && !standings.is_empty(),
    }
}

fn add(due: &mut Due, more: Due) {
    for (extension, cleared) in more {
        *due.entry(extension).or_default() |= cleared;
    }
}

fn standings(sessions: &Sessions) -> Known {
    let extensions = sessions.roster().extensions();
    extensions.into_iter().map(|extension| (extension.clone(), sessions.standings(&extension))).collect()
}

/// Ends the sessions of what was taken away, and names the extensions whose lanes may go on.
fn take_over(sessions: &Sessions, before: &Known, now: &Known) -> Due {
    let none = Vec::new();
    let mut changed = Due::new();
    for extension in before.keys().chain(now.keys()).collect::<BTreeSet<_>>() {
        let (was, is) = (before.get(extension).unwrap_or(&none), now.get(extension).unwrap_or(&none));
        if was == is {
            continue;
        }
        for gone in was.iter().filter(|old| is.iter().all(|new| new.print != old.print)) {
            sessions.retire(extension, &gone.print);
        }
        for come in is.iter().filter(|new| was.iter().all(|old| old.print != new.print)) {
            sessions.reinstate(extension, &come.print);
        }
        if let (Some(old), Some(new)) = (was.first(), is.first())
            && old.print != new.print
        {
            sessions.prefer(extension, &new.print);
        }
        let cleared = |new: &Standing| !new.refused && was.iter().any(|old| old.print == new.print && old.refused);
        changed.insert(extension.clone(), is.iter().any(cleared));
    }
    changed
}
