//! A primary, its replica, and a sentinel that promotes the replica when the primary is gone.

use std::time::Duration;

use crate::{
    redis_server::RedisServer,
    wait::{eventually, wait_until},
};

const FORM_DEADLINE: Duration = Duration::from_secs(30);
/// Milliseconds of silence after which the sentinel takes a server for dead: while a failover is wanted, and else. On a
/// busy machine a second passes easily, and a failover that nobody asked for would be a riddle.
const CLOSE: &str = "1000";
const CALM: &str = "60000";

/// For tests of a failover: of an orderly one, and of one to a replica that lacks acknowledged writes.
pub struct SentinelPair {
    primary: RedisServer,
    replica: RedisServer,
    sentinel: RedisServer,
}

impl SentinelPair {
    /// The name under which the sentinel knows the primary.
    pub const NAME: &str = "ringfleet";

    /// Returns when the replica has all, and the sentinel knows it as fit for promotion.
    ///
    /// # Panics
    /// When no redis-server is installed or the three do not find each other.
    pub fn start() -> Self {
        let primary = RedisServer::builder().append_only().start();
        let replica = RedisServer::builder().append_only().replica_of(&primary).start();
        // A failed attempt is repeated after twice its timeout.
        let configuration = format!(
            "sentinel monitor {0} 127.0.0.1 {1} 1\nsentinel down-after-milliseconds {0} {CALM}\n\
             sentinel failover-timeout {0} 3000\n",
            Self::NAME,
            primary.port()
        );
        let sentinel = RedisServer::builder().sentinel(configuration).start();
        let pair = Self { primary, replica, sentinel };
        assert!(wait_until(FORM_DEADLINE, || pair.is_formed()), "the sentinel finds no replica:\n{}", pair.log());
        pair
    }

    /// Of the primary at the start; the sentinel knows the one of this moment.
    pub fn primary_url(&self) -> String {
        self.primary.url()
    }

    pub fn replica_url(&self) -> String {
        self.replica.url()
    }

    pub fn sentinel_url(&self) -> String {
        self.sentinel.url()
    }

    /// The primary at the start. Restarted after a failover it is made a replica by the sentinel, and forgets what the new
    /// primary does not have.
    pub fn primary(&mut self) -> &mut RedisServer {
        &mut self.primary
    }

    pub fn replica(&mut self) -> &mut RedisServer {
        &mut self.replica
    }

    pub fn kill_primary(&mut self) {
        self.primary.kill();
        self.watch_closely();
    }

    /// For tests that take the primary away by other means: once it was silent for a second, the sentinel takes it for
    /// dead. Up to here, and after the promotion, it waits for a minute.
    pub fn watch_closely(&self) {
        self.endure(CLOSE);
    }

    /// Until the replica is a primary, and the sentinel says so.
    ///
    /// # Panics
    /// When `deadline` passes first.
    #[track_caller]
    pub fn until_promoted(&self, deadline: Duration) -> impl Future<Output = ()> {
        let promoted = eventually(deadline, async || self.is_promoted());
        async {
            promoted.await;
            self.endure(CALM);
        }
    }

    /// What the primary acknowledges from here on does not reach the replica.
    ///
    /// # Panics
    /// When the primary does not run.
    pub fn freeze_replication(&mut self) {
        self.replica.freeze();
        // A frozen process would find later what waits in its socket, and only it can connect again.
        let _ = self.primary.ask(&["CLIENT", "KILL", "TYPE", "replica"]);
        let alone =
            || self.primary.ask(&["INFO", "replication"]).is_some_and(|info| info.contains("connected_slaves:0"));
        assert!(wait_until(FORM_DEADLINE, alone), "the primary keeps its replica:\n{}", self.log());
    }

    /// After [`freeze_replication`](Self::freeze_replication): the primary dies, and the replica is promoted as it was
    /// then.
    ///
    /// # Panics
    /// When `deadline` passes before that.
    #[track_caller]
    pub fn promote_stale(&mut self, deadline: Duration) -> impl Future<Output = ()> {
        self.kill_primary();
        self.replica.thaw();
        self.until_promoted(deadline)
    }

    fn endure(&self, silence: &str) {
        let told = self.sentinel.ask(&["SENTINEL", "SET", Self::NAME, "down-after-milliseconds", silence]);
        assert_eq!(told.as_deref(), Some("+OK\r\n"), "the sentinel does not hear:\n{}", self.log());
    }

    fn is_formed(&self) -> bool {
        let port = self.replica.port().to_string();
        let replicas = self.sentinel.ask(&["SENTINEL", "REPLICAS", Self::NAME]);
        replicas.is_some_and(|told| {
            let fields: Vec<_> = told.lines().collect();
            // The value stands two lines below, after its length.
            let says = |name, value| fields.windows(3).any(|field| field[0] == name && field[2] == value);
            says("port", port.as_str()) && says("master-link-status", "ok")
        })
    }

    fn is_promoted(&self) -> bool {
        let named = self.sentinel.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self::NAME]);
        let port = format!("\r\n{}\r\n", self.replica.port());
        named.is_some_and(|named| named.contains(&port))
            && self.replica.ask(&["ROLE"]).is_some_and(|role| role.contains("\r\nmaster\r\n"))
    }

    fn log(&self) -> String {
        [&self.primary, &self.replica, &self.sentinel].map(RedisServer::log).concat()
    }
}
