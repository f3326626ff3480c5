//! The provider tells when something came in; when it no longer does, the poller goes on.

use std::time::{Duration, Instant};

use ringfleet_simulator::{Endpoint, LedgerLine, WebhookEvent};
use ringfleet_testkit::{Port, eventually};
use serde_json::json;

use crate::{
    delivery::{ledger, requests},
    inbound::listed,
    rig::{Ends, Rig, RigOptions, http},
    wishes::{CUSTOMER, at_the_provider, opted_out, says},
};

const SOON: Duration = Duration::from_secs(60);

fn options() -> RigOptions {
    RigOptions::new(2, Duration::from_secs(2)).quick()
}

/// A worker that hears webhooks and polls so often.
fn start_listener(rig: &mut Rig, port: &Port, poll: &str) {
    let listen = port.address();
    rig.start_worker_with(&[("RINGFLEET__INBOUND__LISTEN", &listen), ("RINGFLEET__INBOUND__POLL", poll)]);
}

/// Both extensions are, and the worker has noted it.
async fn until_subscribed(rig: &mut Rig) {
    let noted = async || rig.counted("ringfleet_subscriptions_total{result=\"made\"}").await == 2;
    eventually(SOON, noted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_heard_through_the_webhook_long_before_the_next_poll() {
    let mut rig = Rig::start(options()).await;
    let port = Port::hold();
    start_listener(&mut rig, &port, "1h");
    until_subscribed(&mut rig).await;
    let polled = requests(&rig, Endpoint::MessageSync).await;
    says(&rig, "STOP").await;
    eventually(SOON, async || opted_out(&rig, 0).await).await;
    assert!(requests(&rig, Endpoint::MessageSync).await > polled);
    says(&rig, "START").await;
    eventually(SOON, async || !opted_out(&rig, 0).await).await;
    assert!(rig.simulator.report().webhooks_delivered >= 2);

    // A stranger's event is refused and leads to nothing; neither does one of an extension that is not ours.
    let polled = requests(&rig, Endpoint::MessageSync).await;
    let hook = |extension: &str| format!("http://{}/inbound/{extension}", port.address());
    let body = json!({"event": "/restapi/v1.0/account/~/extension/~/message-store", "body": {"changes": []}});
    let ours = rig.accounts[0].extension_id.clone();
    for (extension, token, status) in
        [(ours.as_str(), Some("guessed"), 401), (ours.as_str(), None, 401), ("4711", Some("guessed"), 401)]
    {
        let mut request = http().post(hook(extension)).json(&body);
        if let Some(token) = token {
            request = request.header("Verification-Token", token);
        }
        assert_eq!(request.send().await.unwrap().status(), status, "{extension} {token:?}");
    }
    let large = http().post(hook(&ours)).body(vec![b'x'; 100_000]).send().await.unwrap().status();
    assert_eq!(large, 413);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(requests(&rig, Endpoint::MessageSync).await, polled);
    rig.keep_secret([CUSTOMER]);
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missed_call_and_a_voicemail_are_listed_long_before_the_next_poll() {
    let mut options = options();
    options.simulator.calls_per_extension = 0;
    let mut rig = Rig::start(options).await;
    let port = Port::hold();
    rig.start_worker_with(&[
        ("RINGFLEET__INBOUND__LISTEN", &port.address()),
        ("RINGFLEET__INBOUND__POLL", "1h"),
        ("RINGFLEET__INBOUND__CALLS", "true"),
    ]);
    until_subscribed(&mut rig).await;
    at_the_provider(&rig, 0, "missed-call", json!({"from": CUSTOMER})).await;
    at_the_provider(&rig, 1, "missed-call", json!({"from": CUSTOMER, "voicemail_seconds": 7})).await;
    let kinds = |rig: &Rig| {
        let mut kinds: Vec<_> = listed(rig, &[]).iter().map(|row| row["kind"].as_str().unwrap().to_owned()).collect();
        kinds.sort();
        kinds
    };
    eventually(SOON, async || kinds(&rig) == ["missed-call", "voicemail"]).await;
    assert_eq!(requests(&rig, Endpoint::CallLog).await, 1, "read only where a call was missed");
    rig.keep_secret([CUSTOMER]);
    rig.finish(Ends::all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_webhooks_die_the_poller_goes_on_and_a_blacklisted_subscription_is_made_anew() {
    let mut options = options();
    options.simulator.webhook_failures = 1;
    let mut rig = Rig::start(options).await;
    let port = Port::hold();
    start_listener(&mut rig, &port, "3s");
    until_subscribed(&mut rig).await;
    rig.kill_worker(0);
    // Nobody answers the webhook: the subscription is given up. Another worker, which hears none, hears the STOP all the same.
    says(&rig, "STOP").await;
    eventually(SOON, async || rig.simulator.report().webhooks_failed >= 1).await;
    rig.start_worker_with(&[("RINGFLEET__INBOUND__POLL", "3s")]);
    eventually(SOON, async || opted_out(&rig, 0).await).await;
    rig.kill_worker(0);

    // Somebody answers again: it is subscribed anew, and told at once.
    let before = rig.simulator.report().webhooks_delivered;
    start_listener(&mut rig, &port, "3s");
    let said = Instant::now();
    while rig.simulator.report().webhooks_delivered == before {
        assert!(said.elapsed() < 2 * SOON, "no webhook comes any more");
        says(&rig, "START").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    eventually(SOON, async || !opted_out(&rig, 0).await).await;
    assert!(rig.logs().contains("it is subscribed anew"));
    rig.finish(Ends::all()).await;
}

/// The subscriptions that told of something, each once.
async fn told_by(rig: &Rig) -> Vec<String> {
    let told = |line| match line {
        LedgerLine::Webhook(line) if line.delivered && line.event == WebhookEvent::MessageStore => {
            Some(line.subscription)
        }
        _ => None,
    };
    let mut subscriptions: Vec<String> = ledger(rig).await.into_iter().filter_map(told).collect();
    subscriptions.dedup();
    subscriptions
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_renewed_before_it_ends() {
    let mut rig = Rig::start(options()).await;
    let port = Port::hold();
    rig.start_worker_with(&[
        ("RINGFLEET__INBOUND__LISTEN", &port.address()),
        ("RINGFLEET__INBOUND__POLL", "2s"),
        ("RINGFLEET__INBOUND__SUBSCRIPTION_LIFE", "12s"),
    ]);
    until_subscribed(&mut rig).await;
    says(&rig, "Hello").await;
    eventually(SOON, async || !told_by(&rig).await.is_empty()).await;
    let first = told_by(&rig).await;
    // Two lives later the same one still tells.
    tokio::time::sleep(Duration::from_secs(25)).await;
    let delivered = rig.simulator.report().webhooks_delivered;
    says(&rig, "Hello again").await;
    eventually(SOON, async || rig.simulator.report().webhooks_delivered > delivered).await;
    assert_eq!((told_by(&rig).await, 1), (first.clone(), first.len()));
    rig.finish(Ends::all()).await;
}
