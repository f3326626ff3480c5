//! One process tells at a time, and another when that one can't.

use std::{sync::atomic::AtomicUsize, time::Duration};

use tracing::{Dispatch, Event, Level, Metadata, Subscriber, span};

use super::*;
use crate::tests::fake::FakeStore;

#[tokio::test]
async fn one_process_tells_at_a_time_and_another_goes_on_when_its_turn_is_over_or_given_back() {
    let rig = Rig::start().await;
    let (one, other) = (rig.process().await, rig.process().await);
    rig.end_one().await;
    rig.pass(3_000);
    one.look().await;
    assert_eq!(rig.came().len(), 1);
    // The one is gone.
    rig.end_one().await;
    rig.pass(14_990);
    other.look().await;
    assert_eq!(rig.came().len(), 0);
    // More than its POST took.
    rig.pass(5_000);
    other.look().await;
    assert_eq!(rig.came().len(), 1);
    rig.end_one().await;
    rig.pass(3_000);
    one.look().await;
    assert_eq!(rig.came().len(), 0);
    other.release(&record::key_of(&*rig.store, 0)).await.unwrap();
    one.look().await;
    assert_eq!(rig.came().len(), 1);
}

#[tokio::test]
async fn a_process_that_can_not_reach_the_endpoint_leaves_the_turn_to_one_that_can() {
    let rig = Rig::start().await;
    let dead = rig.process_of(endpoint_at("http://127.0.0.1:9/")).await;
    let well = rig.process().await;
    rig.end_one().await;
    rig.pass(3_000);
    dead.look().await;
    for _ in 0..12 {
        let Some(failing) = crate::callbacks::standing(&*rig.store, 0).await.unwrap().failing else { break };
        rig.hand.store(failing.again_at, Ordering::SeqCst);
        dead.look().await;
        well.look().await;
        rig.pass(999);
        well.look().await;
    }
    assert_eq!(rig.came().len(), 1);
}

#[tokio::test]
async fn a_process_that_could_not_reach_the_endpoint_lets_others_begin_after_a_quiet_time_too() {
    let rig = Rig::start().await;
    let dead = rig.process_of(endpoint_at("http://127.0.0.1:9/")).await;
    let well = rig.process().await;
    let failing = async || crate::callbacks::standing(&*rig.store, 0).await.unwrap().failing;
    rig.end_one().await;
    rig.pass(3_000);
    dead.look().await;
    rig.pass(70_000);
    well.look().await;
    assert_eq!((rig.came().len(), failing().await), (1, None));
    // The turn is over.
    rig.pass(16_000);
    rig.end_one().await;
    rig.pass(3_000);
    dead.look().await;
    assert_eq!(failing().await, None);
    // But not for ever, as it may be the only one by now.
    rig.pass(2_000);
    dead.look().await;
    assert_eq!(failing().await.unwrap().tries, 1);
}

#[tokio::test]
async fn a_process_that_nobody_follows_tries_again_itself_soon_after() {
    let rig = Rig::start().await;
    let dead = rig.process_of(endpoint_at("http://127.0.0.1:9/")).await;
    rig.end_one().await;
    rig.pass(3_000);
    dead.look().await;
    let failing = async || crate::callbacks::standing(&*rig.store, 0).await.unwrap().failing.unwrap();
    for tries in 1..6 {
        let again_at = failing().await.again_at + if tries < 3 { 0 } else { 2_000 };
        for (at, tried) in [(again_at - 1, tries), (again_at, tries + 1)] {
            rig.hand.store(at, Ordering::SeqCst);
            dead.look().await;
            assert_eq!(failing().await.tries, tried);
        }
    }
}

#[tokio::test]
async fn a_process_that_stood_still_before_a_callback_does_not_send_it_in_what_may_be_anothers_turn() {
    let rig = Rig::start().await;
    let process = rig.process().await;
    rig.end_one().await;
    rig.pass(3_000);
    let key = record::key_of(&*rig.store, 0);
    let (now, before) = (rig.hand.load(Ordering::SeqCst), record::read(&*rig.store, &key).await.unwrap());
    for (stood_still, came) in [(60, 0), (4, 0), (2, 1)] {
        let (rev, mut record) = before.clone().unwrap();
        // As it was just taken.
        record.until = now + 15_000;
        let asked = Instant::now().checked_sub(Duration::from_secs(stood_still)).unwrap();
        let read = rig.store.changes(0, Some(&record.cursor), 100).await.unwrap();
        process.tell(0, &key, Turn { rev, record }, read, asked).await.unwrap();
        assert_eq!(rig.came().len(), came, "{stood_still} s");
    }
}

#[tokio::test]
async fn a_turn_that_a_slow_store_has_used_up_is_prolonged_before_the_callback() {
    let rig = Rig::start().await;
    rig.process().await;
    rig.end_one().await;
    rig.pass(3_000);
    let slow = FakeStore::slow_to_write(rig.store.clone(), Duration::from_millis(3_100));
    let process = Callbacks::new(slow, rig.endpoint.clone());
    process.look().await;
    assert_eq!(rig.came().len(), 0);
    // The store's clock stands still, so what is left of the turn is enough for it.
    process.look().await;
    assert_eq!(rig.came().len(), 1);
}

#[tokio::test]
async fn a_store_that_is_too_slow_for_any_callback_is_warned_of_once_and_left_in_peace_for_a_second() {
    let rig = Rig::start().await;
    rig.process().await;
    rig.end_one().await;
    rig.pass(3_000);
    let takes = Duration::from_millis(3_100);
    let process = Callbacks::new(FakeStore::slow_to_write(rig.store.clone(), takes), rig.endpoint.clone());
    let key = record::key_of(&*rig.store, 0);
    let warnings = Arc::new(AtomicUsize::new(0));
    // With one reader of logs alone, another thread that comes to the same line first would settle that nobody reads it.
    let _another = Dispatch::new(Warnings(Arc::default()));
    let _log = tracing::subscriber::set_default(Warnings(warnings.clone()));
    for _ in 0..3 {
        assert_eq!(process.step(0, &key).await.unwrap(), Duration::from_secs(1));
        // The store's clock has gone on while it wrote.
        rig.pass(takes.as_millis() as i64);
    }
    assert_eq!((rig.came().len(), warnings.load(Ordering::Relaxed)), (0, 1));
}

/// Counts warnings.
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
