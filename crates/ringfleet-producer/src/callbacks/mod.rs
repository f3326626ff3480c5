//! Callbacks: what has become of the messages, told to an endpoint of their producer's.
//!
//! Nothing is queued for it: the store's own indexes are read as a feed of changes
//! ([`Store::changes`](ringfleet_store::Store::changes)), and of each shard a document says how far it was told, by whom it is
//! being told, and since when that fails. Whoever finds the turn free takes it by compare-and-set, POSTs up to a hundred changes as
//! one signed JSON document, and moves the cursor when the endpoint has taken them. So each change is told at least once, in the
//! order of a shard's changes, and a process that dies in the midst loses none.
//!
//! - `endpoint`: one signed POST, by [Standard Webhooks](https://www.standardwebhooks.com)
//! - `secret`: what signs it
//! - `batch`: what it says
//! - `record`: the document of a shard
//! - `deliver`: who tells what when
//! - `standing`: how it stands, and telling once more, and passing over
//!
//! **Absent on purpose:** anything on a message's way, and a text or a whole number in what is told.

mod batch;
mod deliver;
mod endpoint;
mod record;
mod secret;
mod standing;

#[cfg(test)]
mod tests;

pub use self::{
    deliver::Callbacks,
    endpoint::{Answer, CallbackUrl, CallbackUrlError, Endpoint, EndpointError},
    secret::{SecretFault, SigningSecrets},
    standing::{Failing, Replayed, ShardStanding, Since, replay, skip, standing},
};
