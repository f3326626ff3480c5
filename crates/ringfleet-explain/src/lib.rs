//! What people are told of a fleet: how it stands, why a message or an extension isn't moving, and what the words mean that
//! stand with it. The same at the terminal, in the API and on the operators' page.
//!
//! - `standing`, `logins`: what one look at the store finds
//! - `told`: why something waits and when it goes, as sentences
//! - `sense`: what a reason means, and what to do about it
//!
//! *Absent on purpose:* how any of it is laid out, and everything that changes something.

mod logins;
mod sense;
mod standing;
mod told;

pub use self::{
    logins::{Logins, in_force},
    sense::{Sense, sense},
    standing::{Standing, Stopped, hint, short, workers},
    told::{Told, ToldEta, ToldLane, ToldQuietHours, ToldWhy, bound},
};
