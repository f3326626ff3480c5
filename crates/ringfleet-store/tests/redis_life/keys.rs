//! With several shards: a key's home remembers the lane it is used for, as long as the record lives, and no longer.

use ringfleet_store::State;
use ringfleet_testkit::RedisServer;

use super::*;

const DAY: i64 = 86_400;
const RETENTION: Duration = Duration::from_secs(7 * DAY as u64);

struct Fleet {
    server: RedisServer,
    store: RedisStore,
    worker: WorkerId,
    /// On one shard each.
    lanes: [LaneId; 2],
}

impl Fleet {
    async fn new() -> Self {
        let server = RedisServer::builder().clock_file().start();
        let store = RedisStore::connect(RedisOptions { shards: 2, ..options(server.url()) }).await.unwrap();
        let worker = WorkerId::incarnation("w");
        let lanes = ["1", "2"].map(|extension| LaneId::try_new("app", extension, Group::Medium).unwrap());
        let this = Self { server, store, worker, lanes };
        this.send(&this.lanes[0], "a").await;
        this.send(&this.lanes[1], "b").await;
        for shard in 0..2 {
            assert_eq!(this.keys(&format!("{{{PREFIX}:{shard}}}:s:*")).len(), 1, "a lane on each shard");
        }
        this
    }

    async fn send(&self, lane: &LaneId, text: &str) {
        put(&self.store, lane, &[text]).await;
        let lease = claim_refs(&self.store, &self.worker, 1).await[0];
        self.store.begin_send(&[lease.into()], LEASE).await.unwrap();
        assert_eq!(settle(&self.store, lease).await, Settled::Done(State::Sent));
    }

    async fn ask_for(&self, lane: &LaneId, text: &str) -> Enqueued {
        self.store.enqueue(&[message(lane, text)]).await.unwrap().remove(0)
    }

    async fn is_taken(&self, lane: &LaneId, text: &str) -> bool {
        matches!(self.ask_for(lane, text).await, Enqueued::Conflict(_))
    }

    async fn prune(&self) -> u32 {
        self.store.reap(100, RETENTION).await.unwrap().pruned
    }

    /// While its slots are remembered.
    fn shard_of(&self, lane: &LaneId) -> u8 {
        (0..2).find(|shard| self.keys(&format!("{{{PREFIX}:{shard}}}:s:{lane}")).len() == 1).unwrap()
    }

    fn keys(&self, pattern: &str) -> Vec<Vec<u8>> {
        ask(&self.server.url(), &["KEYS", pattern])
    }
}

#[tokio::test]
async fn a_key_is_forgotten_with_its_record_and_may_then_be_used_in_another_lane() {
    let fleet = Fleet::new().await;
    assert_eq!(fleet.keys("*:reg:*").len(), 2);
    fleet.server.step_clock(6 * DAY);
    assert_eq!(fleet.prune().await, 0);
    assert_eq!(fleet.keys("*:reg:*").len(), 2);
    fleet.server.step_clock(8 * DAY);
    assert_eq!(fleet.prune().await, 2);
    assert_eq!(fleet.keys("*:reg:*"), Vec::<Vec<u8>>::new());
    assert_eq!(fleet.keys("*:gone"), Vec::<Vec<u8>>::new());
    assert!(matches!(fleet.ask_for(&fleet.lanes[1], "a").await, Enqueued::Accepted(_)));
    assert!(fleet.is_taken(&fleet.lanes[0], "a").await);
}

#[tokio::test]
async fn a_key_is_remembered_however_long_its_record_lives() {
    let fleet = Fleet::new().await;
    fleet.server.step_clock(2 * 366 * DAY);
    assert!(fleet.is_taken(&fleet.lanes[1], "a").await);
}

/// Somebody may be about to use it anew, in the lane that its home has just named.
#[tokio::test]
async fn a_key_that_was_asked_for_lately_is_not_forgotten_yet() {
    let fleet = Fleet::new().await;
    fleet.server.step_clock(8 * DAY);
    assert!(matches!(fleet.ask_for(&fleet.lanes[0], "a").await, Enqueued::Duplicate(_)));
    assert_eq!(fleet.prune().await, 2);
    assert!(fleet.is_taken(&fleet.lanes[1], "a").await);
    // It is not forgotten for ever either.
    fleet.server.step_clock(8 * DAY + 3_600);
    assert_eq!(fleet.prune().await, 0);
    assert_eq!(fleet.keys("*:reg:*"), Vec::<Vec<u8>>::new());
    assert!(matches!(fleet.ask_for(&fleet.lanes[1], "a").await, Enqueued::Accepted(_)));
}

