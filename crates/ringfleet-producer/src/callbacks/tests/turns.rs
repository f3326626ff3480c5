//! One process tells at a time, and another when that one can't.

use super::*;

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
