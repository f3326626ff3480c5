//! Extensions that a person or a cause has stopped, and of whose messages none is due yet: they are not among those that wait.

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use ringfleet_store::{LaneId, LaneView, MAX_BATCH, Millis, Store, StoreError};
use serde_json::{Value, json};

use super::why;
use crate::{commands::evidence::time, output::say};

/// Further ahead than anything is scheduled.
const AHEAD: Duration = Duration::from_secs(100 * 365 * 86_400);
/// Lanes that are looked at at once.
const AT_ONCE: usize = 32;

#[derive(Default)]
pub(super) struct Stopped {
    /// With the time at which the first of its messages becomes due, the soonest first.
    lanes: Vec<(LaneView, Millis)>,
    /// There are more scheduled messages than were looked at.
    more: bool,
}

/// Of the lanes of those messages that become due first, so that this takes no longer with more of them. No list names the lanes
/// that stand.
pub(super) async fn read(store: &dyn Store, listed: &[LaneView]) -> Result<Stopped, StoreError> {
    let soon = store.due_soon(AHEAD, 0).await?;
    let listed: BTreeSet<&LaneId> = listed.iter().filter_map(|view| view.lane.as_ref()).collect();
    let others = soon.lanes.into_iter().filter(|(lane, _)| !listed.contains(lane));
    let look = |(lane, due): (LaneId, Millis)| async move { Ok::<_, StoreError>((store.lane(&lane).await?, due)) };
    let looks: Vec<_> = others.map(look).collect();
    let mut lanes: Vec<(LaneView, Millis)> = stream::iter(looks).buffered(AT_ONCE).try_collect().await?;
    lanes.retain(|(view, _)| (view.paused || view.parked.is_some()) && view.oldest_due.is_none());
    Ok(Stopped { lanes, more: soon.more })
}

impl Stopped {
    pub(super) fn as_json(&self, now: Millis) -> Value {
        let row = |(view, due): &(LaneView, Millis)| {
            json!({
                "lane": view.lane.as_ref().map(|lane| lane.as_str()),
                "stands_because": why(view, now),
                "first_due_at": time(Some(*due)),
            })
        };
        self.lanes.iter().map(row).collect()
    }

    /// At most so many of them.
    pub(super) fn say(&self, most: usize, now: Millis) {
        for line in self.lines(most, now) {
            say!("{line}");
        }
    }

    fn lines(&self, most: usize, now: Millis) -> Vec<String> {
        if self.lanes.is_empty() {
            return Vec::new();
        }
        let of_those = if self.more { format!(", of the {MAX_BATCH} messages that are next") } else { String::new() };
        let mut lines = vec![
            format!("\n{} lanes stand and have only messages that are not due yet{of_those}", self.lanes.len()),
            format!("{:<34} {:<24}  stands because", "lane", "first due at"),
        ];
        lines.extend(self.lanes.iter().take(most).map(|(view, due)| {
            let name = view.lane.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{name:<34} {:<24}  {}", time(Some(*due)), why(view, now))
        }));
        lines
    }
}

#[cfg(test)]
mod tests {
    use ringfleet_store::{NewMessage, OnUnknown, Priority, Private, SqliteStore, sqlite::SqliteOptions};

    use super::*;

    fn lane(extension: &str) -> LaneId {
        format!("main/{extension}/medium").parse().unwrap()
    }

    #[tokio::test]
    async fn a_stopped_extension_is_told_though_none_of_its_messages_is_due_yet() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("status.db"), SqliteOptions::default()).await.unwrap();
        let now = store.now().await.unwrap();
        let due = now + 3_600_000;
        let new = |extension: &str, send_at| NewMessage {
            lane: lane(extension),
            key: None,
            from: Private::new("+15550100001"),
            to: Private::new("+15550200001"),
            text: Private::new("See you on Monday"),
            priority: Priority::Normal,
            on_unknown: OnUnknown::Hold,
            send_at,
            send_by: None,
        };
        let later = Some(due + 1_000);
        let batch = [
            new("101", later),
            new("101", Some(due)),
            new("102", later),
            // Those that go on, those that are listed anyway, and those without messages.
            new("103", later),
            new("104", later),
            new("104", None),
        ];
        store.enqueue(&batch).await.unwrap();
        for extension in ["101", "104", "105"] {
            store.set_paused(&lane(extension), true).await.unwrap();
        }
        store.set_parked(&lane("102"), Some("credential OAU-211")).await.unwrap();
        for listed in [store.lanes(10).await.unwrap(), Vec::new()] {
            let told = read(&store, &listed).await.unwrap().lines(10, now);
            assert_eq!(told.len(), 4, "{told:?}");
            assert!(told[0].contains("2 lanes stand") && !told[0].contains("that are next"), "{told:?}");
            assert!(told[2].starts_with("main/101/medium ") && told[2].contains("paused by an operator"), "{told:?}");
            assert!(told[2].contains(&time(Some(due))) && told[2].contains("`ringfleet lane resume 101`"), "{told:?}");
            assert!(told[3].starts_with("main/102/medium ") && told[3].contains("parked: credential"), "{told:?}");
        }
        store.set_paused(&lane("101"), false).await.unwrap();
        let stopped = read(&store, &[]).await.unwrap();
        let rows = stopped.as_json(now);
        assert_eq!((rows.as_array().unwrap().len(), &rows[0]["lane"]), (1, &json!("main/102/medium")));
        store.set_parked(&lane("102"), None).await.unwrap();
        assert!(read(&store, &[]).await.unwrap().lines(10, now).is_empty());
    }
}
