//! Extensions that a person or a cause has stopped, and of whose messages none is due yet: they are not among those that wait.

use ringfleet_explain::Stopped;
use ringfleet_store::{LaneView, MAX_BATCH, Millis};
use serde_json::{Value, json};

use super::why;
use crate::{commands::evidence::time, output::say};

pub(super) fn as_json(stopped: &Stopped, now: Millis) -> Value {
    let row = |(view, due): &(LaneView, Millis)| {
        json!({
            "lane": view.lane.as_ref().map(|lane| lane.as_str()),
            "stands_because": why(view, now),
            "first_due_at": time(Some(*due)),
        })
    };
    stopped.lanes.iter().map(row).collect()
}

/// At most so many of them.
pub(super) fn say(stopped: &Stopped, most: usize, now: Millis) {
    for line in lines(stopped, most, now) {
        say!("{line}");
    }
}

fn lines(stopped: &Stopped, most: usize, now: Millis) -> Vec<String> {
    if stopped.lanes.is_empty() {
        let none = format!(
            "\nof the {MAX_BATCH} scheduled messages that are next none is of a lane that stands; no others were looked at"
        );
        return stopped.more.then_some(none).into_iter().collect();
    }
    let of_those = if stopped.more { format!(", of the {MAX_BATCH} messages that are next") } else { String::new() };
    let mut lines = vec![
        format!("\n{} lanes stand and have only messages that are not due yet{of_those}", stopped.lanes.len()),
        format!("{:<34} {:<24}  stands because", "lane", "first due at"),
    ];
    lines.extend(stopped.lanes.iter().take(most).map(|(view, due)| {
        let name = view.lane.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("{name:<34} {:<24}  {}", time(Some(*due)), why(view, now))
    }));
    lines
}

#[cfg(test)]
mod tests {
    use ringfleet_store::{
        LaneId, NewMessage, OnUnknown, Priority, Private, SqliteStore, Store, sqlite::SqliteOptions,
    };

    use super::*;

    fn lane(extension: &str) -> LaneId {
        format!("main/{extension}/medium").parse().unwrap()
    }

    fn new(extension: &str, send_at: Option<Millis>) -> NewMessage {
        NewMessage {
            lane: lane(extension),
            key: None,
            from: Private::new("+15550100001"),
            to: Private::new("+15550200001"),
            text: Private::new("See you on Monday"),
            priority: Priority::Normal,
            on_unknown: OnUnknown::Hold,
            send_at,
            send_by: None,
        }
    }

    #[tokio::test]
    async fn a_stopped_extension_is_told_though_none_of_its_messages_is_due_yet() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("status.db"), SqliteOptions::default()).await.unwrap();
        let now = store.now().await.unwrap();
        let due = now + 3_600_000;
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
            let told = lines(&Stopped::read(&store, &listed).await.unwrap(), 10, now);
            assert_eq!(told.len(), 4, "{told:?}");
            assert!(told[0].contains("2 lanes stand") && !told[0].contains("that are next"), "{told:?}");
            assert!(told[2].starts_with("main/101/medium ") && told[2].contains("paused by an operator"), "{told:?}");
            assert!(told[2].contains(&time(Some(due))) && told[2].contains("`ringfleet lane resume 101`"), "{told:?}");
            assert!(told[3].starts_with("main/102/medium ") && told[3].contains("parked: credential"), "{told:?}");
        }
        store.set_paused(&lane("101"), false).await.unwrap();
        let rows = as_json(&Stopped::read(&store, &[]).await.unwrap(), now);
        assert_eq!((rows.as_array().unwrap().len(), &rows[0]["lane"]), (1, &json!("main/102/medium")));
        store.set_parked(&lane("102"), None).await.unwrap();
        assert!(lines(&Stopped::read(&store, &[]).await.unwrap(), 10, now).is_empty());
    }

    #[tokio::test]
    async fn where_more_is_scheduled_than_was_looked_at_it_is_said_whether_a_lane_that_stands_was_found_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("status.db"), SqliteOptions::default()).await.unwrap();
        let now = store.now().await.unwrap();
        let due = now + 3_600_000;
        let next: Vec<_> = (0..MAX_BATCH).map(|_| new("101", Some(due))).collect();
        store.enqueue(&next).await.unwrap();
        store.enqueue(&[new("102", Some(due + 1_000))]).await.unwrap();
        store.set_paused(&lane("102"), true).await.unwrap();
        let told = async || lines(&Stopped::read(&store, &[]).await.unwrap(), 10, now);
        let none = told().await;
        assert!(none.len() == 1 && none[0].contains("500 scheduled messages that are next none is"), "{none:?}");
        store.set_paused(&lane("101"), true).await.unwrap();
        let one = told().await;
        assert!(one[0].contains("1 lanes stand") && one[0].contains("of the 500 messages that are next"), "{one:?}");
    }
}
