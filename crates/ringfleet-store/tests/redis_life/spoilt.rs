//! Something else stands where a key of one lane should be.

use ringfleet_store::{
    Acquired, Begin, Cancelled, ChangeCursor, Evidence, Found, Intent, LaneView, ListFrom, OptOut, Reassertion, State,
};
use ringfleet_testkit::{RedisServer, eventually, patient_link};

use super::*;

fn other() -> LaneId {
    LaneId::try_new("app", "2", Group::Medium).unwrap()
}

async fn overwrite(server: &RedisServer, command: &[&str]) {
    let mut link = patient_link(&server.url()).await;
    let mut call = redis::cmd(command[0]);
    command[1..].iter().for_each(|word| {
        call.arg(*word);
    });
    let _: redis::Value = call.query_async(&mut link).await.unwrap();
}

/// What one of the shard's hashes holds of a message is junk from now on.
fn spoil(server: &RedisServer, hash: &str, id: MessageId) {
    change(server, "HSET", hash, id, &["junk"]);
}

/// The same is gone.
fn lose(server: &RedisServer, hash: &str, id: MessageId) {
    change(server, "HDEL", hash, id, &[]);
}

/// Only its first byte is left, which is the state.
fn cut(server: &RedisServer, hash: &str, id: MessageId) {
    let mut link = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let hash = format!("{{{PREFIX}:0}}:{hash}");
    let whole: Vec<u8> = redis::cmd("HGET").arg(&hash).arg(id.as_bytes()).query(&mut link).unwrap();
    redis::cmd("HSET").arg(&hash).arg(id.as_bytes()).arg(&whole[..1]).exec(&mut link).unwrap();
}

fn change(server: &RedisServer, command: &str, hash: &str, id: MessageId, value: &[&str]) {
    let mut link = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let hash = format!("{{{PREFIX}:0}}:{hash}");
    redis::cmd(command).arg(hash).arg(id.as_bytes()).arg(value).exec(&mut link).unwrap();
}

async fn claimed(store: &RedisStore, worker: &WorkerId) -> Vec<MessageId> {
    claim(store, worker, 10).await.unwrap().leases.iter().map(|lease| lease.id).collect()
}

async fn parked(store: &RedisStore) -> Option<String> {
    let LaneView { parked, .. } = store.lane(&lane()).await.unwrap();
    parked
}

#[tokio::test]
async fn what_comes_to_a_queue_that_is_no_list_waits_and_the_rest_of_its_batch_goes() {
    let server = RedisServer::builder().clock_file().start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    let queue = format!("{{{PREFIX}:0}}:q:{}:1", lane().as_str());
    overwrite(&server, &["SET", &queue, "junk"]).await;
    let both = store.enqueue(&[message(&lane(), "here"), message(&other(), "there")]).await.unwrap();
    let [Enqueued::Accepted(here), Enqueued::Accepted(there)] = both[..] else { panic!("{both:?}") };
    assert_eq!(claimed(&store, &worker).await, [there]);
    assert_eq!(parked(&store).await.as_deref(), Some("unreadable-queue"));

    overwrite(&server, &["DEL", &queue]).await;
    store.set_parked(&lane(), None).await.unwrap();
    assert_eq!(claimed(&store, &worker).await, [], "it comes again in a minute");
    server.step_clock(61);
    assert_eq!(claimed(&store, &worker).await, [here]);
}

#[tokio::test]
async fn a_lane_whose_record_can_not_be_read_waits_for_a_person_and_no_other_lane_does() {
    let server = RedisServer::start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    let here = put(&store, &lane(), &["here"]).await;
    let there = put(&store, &other(), &["there"]).await;
    overwrite(&server, &["HSET", &format!("{{{PREFIX}:0}}:lane"), lane().as_str(), "junk"]).await;
    assert_eq!(claimed(&store, &worker).await, there);
    assert_eq!(parked(&store).await.as_deref(), Some("unreadable-lane"));
    store.set_parked(&lane(), None).await.unwrap();
    assert_eq!(claimed(&store, &worker).await, here);
}