#[tokio::test]
async fn a_key_that_is_used_anew_is_not_forgotten_for_its_older_record() {
    let fleet = Fleet::new().await;
    fleet.server.step_clock(8 * DAY);
    assert!(matches!(fleet.ask_for(&fleet.lanes[0], "a").await, Enqueued::Duplicate(_)));
    assert_eq!(fleet.prune().await, 2);
    assert!(matches!(fleet.ask_for(&fleet.lanes[0], "a").await, Enqueued::Accepted(_)));
    fleet.server.step_clock(8 * DAY + 3_600);
    assert_eq!(fleet.prune().await, 0);
    assert!(fleet.is_taken(&fleet.lanes[1], "a").await);
    assert_eq!(fleet.keys("*:gone"), Vec::<Vec<u8>>::new());
}

/// A reaper may die before it has noted that a key's home has forgotten it. Another one tells the home once more.
#[tokio::test]
async fn a_key_that_belongs_to_another_lane_by_now_is_not_forgotten_for_the_lane_of_before() {
    let fleet = Fleet::new().await;
    let [before, now] = &fleet.lanes;
    let gone = format!("{{{PREFIX}:{}}}:gone", fleet.shard_of(before));
    fleet.server.step_clock(8 * DAY);
    assert_eq!(fleet.prune().await, 2);
    let Enqueued::Accepted(id) = fleet.ask_for(now, "a").await else { panic!("its home remembers it") };
    let entry = [&id.as_bytes()[..], before.as_str().as_bytes()].concat();
    let mut link = redis::Client::open(fleet.server.url()).unwrap().get_connection().unwrap();
    redis::cmd("ZADD").arg(&gone).arg(0).arg(entry).exec(&mut link).unwrap();

    fleet.server.step_clock(8 * DAY + 3_600);
    assert_eq!(fleet.prune().await, 0);
    assert_eq!(fleet.keys("*:gone"), Vec::<Vec<u8>>::new());
    assert!(fleet.is_taken(before, "a").await);
}

#[tokio::test]
async fn a_key_whose_home_refused_when_its_record_was_pruned_is_forgotten_later() {
    let fleet = Fleet::new().await;
    for text in ["c", "d", "e", "f", "g"] {
        fleet.send(&fleet.lanes[0], text).await;
    }
    let other = 1 - fleet.shard_of(&fleet.lanes[0]);
    let (epoch, aside) = (format!("{{{PREFIX}:{other}}}:epoch"), format!("{{{PREFIX}:{other}}}:aside"));
    fleet.server.step_clock(8 * DAY);
    ask::<()>(&fleet.server.url(), &["RENAME", &epoch, &aside]);
    assert!(fleet.store.reap(100, RETENTION).await.is_err());
    let left = fleet.keys(&format!("{{{PREFIX}:{other}}}:reg:*")).len();
    assert!(left > 0);
    ask::<()>(&fleet.server.url(), &["RENAME", &aside, &epoch]);
    fleet.server.step_clock(8 * DAY + 3_600);
    assert_eq!(fleet.prune().await, 1, "that of the other shard");
    assert_eq!(fleet.keys("*:reg:*"), Vec::<Vec<u8>>::new());
    assert_eq!(fleet.keys("*:asked"), Vec::<Vec<u8>>::new(), "no key was asked for lately");
}

#[tokio::test]
async fn only_the_keys_of_the_last_minutes_are_remembered_as_asked_for_however_many_come() {
    let fleet = Fleet::new().await;
    let ask_for_many = async |first: u32| {
        let texts: Vec<_> = (first..first + 100).map(|n| n.to_string()).collect();
        put(&fleet.store, &fleet.lanes[0], &texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    };
    ask_for_many(0).await;
    fleet.server.step_clock(DAY / 24);
    // The reapers have no turn in between.
    ask_for_many(100).await;
    let kept = fleet.keys("*:asked").into_iter().map(|key| {
        let key = String::from_utf8(key).unwrap();
        ask::<u32>(&fleet.server.url(), &["ZCARD", &key])
    });
    assert_eq!(kept.sum::<u32>(), 100);
}
