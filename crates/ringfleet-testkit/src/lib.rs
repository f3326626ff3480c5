//! What Ringfleet's tests stand on: real redis-servers that are started, killed and restarted, a wire that can be made
//! bad, and waits with a deadline. A development crate: nothing here is part of the product.
//!
//! - [`RedisServer`]: one server in its own directory, on its own port; it can be frozen, lose the end of its file, speak
//!   TLS, follow another one, and go by a clock of its own
//! - [`RedisCluster`]: three masters that a test made for itself
//! - [`SentinelPair`]: a primary and its replica, with a sentinel that fails over
//! - [`FaultProxy`]: the wire to a server, with latency, partitions, resets and lost replies
//! - [`Port`]: a port that stays the test's own, also while its server is away
//! - [`eventually`]: waits for a condition, never for luck
//!
//! **Invariant:** a guard ends only the processes that it started, and they end with the test process, however that ends.

mod binary;
mod link;
mod port;
mod proxy;
mod redis_cluster;
mod redis_server;
mod sentinel;
mod wait;
mod watchdog;

pub use crate::{
    binary::libfaketime,
    link::patient_link,
    port::Port,
    proxy::FaultProxy,
    redis_cluster::RedisCluster,
    redis_server::{RedisServer, RedisServerBuilder},
    sentinel::SentinelPair,
    wait::{eventually, wait_until},
};
