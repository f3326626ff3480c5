//! What is meant for every shard while one does not answer: it reaches the others, and that one is named.

use std::collections::BTreeMap;

use ringfleet_store::{
    Cancelled, DocChanges, DocCursor, DocKind, Expect, Gate, OptOut, Put, Resolution, State, opt_out::ANY_NUMBER,
    redis::RedisOptions,
};
use ringfleet_testkit::{RedisCluster, eventually};

use super::{shards::on, *};

const SILENT: &str = "{life:0}";
const KIND: DocKind = DocKind::Credential;

fn three_shards(cluster: &RedisCluster) -> RedisOptions {
    on(cluster, PREFIX.to_owned())
}

/// Its words, and those of what led to it.
fn words(error: &StoreError) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

#[tokio::test]
async fn a_stop_of_a_new_process_and_an_opt_out_from_all_reach_the_shards_that_answer() {
    let cluster = RedisCluster::start();
    let store = RedisStore::connect(three_shards(&cluster)).await.unwrap();
    cluster.begin_to_move(SILENT);
    let (from, to) = (Private::new("+16505550100"), Private::new("+16505550101"));
    let out = OptOut { from: Private::new(ANY_NUMBER), to: to.clone(), out: true };
    let told = store.set_opt_outs(None, &[out]).await.unwrap_err();
    assert!(told.is_transient() && words(&told).contains("shard 0 of 3"), "{}", words(&told));
    let mut asked = BTreeMap::<_, u32>::new();
    for extension in 0..24 {
        let suppressed = store.opted_out(&extension.to_string(), &from, &to).await.ok();
        *asked.entry(suppressed).or_default() += 1;
    }
    assert!(asked.contains_key(&None) && asked.contains_key(&Some(true)), "{asked:?}");
    assert!(!asked.contains_key(&Some(false)), "a shard that answers has not heard of it: {asked:?}");

    let stop = Gate::Stopped { reason: "wrong text".into() };
    assert!(RedisStore::connect(three_shards(&cluster)).await.is_err(), "any other process waits for all shards");
    let stopper = RedisStore::connect_to_stop(three_shards(&cluster)).await.unwrap();
    let told = stopper.set_gate(&stop).await.unwrap_err();
    assert!(told.is_transient() && words(&told).contains("shard 0 of 3"), "{}", words(&told));
    for shard in [1, 2] {
        let tag = format!("{{{PREFIX}:{shard}}}");
        let stopped: Option<String> = ask(&cluster.url_of(&tag), &["HGET", &format!("{tag}:gate"), "stop"]);
        assert_eq!(stopped.as_deref(), Some("1"), "shard {shard}");
    }

    cluster.leave_in_place(SILENT);
    stopper.set_gate(&stop).await.unwrap();
    assert_eq!(store.gate().await.unwrap(), stop);
}

#[tokio::test]
async fn a_stop_begins_new_data_and_refuses_data_of_other_shards_like_every_process() {
    let cluster = RedisCluster::start();
    let stop = Gate::Stopped { reason: "restored backup".into() };
    RedisStore::connect_to_stop(three_shards(&cluster)).await.unwrap().set_gate(&stop).await.unwrap();
    assert_eq!(RedisStore::connect(three_shards(&cluster)).await.unwrap().gate().await.unwrap(), stop);
    let others = RedisStore::connect_to_stop(RedisOptions { shards: 2, ..three_shards(&cluster) }).await;
    assert!(matches!(others, Err(StoreError::Unfit { .. })));
}

