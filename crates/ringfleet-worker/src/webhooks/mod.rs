//! Being told by the provider instead of asking it: a subscription for each connected extension, and a webhook that hears it.
//!
//! What comes to the webhook is believed to be no more than a hint to look: the mailbox is read as always, so that a forged event
//! costs one request of Light, and a lost one only time, until the next poll.
//!
//! - `receiver`: the webhook
//! - `known`: the secrets that events must carry
//! - `subscriptions`: makes, renews and replaces them, as the one process of the fleet that does
//! - `record`: the fleet's document of a subscription

mod known;
mod receiver;
mod record;
mod subscriptions;

pub(crate) use self::receiver::Came;
pub use self::receiver::{Hints, router};
pub use self::record::reseal;
pub(crate) use self::subscriptions::Subscriptions;