#[tokio::test]
async fn a_lane_whose_window_can_not_be_read_waits_for_a_person_and_no_other_lane_does() {
    let server = RedisServer::start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    let window = format!("{{{PREFIX}:0}}:s:{}", lane().as_str());
    put(&store, &lane(), &["begun"]).await;
    put(&store, &other(), &["begun there"]).await;
    let begun = claim_refs(&store, &worker, 2).await;
    let intents: Vec<_> = begun.iter().map(|lease| (*lease).into()).collect();
    assert_eq!(store.begin_send(&intents, LEASE).await.unwrap(), [Begin::Go; 2]);
    let here = put(&store, &lane(), &["here"]).await;
    let there = put(&store, &other(), &["there"]).await;
    overwrite(&server, &["SET", &window, "junk"]).await;

    // What was sent counts as sent, and what waits elsewhere goes.
    let reports: Vec<_> = begun.iter().map(|lease| report(*lease)).collect();
    assert_eq!(store.settle(&reports).await.unwrap(), [Settled::Done(State::Sent); 2]);
    let again = reports.iter().zip([lane(), other()]);
    let again: Vec<_> = again.map(|(report, lane)| Reassertion { settlement: report.clone(), lane }).collect();
    assert_eq!(store.reassert(&again, Duration::MAX).await.unwrap(), [Settled::Again(State::Sent); 2]);
    assert_eq!(claimed(&store, &worker).await, there);
    assert_eq!(parked(&store).await.as_deref(), Some("unreadable-window"));
    // Of logins and reads there is nobody who would let a lane go on.
    let reads = LaneId::try_new("app", "1", Group::Light).unwrap();
    overwrite(&server, &["SET", &format!("{{{PREFIX}:0}}:s:{}", reads.as_str()), "junk"]).await;
    assert!(matches!(store.acquire(&reads, LEASE).await.unwrap(), Acquired::Wait(_)));
    assert_eq!(store.lane(&reads).await.unwrap().parked, None);
    overwrite(&server, &["HSET", &format!("{{{PREFIX}:0}}:lane"), reads.as_str(), "junk"]).await;
    assert!(matches!(store.acquire(&reads, LEASE).await.unwrap(), Acquired::Wait(_)));
    assert_eq!(store.lane(&reads).await.unwrap().parked, None);
    let lasts: i64 = ask(&server.url(), &["TTL", &window]);
    assert_eq!(lasts, -1, "what a person is to look at stays");

    // Let go on before it was taken away, it stands again.
    store.set_parked(&lane(), None).await.unwrap();
    assert_eq!(claimed(&store, &worker).await, []);
    assert_eq!(parked(&store).await.as_deref(), Some("unreadable-window"));
    overwrite(&server, &["DEL", &window]).await;
    store.set_parked(&lane(), None).await.unwrap();
    assert_eq!(claimed(&store, &worker).await, here);
}

#[tokio::test]
async fn a_lane_of_which_nothing_can_be_read_stops_no_other() {
    let server = RedisServer::start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    put(&store, &lane(), &["here"]).await;
    let there = put(&store, &other(), &["there"]).await;
    overwrite(&server, &["HSET", &format!("{{{PREFIX}:0}}:lane"), lane().as_str(), "junk"]).await;
    for key in ["s", "u"] {
        overwrite(&server, &["SET", &format!("{{{PREFIX}:0}}:{key}:{}", lane().as_str()), "junk"]).await;
    }
    assert_eq!(claimed(&store, &worker).await, there);
    // Its record is a new one by now.
    assert_eq!(parked(&store).await.as_deref(), Some("unreadable-window"));
}

#[tokio::test]
async fn what_is_no_entry_of_a_queue_costs_no_message_its_place() {
    let server = RedisServer::start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    let first = put(&store, &lane(), &["1"]).await;
    let queue = format!("{{{PREFIX}:0}}:q:{}:1", lane().as_str());
    overwrite(&server, &["RPUSH", &queue, "junk"]).await;
    let behind = put(&store, &lane(), &["2"]).await;
    let there = put(&store, &other(), &["there"]).await;
    // One at a time, so that it is met at the head of the queue.
    let mut given = Vec::new();
    eventually(PATIENCE, async || {
        given.extend(claim(&store, &worker, 1).await.unwrap().leases.iter().map(|lease| lease.id));
        given.len() == 3
    })
    .await;
    assert!([first, behind, there].concat().iter().all(|id| given.contains(id)), "{given:?}");
    assert_eq!(store.lane(&other()).await.unwrap().in_flight, 1);
}

/// Why an intent looks at a message's record.
enum Look {
    SomebodyHasOptedOut,
    ItsLaneStands,
    ItsTimeHasPassed,
}

async fn begun_beside_spoilt_and_gone(look: Look) -> Vec<Begin> {
    let server = RedisServer::builder().clock_file().start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    let mut batch = ["spoilt", "gone"].map(|text| message(&lane(), text));
    if matches!(look, Look::ItsTimeHasPassed) {
        let soon = store.now().await.unwrap() + 30_000;
        batch.iter_mut().for_each(|message| message.send_by = Some(soon));
    }
    store.enqueue(&batch).await.unwrap();
    put(&store, &other(), &["good"]).await;
    let leases = claim(&store, &worker, 10).await.unwrap().leases;
    let (here, there): (Vec<_>, Vec<_>) = leases.iter().partition(|lease| lease.lane == lane());

    spoil(&server, "m", here[0].id);
    lose(&server, "m", here[1].id);
    match look {
        Look::SomebodyHasOptedOut => {
            let (from, to) = (Private::new("+16505550100"), Private::new("somebody else"));
            store.set_opt_outs(Some("1"), &[OptOut { from, to, out: true }]).await.unwrap();
        }
        Look::ItsLaneStands => store.set_paused(&lane(), true).await.unwrap(),
        Look::ItsTimeHasPassed => server.step_clock(31),
    }
    let intents: Vec<_> = [here, there].concat().iter().map(|lease| lease.reference().into()).collect();
    store.begin_send(&intents, LEASE).await.unwrap()
}

