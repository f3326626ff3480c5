//! The page over real sockets, against the simulator's login page.

#![allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]

mod connecting;
mod fleet;
mod operator;
mod refusals;
mod rig;
mod security;
mod store_faults;
mod waits;
