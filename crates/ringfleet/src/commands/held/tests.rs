//! A person's word on messages of a real store.

use std::time::Duration;

use ringfleet_store::{
    Begin, ClaimRequest, Enqueued, NewMessage, OnUnknown, Outcome, PlanSeen, Priority, Private, Settlement,
    SqliteStore, WorkerId, sqlite::SqliteOptions,
};

use super::*;

async fn store() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("held.db"), SqliteOptions::default()).await.unwrap();
    (folder, store)
}

/// A message whose send ended so.
async fn message(store: &SqliteStore, outcome: Outcome) -> MessageId {
    let message = NewMessage {
        lane: "main/101/medium".parse().unwrap(),
        key: None,
        from: Private::new("+15550100001"),
        to: Private::new("+15550200001"),
        text: Private::new("See you on Monday"),
        priority: Priority::Normal,
        on_unknown: OnUnknown::Hold,
        send_at: None,
        send_by: None,
    };
    let [Enqueued::Accepted(id)] = store.enqueue(&[message]).await.unwrap()[..] else { panic!("it is new") };
    let (worker, lease) = (WorkerId::incarnation("test"), Duration::from_secs(30));
    let claim = store.claim(ClaimRequest { worker: &worker, free_slots: 1, lease }).await.unwrap();
    let lease_of = claim.leases[0].reference();
    assert_eq!(store.begin_send(&[lease_of.into()], lease).await.unwrap(), [Begin::Go]);
    let settlement = Settlement { lease: lease_of, outcome, age: Duration::ZERO, seen: PlanSeen::default() };
    store.settle(&[settlement]).await.unwrap();
    id
}

fn unknown() -> Outcome {
    Outcome::Unknown { reason: "answer lost (connection cut)".into() }
}

fn shown(code: ExitCode) -> String {
    format!("{code:?}")
}

async fn state(store: &SqliteStore, id: &MessageId) -> State {
    store.get(id).await.unwrap().unwrap().state
}

#[tokio::test]
async fn several_are_answered_one_by_one_and_the_code_says_all_some_or_none() {
    let (_folder, store) = store().await;
    let (first, second) = (message(&store, unknown()).await, message(&store, unknown()).await);
    let code = resolve(&store, &[first, MessageId::random(), first], Resolution::Sent).await.unwrap();
    assert_eq!(shown(code), shown(ExitCode::from(exit::PARTLY)));
    assert_eq!((state(&store, &first).await, state(&store, &second).await), (State::Sent, State::Held));
    let code = resolve(&store, &[first], Resolution::Cancelled).await.unwrap();
    assert_eq!(shown(code), shown(ExitCode::from(exit::FAILED)), "it is no longer held");
    let code = resolve(&store, &[second, second], Resolution::Cancelled).await.unwrap();
    assert_eq!(shown(code), shown(ExitCode::SUCCESS), "a word said twice is one word");
    assert_eq!(state(&store, &second).await, State::Cancelled);
}

#[tokio::test]
async fn resend_counts_an_attempt_and_revives_the_dead_too() {
    let (_folder, store) = store().await;
    let held = message(&store, unknown()).await;
    let retry = Outcome::Retry { code: "MSG-290".into(), delay: Duration::ZERO, max_attempts: 1 };
    let dead = message(&store, retry).await;
    assert_eq!(state(&store, &dead).await, State::Dead);
    let code = resolve(&store, &[held, dead], Resolution::Resend).await.unwrap();
    assert_eq!(shown(code), shown(ExitCode::SUCCESS));
    for (id, attempts) in [(held, 1), (dead, 2)] {
        let view = store.get(&id).await.unwrap().unwrap();
        assert_eq!((view.state, view.attempt), (State::Ready, attempts));
    }
}

#[tokio::test]
async fn advice_names_a_command_for_each_finding() {
    let (_folder, store) = store().await;
    let id = message(&store, unknown()).await;
    let mut view = store.get(&id).await.unwrap().unwrap();
    let told = advice(&view, 0).join("\n");
    let close = format!("held close {id} --as");
    for part in ["ends in 0001", &format!("held resend {id}"), &format!("{close} sent"), &format!("{close} cancelled")]
    {
        assert!(told.contains(part), "{part} is missing in:\n{told}");
    }
    // What the store lost together with the moment of its sending can't be sent again.
    (view.to, view.text) = (Private::default(), Private::default());
    let told = advice(&view, 0).join("\n");
    assert!(told.contains("content is gone") && !told.contains("held resend"), "{told}");
}

#[test]
fn a_list_that_is_not_whole_says_how_to_see_the_rest() {
    assert_eq!(more(3, 3), None);
    assert_eq!(more(50, 501).as_deref(), Some("… 50 of 501; --limit shows more"));
    assert_eq!(more(500, 501).as_deref(), Some("… 500 of 501; the older ones show when these are settled"));
}
