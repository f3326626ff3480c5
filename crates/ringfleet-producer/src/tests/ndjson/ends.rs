//! How calls end that do not come to the end of their body: what was taken is answered all the same.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_hands_no_more_in_and_answers_what_was() {
    let drips = |every: u64| {
        stream::iter(0..).then(move |n| async move {
            sleep(Duration::from_millis(every)).await;
            Ok::<_, Infallible>(line(n))
        })
    };
    let stops = stream::iter(0..700).map(|n| Ok::<_, Infallible>(line(n))).chain(stream::pending());
    for body in [Body::from_stream(stops), Body::from_stream(drips(10))] {
        let (store, stop) = (FakeStore::with_faults([]), CancellationToken::new());
        let (api, began) = (api(&store, &stop), Instant::now());
        let ends = async {
            sleep(Duration::from_secs(7)).await;
            stop.cancel();
        };
        let (response, ()) = tokio::join!(hand_to(&api, body), ends);
        let told = told(response).await;
        assert_eq!(began.elapsed().as_secs(), 7 + 5, "worker.drain is 20 s");
        let (last, answers) = told.split_last().unwrap();
        assert_eq!((statuses(answers), store.len()), (vec!["accepted"; 500], 500));
        assert_eq!((&last["type"], &last["line"]), (&json!("urn:ringfleet:problem:stopping"), &json!(501)), "{last}");

        // One that comes then, and of which nothing is taken.
        let response = hand_to(&api, parts(1).0).await;
        assert_eq!(response.headers()["retry-after"], "5");
        let (status, told) = problem(response).await;
        assert_eq!((status.as_u16(), &told["type"]), (503, &json!("urn:ringfleet:problem:stopping")));
        assert_eq!(store.len(), 500);
    }
}
