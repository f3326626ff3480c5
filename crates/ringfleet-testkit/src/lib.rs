//! What Ringfleet's tests stand on: real redis-servers that are started, killed and restarted, and waits with a deadline.
//! A development crate: nothing here is part of the product.
//!
//! - [`RedisServer`]: one server in its own directory, on its own port
//! - [`RedisCluster`]: three masters that a test made for itself
//! - [`eventually`]: waits for a condition, never for luck
//!
//! **Invariant:** a guard ends only the processes that it started, and they end with the test process, however that ends.

mod binary;
mod redis_cluster;
mod redis_server;
mod wait;
mod watchdog;

pub use crate::{
    redis_cluster::RedisCluster,
    redis_server::{RedisServer, RedisServerBuilder},
    wait::{eventually, free_port, wait_until},
};
