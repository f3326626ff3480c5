//! Whole fleets: real worker processes, real stores, the simulator as the judge.
//!
//! Each test reads as a story over a [`rig::Rig`]. Loads are small enough for a shared machine of two cores; every wait has a
//! deadline; what is asserted is what the simulator's ledger and the store say, never what a worker says of itself.

#![allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]

mod app_refused;
mod bad_input;
mod callbacks;
mod checker_itself;
mod connections;
mod crash;
mod credential_commands;
mod credentials;
mod delivery;
mod doctor;
mod due_at_once;
mod explain;
mod inbound;
mod killpoints;
mod lanes;
mod logins;
mod looking_up;
mod neighbours;
mod no_store;
mod operations;
mod opt_outs;
mod plans;
mod quiet_hours;
mod reading;
mod restored_backup;
mod rig;
mod rows_fleet;
mod rows_junk;
mod rows_provider;
mod rows_store;
mod sender_directory;
mod sessions;
mod shards;
mod store_faults;
mod streaming_import;
mod templates;
mod unknown_fate;
mod waiting;
mod watching;
mod webhooks;
mod wishes;