#[tokio::test]
async fn a_record_that_is_spoilt_or_gone_before_its_intent_stops_no_other() {
    for look in [Look::SomebodyHasOptedOut, Look::ItsLaneStands, Look::ItsTimeHasPassed] {
        assert_eq!(begun_beside_spoilt_and_gone(look).await, [Begin::LeaseLost, Begin::LeaseLost, Begin::Go]);
    }
}

#[tokio::test]
async fn a_record_that_is_spoilt_or_gone_in_a_workers_hand_leaves_its_place_in_the_lane() {
    let server = RedisServer::builder().clock_file().start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    put(&store, &lane(), &["spoilt", "gone", "flight", "good"]).await;
    let leases = claim(&store, &worker, 10).await.unwrap().leases;
    let begun = store.begin_send(&[leases[0].reference().into()], LEASE).await.unwrap();
    assert_eq!(begun, [Begin::Go]);
    spoil(&server, "m", leases[0].id);
    lose(&server, "m", leases[1].id);
    spoil(&server, "f", leases[2].id);
    server.step_clock(61);
    let reaped = store.reap(10, Duration::from_secs(3_600)).await.unwrap();
    assert_eq!(reaped.requeued, 1, "the good one: {reaped:?}");
    assert_eq!(store.lane(&lane()).await.unwrap().in_flight, 0);
    // Nobody knows whether the one whose flight can't be read was sent.
    let held = store.list(&ListFrom::newest(State::Held), 5).await.unwrap().messages;
    assert_eq!(
        held.iter().map(|view| (view.id, &*view.reason)).collect::<Vec<_>>(),
        [(leases[2].id, "unreadable-flight")]
    );
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.count(State::Claimed), stats.count(State::Sending)), (0, 0));
    assert_eq!(claimed(&store, &worker).await, [leases[3].id]);
    assert_eq!(store.stats().await.unwrap().count(State::Dead), 1, "put aside");
    assert_eq!(store.list(&ListFrom::newest(State::Dead), 5).await.unwrap().messages, []);
}

/// Whatever has become of their records, their requests may have arrived.
#[tokio::test]
async fn begun_sends_whose_records_are_spoilt_or_gone_keep_their_slots_for_a_window() {
    let server = RedisServer::builder().clock_file().start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    // Its window is a minute.
    let light = LaneId::try_new("app", "1", Group::Light).unwrap();
    put(&store, &light, &["spoilt", "gone"]).await;
    let leases = claim_refs(&store, &worker, 2).await;
    let intents = [leases[0].into(), leases[1].into()];
    assert_eq!(store.begin_send(&intents, LEASE).await.unwrap(), [Begin::Go; 2]);
    spoil(&server, "m", leases[0].id);
    lose(&server, "m", leases[1].id);
    let slots_in_use = async || store.lane(&light).await.unwrap().slots_in_use;

    server.step_clock(61);
    store.reap(10, Duration::from_secs(3_600)).await.unwrap();
    assert_eq!(slots_in_use().await, 2);
    server.step_clock(2 * 61);
    assert_eq!(slots_in_use().await, 0);
}

/// What has ended is taken out of a queue without being looked at any further; what can't be read is for a person.
#[tokio::test]
async fn a_record_that_can_not_be_read_is_put_aside_though_the_one_behind_it_was_cancelled() {
    let server = RedisServer::start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    let ids = put(&store, &lane(), &["spoilt", "cancelled", "good"]).await;
    spoil(&server, "m", ids[0]);
    assert_eq!(store.cancel(&ids[1]).await.unwrap(), Cancelled::Done);
    assert_eq!(claimed(&store, &worker).await, [ids[2]]);
    assert_eq!(store.stats().await.unwrap().count(State::Dead), 1);
    assert_eq!(store.reap(10, LEASE).await.unwrap().unreadable, 1);
}

