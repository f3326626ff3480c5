//! Tests across the modules; rules of one module stand beside it.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

pub(crate) mod rig;

mod beginning;
mod draining;
mod quiet;
mod reaping;
mod restarts;
mod shards;
mod slots;
mod start;
