//! What fails again and again is told in smaller parts, unless it is the endpoint that fails.

use tokio::{io::AsyncReadExt, net::TcpListener};

use super::*;

/// How many messages each POST of so many looks holds, the longest pause between them.
async fn sizes(rig: &Rig, process: &Callbacks, looks: usize) -> Vec<usize> {
    for _ in 0..looks {
        process.look().await;
        rig.pass(70_000);
    }
    rig.came().iter().map(|came| came.messages().len()).collect()
}

async fn end_five(rig: &Rig) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(rig.end_one().await);
    }
    rig.pass(3_000);
    ids
}

#[tokio::test]
async fn what_is_refused_three_times_is_cut_in_halves_and_one_message_is_left_for_an_operator_to_pass_over() {
    let rig = Rig::start().await;
    let process = rig.process().await;
    let ids = end_five(&rig).await;
    assert_eq!(skip(&*rig.store, 0).await.unwrap(), None, "nothing fails");
    rig.answers(&[(413, ""); 11]);
    let came = sizes(&rig, &process, 11).await;
    assert_eq!(came, [5, 5, 5, 2, 2, 2, 1, 1, 1, 1, 1], "the last one alone is tried for ever");
    assert_eq!(crate::callbacks::standing(&*rig.store, 0).await.unwrap().failing.unwrap().messages, 1);
    let passed = skip(&*rig.store, 0).await.unwrap().unwrap();
    assert_eq!(passed.iter().map(MessageId::to_string).collect::<Vec<_>>(), ids[..1]);
    let failing = crate::callbacks::standing(&*rig.store, 0).await.unwrap().failing;
    assert_eq!((failing, skip(&*rig.store, 0).await.unwrap()), (None, None));
    // One more with each that is taken.
    assert_eq!(sizes(&rig, &process, 4).await, [1, 2, 1]);
}

#[tokio::test]
async fn what_makes_the_endpoint_end_the_connection_is_cut_in_halves_too() {
    let rig = Rig::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint_at(&format!("http://{}/", listener.local_addr().unwrap()));
    let receiver = rig.receiver.clone();
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"]}}") {
                assert_ne!(connection.read_buf(&mut request).await.unwrap(), 0, "half a request");
            }
            let (_, body) = std::str::from_utf8(&request).unwrap().split_once("\r\n\r\n").unwrap();
            receiver.came.lock().unwrap().push(Came { id: String::new(), body: body.to_owned() });
        }
    });
    let process = rig.process_of(endpoint).await;
    end_five(&rig).await;
    assert_eq!(sizes(&rig, &process, 11).await, [5, 5, 5, 2, 2, 2, 1, 1, 1, 1, 1]);
}

#[tokio::test]
async fn an_endpoint_that_is_asked_too_often_or_says_when_it_is_back_gets_no_smaller_ones() {
    let rig = Rig::start().await;
    let process = rig.process().await;
    end_five(&rig).await;
    rig.answers(&[(429, ""); 4]);
    rig.answers(&[(503, "30"); 4]);
    assert_eq!(sizes(&rig, &process, 8).await, [5; 8]);
    rig.answers(&[(503, ""); 3]);
    assert_eq!(sizes(&rig, &process, 4).await, [5, 5, 5, 2], "it may be too much for it");
}

#[tokio::test]
async fn what_is_put_off_ten_times_is_cut_too_so_that_one_message_can_be_passed_over() {
    let rig = Rig::start().await;
    let process = rig.process().await;
    let ids = end_five(&rig).await;
    rig.answers(&[(503, "30"); 21]);
    let came = sizes(&rig, &process, 21).await;
    assert_eq!(came, [[5; 10], [2; 10]].concat().into_iter().chain([1]).collect::<Vec<_>>());
    let passed = skip(&*rig.store, 0).await.unwrap().unwrap();
    assert_eq!(passed.iter().map(MessageId::to_string).collect::<Vec<_>>(), ids[..1]);
}
