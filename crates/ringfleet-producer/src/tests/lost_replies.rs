//! What a failing store may cost: time, never a second text and never a false "not taken".

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use metrics_exporter_prometheus::PrometheusBuilder;
use ringfleet_store::{IdempotencyKey, MessageId};

use super::{
    codes, draft,
    fake::{FakeStore, Fault},
    now, producer, sqlite,
};
use crate::{Code, Draft, EnqueueError, Receipt, producer::result_word};

fn drafts(count: usize) -> Vec<Draft> {
    (0..count).map(|n| Draft { text: format!("message {n}"), ..draft() }).collect()
}

fn words(results: &[Result<Receipt, EnqueueError>]) -> Vec<&'static str> {
    results.iter().map(result_word).collect()
}

#[tokio::test(start_paused = true)]
async fn row_31_keyless_message_is_taken_once_when_the_reply_is_lost() {
    for fault in [Fault::LoseReply, Fault::Hang] {
        let store = FakeStore::with_faults([fault, Fault::Away]);
        let receipt = producer(store.clone()).enqueue(draft()).await.unwrap();
        assert!(!receipt.duplicate, "it is our own earlier attempt");
        assert_eq!((store.len(), store.calls.load(Ordering::SeqCst)), (1, 3));
        assert_eq!(store.keyless_seen.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn two_keyless_messages_of_one_content_are_two() {
    let (_folder, store) = sqlite().await;
    let producer = producer(store);
    let (first, second) = (producer.enqueue(draft()).await.unwrap(), producer.enqueue(draft()).await.unwrap());
    assert_ne!(first.id, second.id);
}

#[tokio::test]
async fn row_31_key_makes_a_repeat_a_duplicate_and_other_content_a_conflict() {
    let (_folder, store) = sqlite().await;
    let producer = producer(store);
    let keyed = Draft { key: Some("order-1".into()), ..draft() };
    let first = producer.enqueue(keyed.clone()).await.unwrap();
    let again = producer.enqueue(keyed.clone()).await.unwrap();
    assert_eq!(again, Receipt { id: first.id, duplicate: true });
    let error = producer.enqueue(Draft { text: "other".into(), ..keyed }).await.unwrap_err();
    let EnqueueError::Refused(refusals) = error else { panic!("{error:?}") };
    assert_eq!(codes(&refusals), [Code::KeyConflict]);
}

#[tokio::test(start_paused = true)]
async fn patience_ends_with_the_id_and_the_key_of_a_safe_repeat() {
    let store = FakeStore::with_faults([Fault::LoseReply; 100]);
    let error = producer(store.clone()).enqueue(draft()).await.unwrap_err();
    let EnqueueError::Unsettled { id, generated_key: Some(key), .. } = error else { panic!("{error:?}") };
    assert_eq!(id, MessageId::from_key(&IdempotencyKey::try_new(key.clone()).unwrap()));

    let store = FakeStore::with_faults([Fault::LoseReply]);
    let impatient = crate::Patience { total: Duration::ZERO, attempt: Duration::from_secs(1) };
    let producer = producer(store.clone()).with_patience(impatient);
    let Err(EnqueueError::Unsettled { generated_key, .. }) = producer.enqueue(draft()).await else { panic!() };
    producer.enqueue(Draft { key: generated_key, ..draft() }).await.unwrap();
    assert_eq!(store.len(), 1, "the repeat with the given key was recognised");
}

#[tokio::test]
async fn full_store_takes_nothing_and_says_so_without_retries() {
    let store = FakeStore::with_faults([Fault::Full]);
    let error = producer(store.clone()).enqueue_many(drafts(1_200)).await.unwrap_err();
    assert!(matches!(error, EnqueueError::Full), "{error:?}");
    assert_eq!((store.len(), store.calls.load(Ordering::SeqCst)), (0, 1));
}

#[tokio::test]
async fn full_shard_does_not_hide_what_the_other_one_took() {
    let store = FakeStore::with_faults([Fault::HalfFull]);
    let results = producer(store.clone()).enqueue_many(drafts(4)).await.unwrap();
    assert_eq!(words(&results), ["unknown", "unknown", "not-taken", "not-taken"]);
}

#[tokio::test(start_paused = true)]
async fn lost_reply_before_full_is_not_called_nothing_taken() {
    let store = FakeStore::with_faults([Fault::LoseReply, Fault::Full]);
    let error = producer(store.clone()).enqueue(draft()).await.unwrap_err();
    assert!(matches!(error, EnqueueError::Unsettled { .. }), "{error:?}");
}

#[tokio::test]
async fn failure_half_way_keeps_the_receipts_before_it() {
    let (_folder, sqlite) = sqlite().await;
    assert!(producer(sqlite).enqueue_many(drafts(1_001)).await.unwrap().iter().all(Result::is_ok));

    let store = Arc::new(FakeStore::default());
    let producer = producer(store.clone());
    let mut many = drafts(1_200);
    many[3].text.clear();
    store.fail_after(1, Fault::Refuse);
    let results = producer.enqueue_many(many).await.unwrap();
    assert!(results[..501].iter().enumerate().all(|(n, result)| result.is_ok() != (n == 3)), "one was refused");
    assert_eq!(
        (words(&results)[501], words(&results)[1_000], words(&results)[1_001]),
        ("unknown", "unknown", "not-taken")
    );
    assert_eq!((store.len(), store.largest_batch.load(Ordering::SeqCst)), (500, 500));
}

#[tokio::test]
async fn stream_answers_in_order_with_bounded_batches() {
    let store = FakeStore::slow(Duration::from_millis(1));
    let mut many = drafts(5_000);
    many[4_321].to = "nobody".into();
    let results: Vec<_> = producer(store.clone()).enqueue_stream(stream::iter(many), 3).collect().await;
    assert_eq!(results.len(), 5_000);
    let refused: Vec<usize> = results.iter().enumerate().filter(|(_, r)| r.is_err()).map(|(n, _)| n).collect();
    assert_eq!(refused, [4_321]);
    assert_eq!(store.len(), 4_999);
    assert!(store.largest_batch.load(Ordering::SeqCst) <= 500);
    assert_eq!(store.most_in_flight.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_repeat_whose_time_is_over_is_told_of_its_message() {
    let store = FakeStore::with_faults([]);
    let producer = producer(store);
    let send_by = Some("2026-01-31T12:00:01Z".to_owned());
    let draft = Draft { key: Some("visit 1".into()), send_by, ..draft() };
    let submit = async |now: Timestamp| producer.submit(vec![producer.judge(&draft, now)]).await.remove(0);
    assert!(submit(now()).await.is_ok());
    let late = submit(now() + jiff::SignedDuration::from_secs(2)).await;
    let Err(EnqueueError::Refused(refusals)) = late else { panic!("{late:?}") };
    assert_eq!(codes(&refusals), [Code::SendByPast, Code::KeyTaken]);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_repeats_whose_time_is_over_wait_no_longer_than_one_for_a_store_that_tells_nothing() {
    // One that never answers, and one that answers too slowly for all of them.
    for (looks_take, most_asked) in [(Duration::from_secs(1_000), 16), (Duration::from_millis(900), 4 * 16)] {
        let store = FakeStore::slow_to_tell(looks_take);
        let producer = producer(store.clone());
        let late =
            |n| Draft { key: Some(format!("visit {n}")), send_by: Some("2026-01-31T11:59:59Z".into()), ..draft() };
        let many = (0..1_000).map(late).chain([draft()]);
        let checked = many.map(|draft| producer.judge(&draft, now())).collect();
        let began = tokio::time::Instant::now();
        let results = producer.submit(checked).await;
        assert!(began.elapsed() <= Duration::from_secs(4), "{:?}", began.elapsed());
        let words = words(&results);
        assert_eq!((words[999], words[1_000]), ("unknown", "accepted"));
        assert_eq!(store.at_first_look.get(), Some(&1), "the good one had to wait");
        assert!(store.looks.load(Ordering::SeqCst) <= most_asked);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_failed_to_take_anything_is_not_asked_about_repeats_too() {
    let store = FakeStore::with_faults([Fault::Away; 100]);
    let producer = producer(store.clone());
    let late = Draft { key: Some("visit 1".into()), send_by: Some("2026-01-31T11:59:59Z".into()), ..draft() };
    let checked = [late, draft()].iter().map(|draft| producer.judge(draft, now())).collect();
    assert_eq!(words(&producer.submit(checked).await), ["unknown", "unknown"]);
    assert_eq!(store.looks.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_not_counted_as_full() {
    let counted = async |fault: Fault| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _metrics = metrics::set_default_local_recorder(&recorder);
        // One more than a batch, so that the last one is not tried.
        let _ = producer(FakeStore::with_faults([fault; 100])).enqueue_many(drafts(501)).await;
        let page = recorder.handle().render();
        ["full", "not-taken", "unknown"].map(|word| {
            let series = format!("ringfleet_enqueued_total{{result=\"{word}\"}} ");
            page.lines().find_map(|line| line.strip_prefix(&series)?.parse::<u32>().ok()).unwrap_or(0)
        })
    };
    assert_eq!(counted(Fault::Away).await, [0, 1, 500]);
    assert_eq!(counted(Fault::Full).await, [501, 0, 0]);
}