/// A renewal of the extension's token waits for those.
#[tokio::test]
async fn a_begun_send_whose_flight_can_not_be_read_counts_as_a_post_no_longer_than_its_lease() {
    let server = RedisServer::builder().clock_file().start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    put(&store, &lane(), &["1"]).await;
    let lease = claim_refs(&store, &worker, 1).await[0];
    assert_eq!(store.begin_send(&[lease.into()], LEASE).await.unwrap(), [Begin::Go]);
    let posts = format!("{{{PREFIX}:0}}:posts");
    let under_way = || ask::<Option<u32>>(&server.url(), &["HGET", &posts, lane().as_str()]);
    assert_eq!(under_way(), Some(1));
    cut(&server, "f", lease.id);
    server.step_clock(61);
    assert_eq!(store.reap(10, Duration::from_secs(3_600)).await.unwrap().unknown, 1);
    assert_eq!(under_way(), None);
}

#[tokio::test]
async fn the_unknown_sends_of_a_lane_whose_record_could_not_be_read_are_all_looked_up() {
    let server = RedisServer::start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    put(&store, &lane(), &["1", "2"]).await;
    for lease in claim_refs(&store, &worker, 2).await {
        assert_eq!(store.begin_send(&[lease.into()], LEASE).await.unwrap(), [Begin::Go]);
        let outcome = Outcome::Unknown { reason: "time-out".to_owned() };
        store.settle(&[Settlement { outcome, ..report(lease) }]).await.unwrap();
    }
    overwrite(&server, &["HSET", &format!("{{{PREFIX}:0}}:lane"), lane().as_str(), "junk"]).await;
    store.set_parked(&lane(), None).await.unwrap();
    for left in [2, 1] {
        let mut sends = Vec::new();
        eventually(PATIENCE, async || {
            let taken = store.reconcile_take(1, Duration::ZERO).await.unwrap();
            sends = taken.into_iter().flat_map(|lane| lane.sends).collect();
            !sends.is_empty()
        })
        .await;
        assert_eq!(sends.len(), left);
        let read_at = store.now().await.unwrap();
        let found =
            |n: usize| Found::Candidates { ids: (n == 0).then(|| format!("p{left}")).into_iter().collect(), read_at };
        let evidence: Vec<_> =
            sends.iter().enumerate().map(|(n, send)| Evidence { lease: send.lease, found: found(n) }).collect();
        store.decide(&evidence, Duration::ZERO, 5).await.unwrap();
    }
    assert_eq!(store.stats().await.unwrap().count(State::Sent), 2);
}

#[tokio::test]
async fn a_session_whose_record_can_not_be_read_lets_its_own_extension_begin_nothing_and_every_other_one_go_on() {
    let server = RedisServer::start();
    let (store, worker) = (connect(server.url()).await, WorkerId::incarnation("w"));
    put(&store, &lane(), &["here"]).await;
    put(&store, &other(), &["there"]).await;
    let leases = claim(&store, &worker, 2).await.unwrap().leases;
    overwrite(&server, &["SET", &format!("{{{PREFIX}:0}}:tok:1"), "junk"]).await;
    let intents: Vec<_> = leases.iter().map(|lease| Intent { lease: lease.reference(), session: 1 }).collect();
    let begun = store.begin_send(&intents, LEASE).await.unwrap();
    let of = |wanted| leases.iter().zip(&begun).find(|(lease, _)| lease.lane == wanted).map(|(_, begun)| *begun);
    assert_eq!((of(lane()), of(other())), (Some(Begin::SessionOver), Some(Begin::Go)));
}

#[tokio::test]
async fn what_is_no_id_among_the_ended_and_held_ones_is_passed_over_and_the_others_are_told() {
    let server = RedisServer::builder().clock_file().start();
    let store = connect(server.url()).await;
    let ids = put(&store, &lane(), &["1", "2", "3"]).await;
    for id in &ids {
        assert_eq!(store.cancel(id).await.unwrap(), Cancelled::Done);
    }
    // All of one instant, before the messages and behind them.
    let long = "z".repeat(40);
    for key in ["fin", "in:10"] {
        for junk in ["", "a", "ab", "\u{7f}\u{7f}\u{7f}", &long] {
            let key = format!("{{{PREFIX}:0}}:{key}");
            overwrite(&server, &["ZADD", &key, "1000", junk]).await;
            overwrite(&server, &["ZADD", &key, "1000", &format!("{junk}{junk}more than an id is long")]).await;
        }
    }
    server.step_clock(10);
    for limit in [1, 2, 500] {
        let (mut after, mut told) = (ChangeCursor::before(0), Vec::new());
        for _ in 0..40 {
            let read = store.changes(0, Some(&after), limit).await.unwrap();
            told.extend(read.changes.iter().map(|change| change.message.id));
            if !read.more {
                break;
            }
            assert!(read.next > after, "it stands still");
            after = read.next;
        }
        told.sort();
        let mut all = ids.clone();
        all.sort();
        assert_eq!(told, all, "{limit} a page");
    }
}
