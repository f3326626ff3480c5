//! A person's word on messages of a real store.

use std::time::Duration;

use ringfleet_store::{
    Begin, ClaimRequest, Enqueued, ListFrom, NewMessage, OnUnknown, Outcome, PlanSeen, Priority, Private, Settlement,
    SqliteStore, WorkerId, sqlite::SqliteOptions,
};

use super::*;

async fn store() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("held.db"), SqliteOptions::default()).await.unwrap();
    (folder, store)
}

fn new(extension: usize) -> NewMessage {
    NewMessage {
        lane: format!("main/{extension}/medium").parse().unwrap(),
        key: None,
        from: Private::new("+15550100001"),
        to: Private::new(format!("+1555020{extension:04}")),
        text: Private::new("See you on Monday"),
        priority: Priority::Normal,
        on_unknown: OnUnknown::Hold,
        send_at: None,
        send_by: None,
    }
}

/// A message whose send ended so.
async fn message(store: &SqliteStore, outcome: Outcome) -> MessageId {
    let [Enqueued::Accepted(id)] = store.enqueue(&[new(101)]).await.unwrap()[..] else { panic!("it is new") };
    send(store, outcome).await;
    id
}

/// The send of the only message that waits ends so.
async fn send(store: &SqliteStore, outcome: Outcome) {
    let (worker, lease) = (WorkerId::incarnation("test"), Duration::from_secs(30));
    let claim = store.claim(ClaimRequest { worker: &worker, free_slots: 1, lease }).await.unwrap();
    let lease_of = claim.leases[0].reference();
    assert_eq!(store.begin_send(&[lease_of.into()], lease).await.unwrap(), [Begin::Go]);
    let settlement = Settlement { lease: lease_of, outcome, age: Duration::ZERO, seen: PlanSeen::default() };
    store.settle(&[settlement]).await.unwrap();
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
    for part in ["ends in 0101", &format!("held resend {id}"), &format!("{close} sent"), &format!("{close} cancelled")]
    {
        assert!(told.contains(part), "{part} is missing in:\n{told}");
    }
    // What the store lost together with the moment of its sending can't be sent again.
    (view.to, view.text) = (Private::default(), Private::default());
    let told = advice(&view, 0).join("\n");
    assert!(told.contains("content is gone") && !told.contains("held resend"), "{told}");
}

#[tokio::test]
async fn a_dead_message_of_which_an_attempt_may_have_arrived_is_looked_for_before_it_is_sent_again() {
    let (_folder, store) = store().await;
    let again = NewMessage { on_unknown: OnUnknown::Resend, ..new(101) };
    let [Enqueued::Accepted(id)] = store.enqueue(&[again]).await.unwrap()[..] else { panic!("it is new") };
    send(&store, unknown()).await;
    let retry = || Outcome::Retry { code: "MSG-290".into(), delay: Duration::ZERO, max_attempts: 3 };
    for state in [State::Ready, State::Dead] {
        send(&store, retry()).await;
        assert_eq!(store.get(&id).await.unwrap().unwrap().state, state);
    }
    let mut view = store.get(&id).await.unwrap().unwrap();
    let (told, from) = (advice(&view, 60_000).join("\n"), time(view.intent_at.map(|at| at - 60_000)));
    let look = format!("look among the texts that extension 101 sent from {from} until ");
    for part in
        [look.as_str(), "ends in 0101:", "it is there ", &format!("it is not there  ringfleet held resend {id}")]
    {
        assert!(told.contains(part), "{part} is missing in:\n{told}");
    }
    assert!(!told.contains("given up") && !told.contains("held close"), "a dead one can't be closed:\n{told}");
    view.state = State::Expired;
    let told = advice(&view, 0).join("\n");
    assert!(told.contains("look among") && told.contains("hand it in anew with a new key"), "{told}");
    // Whoever sends it again has looked.
    resolve(&store, &[id], Resolution::Resend).await.unwrap();
    send(&store, retry()).await;
    let told = advice(&store.get(&id).await.unwrap().unwrap(), 0).join("\n");
    assert!(told.contains("given up") && !told.contains("look among"), "{told}");
}

/// One message of each of so many lanes, given up.
async fn dead(store: &SqliteStore, lanes: usize) {
    let (worker, lease) = (WorkerId::incarnation("test"), Duration::from_secs(30));
    for first in (0..lanes).step_by(MAX_BATCH) {
        let batch: Vec<_> = (first..lanes.min(first + MAX_BATCH)).map(|n| new(1_000 + n)).collect();
        store.enqueue(&batch).await.unwrap();
        let mut left = batch.len();
        while left > 0 {
            let claim = store.claim(ClaimRequest { worker: &worker, free_slots: left as u32, lease }).await.unwrap();
            let leases: Vec<_> = claim.leases.iter().map(|lease| lease.reference()).collect();
            assert!(!leases.is_empty(), "{left} are left");
            let intents: Vec<_> = leases.iter().map(|lease| (*lease).into()).collect();
            store.begin_send(&intents, lease).await.unwrap();
            let outcome = || Outcome::Retry { code: "MSG-290".into(), delay: Duration::ZERO, max_attempts: 1 };
            let settle =
                |lease| Settlement { lease, outcome: outcome(), age: Duration::ZERO, seen: PlanSeen::default() };
            left -= leases.len();
            store.settle(&leases.into_iter().map(settle).collect::<Vec<_>>()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_list_that_is_not_whole_says_how_to_see_the_rest() {
    assert_eq!(more(3, 3), None);
    assert_eq!(more(50, 501).as_deref(), Some("… 50 of 501; --limit shows more"));
    let (_folder, store) = store().await;
    dead(&store, 501).await;
    let listed = store.list(&ListFrom::newest(State::Dead), 501).await.unwrap().messages.len();
    let told = more(listed, store.stats().await.unwrap().count(State::Dead));
    assert_eq!(told.as_deref(), Some("… 500 of 501; the older ones show when these are settled"));
}
