//! How messages come into a Ringfleet: checked at the door, taken in once, answered one by one.
//!
//! A [`Draft`] is what somebody wrote. [`Producer::check`] tells all its faults at once, each with the field and the
//! remedy; [`Producer::enqueue`] and its kin hand the good ones to the store and give a [`Receipt`] for each.
//! Three doors lead to the same checks: this library, [`import_csv`] and the HTTP API ([`http::router`]).
//!
//! - [`draft`], [`refusal`]: what comes in, and why it may be turned away
//! - [`directory`]: which extension a number belongs to, and why one can't be sent from
//! - `check`, `when`, `spoilt`: the rules, pure functions
//! - [`producer`], `retry`: enqueue, and what happens when the store does not answer
//! - `looks`: what the store has of a message that it did not take, for repeats that are refused now
//! - [`opt_out`]: who wants no texts, by the names that callers use
//! - [`segments`]: how many a text comes to
//! - [`csv_import`]: files of any size in flat memory, with texts of their own or by a template
//! - `forecast`: how long they take by the plan
//! - [`http`]: the API
//! - [`callbacks`]: what has become of messages, told to their producer
//!
//! **Invariant:** no message reaches the store without an idempotency key. The provider has no way to recognise a
//! repeated text, so a repeated `enqueue` must be recognised here.
//!
//! **Absent on purpose:** nothing here reads a message's text or number into a log, a metric or an error.

pub mod callbacks;
pub mod csv_import;
pub mod directory;
pub mod draft;
pub mod http;
pub mod opt_out;
pub mod producer;
pub mod refusal;
pub mod segments;

mod check;
mod forecast;
mod looks;
mod retry;
mod spoilt;
mod when;

#[cfg(test)]
mod tests;

pub use crate::{
    csv_import::{
        BatchTold, ImportError, ImportOptions, ImportProgress, ImportSummary, RowFault, RowResult, Template, import_csv,
    },
    directory::{DirectoryError, Sender, SenderDirectory},
    draft::Draft,
    forecast::{Busiest, Forecast},
    producer::{EnqueueError, ItemResult, Producer, Receipt},
    refusal::{Code, Field, Refusal},
    retry::Patience,
    segments::Segments,
};
