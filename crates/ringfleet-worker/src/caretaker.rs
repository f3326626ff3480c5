//! Follows the roster: a credential that was taken away ends its session, and a lane that was parked for its credential goes on
//! as soon as there is another one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use ringfleet_identity::{NO_CREDENTIAL, Sessions, Standing};
use ringfleet_store::{Group, LaneId, StoreError};
use tokio_util::sync::CancellationToken;

/// All extensions are looked after so often, beside those that have changed, for a look that failed or came too early.
const EVERY: Duration = Duration::from_secs(60);
/// One look of many follows the other after this time, so that thousands of them are no load on the store.
const PACE: Duration = Duration::from_millis(5);
/// How a lane's reason begins when its credential is the cause; see [`crate::sender`].
pub(crate) const CREDENTIAL: &str = "credential ";

type Known = BTreeMap<Arc<str>, Vec<Standing>>;
/// Extensions to look after, and whether one of its credentials that was refused is said to be good again.
type Due = BTreeMap<Arc<str>, bool>;

pub(crate) async fn care(sessions: Arc<Sessions>, stop: CancellationToken) {
    let mut changes = sessions.roster().changes();
    let mut known = standings(&sessions);
    let all = |sessions: &Sessions| sessions.roster().extensions().into_iter().map(|extension| (extension, false));
    let mut due: Due = all(&sessions).collect();
    loop {
        let many = due.len() > 1;
        while let Some((extension, cleared)) = due.pop_first() {
            if let Err(error) = look_after(&sessions, &extension, cleared).await {
                crate::metrics::store_error("lane", &error);
                break;
            }
            if many {
                tokio::time::sleep(PACE).await;
            }
            if stop.is_cancelled() || changes.has_changed().unwrap_or(false) {
                break;
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            Ok(()) = changes.changed() => {
                let now = standings(&sessions);
                due.extend(take_over(&sessions, &known, &now));
                known = now;
            }
            () = tokio::time::sleep(EVERY.mul_f64(rand::random_range(0.7..=1.3))) => {
                for (extension, _) in all(&sessions) {
                    due.entry(extension).or_default();
                }
            }
        }
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

async fn look_after(sessions: &Sessions, extension: &str, cleared: bool) -> Result<(), StoreError> {
    let Ok(lane) = LaneId::try_new(sessions.app(), extension, Group::Medium) else { return Ok(()) };
    let standings = sessions.standings(extension);
    let goes_on =
        match sessions.store().lane(&lane).await?.parked.as_deref().map(|reason| reason.strip_prefix(CREDENTIAL)) {
            // It does, with another credential; the one that is good again is tried with the next renewal.
            None => cleared,
            Some(None) => false,
            Some(Some(cause)) => match cause.split_once('#') {
                Some((_, refused)) => {
                    cleared || standings.iter().any(|one| refused.split(',').all(|print| print != one.print))
                }
                None => cause == NO_CREDENTIAL && !standings.is_empty(),
            },
        };
    if goes_on {
        tracing::info!(extension.id = extension, "credential changed; the lane goes on");
        sessions.store().set_parked(&lane, None).await?;
    }
    Ok(())
}
