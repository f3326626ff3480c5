//! The sender directory: which number belongs to which extension, and what may be sent from it.
//!
//! Learnt from the provider, kept as documents of the fleet's store, and followed by every process without a restart
//! ([`Follower`], [`Directory`]). A [`Book`] is one moment of it. Until the provider has spoken of an extension, what a
//! person wrote of it ([`Claims`], from the accounts file) counts.
//!
//! Three sources, the better one first:
//!
//! 1. an extension's own list of numbers: it has features, and says what may be texted from *as this extension*;
//! 2. the accounts file, for an extension whose own list was never read;
//! 3. the account's list of numbers: it knows the owners of numbers that no connected extension has, and no features.

mod book;
mod facts;
mod follower;
mod gone;
mod learn;
mod named;
mod plan;
mod reading;
mod record;
mod refresh;
mod register;

#[cfg(test)]
mod tests;

pub use self::{
    book::{Book, Claim, ClaimedTwice, Claims, NotASender},
    facts::{AccountList, ExtensionFacts, Failed, ListedNumber, OwnNumber, Who},
    follower::{Directory, Follower},
    gone::Gone,
    refresh::{Refresher, ways},
    register::Register,
};
