//! Whether a message that was accepted may still leave from where it waits.

use std::fmt;

use ringcentral::{ExtensionId, PhoneNumber};
use ringfleet_store::Millis;

use super::{
    book::Book,
    facts::{OwnNumber, Who},
};

/// The provider has said since that texts of a number don't leave from this extension.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Gone {
    /// They leave from another extension, which the fleet may or may not be connected to.
    To(Who),
    /// The number is the extension's still, without `SmsSender`.
    Feature,
    /// It is not on the extension's list, and nobody is known to have it.
    Away,
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gone::To(who) => write!(f, "number moved to {who}"),
            Gone::Feature => f.write_str("number has lost SmsSender"),
            Gone::Away => f.write_str("number is not the extension's any more"),
        }
    }
}

impl Book {
    /// What the provider has said after `accepted_at` (store's clock) against sending from `number` as `extension`. `None`
    /// if it has said nothing since, or nothing against it: the message was accepted on the strength of what was known then.
    pub fn gone(&self, extension: &ExtensionId, number: &PhoneNumber, accepted_at: Millis) -> Option<Gone> {
        let facts = self.extension(extension).filter(|facts| facts.read_at > accepted_at)?;
        let own = facts.number(number);
        if own.is_some_and(OwnNumber::can_text) {
            return None;
        }
        let elsewhere = match (self.by_number(number), own) {
            (Ok(extension), _) => Some(self.who(extension)),
            (Err(_), Some(_)) => None,
            (Err(_), None) => self.owner(number),
        };
        Some(match (elsewhere.filter(|who| who.id != *extension), own) {
            (Some(who), _) => Gone::To(who),
            (None, Some(_)) => Gone::Feature,
            (None, None) => Gone::Away,
        })
    }
}