#[tokio::test]
async fn documents_are_followed_on_the_shards_that_answer_and_the_others_later() {
    let cluster = RedisCluster::start();
    let store = RedisStore::connect(three_shards(&cluster)).await.unwrap();
    let follow = async |cursor: &mut DocCursor| -> Result<DocChanges, StoreError> {
        let changes = store.docs_since(KIND, cursor, 500).await?;
        cursor.clone_from(&changes.cursor);
        Ok(changes)
    };
    let mut cursor = DocCursor::default();
    assert!(follow(&mut cursor).await.unwrap().changed.is_empty());
    let put = async |key: &str| store.doc_put(KIND, key, Expect::Anything, Some(b"x"), None).await;
    // Told before it falls silent, read afterwards.
    for key in 0..12 {
        assert!(matches!(put(&format!("before{key}")).await.unwrap(), Put::Stored(_)));
    }
    cluster.begin_to_move(SILENT);
    let mut on_others = 0;
    for key in 0..12 {
        on_others += usize::from(put(&format!("after{key}")).await.is_ok());
    }
    assert!((1..12).contains(&on_others));
    let read = follow(&mut cursor).await.unwrap();
    let keys =
        |changes: &DocChanges, word: &str| changes.changed.iter().filter(|doc| doc.key.starts_with(word)).count();
    assert_eq!(keys(&read, "after"), on_others);
    let seen_before = keys(&read, "before");
    assert!((1..12).contains(&seen_before) && !read.more);
    let again = follow(&mut cursor).await.unwrap();
    assert!(again.changed.is_empty() && !again.more, "told once");
    let first = store.docs_since(KIND, &DocCursor::default(), 500).await;
    assert!(first.is_err_and(|error| error.is_transient()), "a list in part passes for the whole");

    cluster.leave_in_place(SILENT);
    watch(&store, &WorkerId::incarnation("w")).await;
    let late = follow(&mut cursor).await.unwrap();
    assert_eq!(keys(&late, "before"), 12 - seen_before);
    assert_eq!(late.changed.len(), 12 - seen_before);
}

#[tokio::test]
async fn a_message_of_a_shard_that_answers_is_found_and_no_other_passes_for_missing() {
    let cluster = RedisCluster::start();
    let store = RedisStore::connect(three_shards(&cluster)).await.unwrap();
    let mut ids = Vec::new();
    for n in 0..12 {
        let lane = LaneId::try_new("app", &n.to_string(), Group::Medium).unwrap();
        ids.extend(put(&store, &lane, &[&n.to_string()]).await);
    }
    cluster.begin_to_move(SILENT);
    let away = |error: StoreError| error.is_transient();
    let mut on_silent = Vec::new();
    for id in ids {
        if let Ok(found) = store.get(&id).await {
            assert!(found.is_some() && store.explain(&id).await.unwrap().is_some());
            let resolved = store.resolve(&id, Resolution::Sent).await.unwrap();
            assert_eq!(resolved, Cancelled::TooLate(State::Ready), "it is not held");
            assert_eq!(store.cancel(&id).await.unwrap(), Cancelled::Done);
            assert_eq!(store.get(&id).await.unwrap().unwrap().state, State::Cancelled);
        } else {
            on_silent.push(id);
        }
    }
    assert!((1..12).contains(&on_silent.len()), "{} are not found", on_silent.len());
    let nobody = MessageId::from_bytes([7; 16]);
    for id in on_silent.iter().chain([&nobody]) {
        assert!(store.get(id).await.is_err_and(away) && store.explain(id).await.is_err_and(away));
        assert!(store.resolve(id, Resolution::Sent).await.is_err_and(away));
        assert!(store.cancel(id).await.is_err_and(away));
    }

    cluster.leave_in_place(SILENT);
    for id in &on_silent {
        assert_eq!(store.cancel(id).await.unwrap(), Cancelled::Done);
    }
    assert_eq!(store.get(&nobody).await.unwrap(), None);
    assert_eq!(store.cancel(&nobody).await.unwrap(), Cancelled::Missing);
}

#[tokio::test]
async fn a_worker_has_not_gone_before_every_shard_has_heard_it() {
    let cluster = RedisCluster::start();
    let (store, worker) = (RedisStore::connect(three_shards(&cluster)).await.unwrap(), WorkerId::incarnation("w"));
    let known = watch(&store, &worker).await;
    cluster.begin_to_move(SILENT);
    assert!(store.leave(&worker, known).await.unwrap_err().is_transient());
    cluster.leave_in_place(SILENT);
    eventually(PATIENCE, async || store.leave(&worker, known).await.is_ok()).await;
}
