//! Webhooks: the only requests that the simulator makes itself.

mod client;
mod happenings;
mod notifier;

pub(crate) use client::{HandshakeProblem, WebhookClient};
pub(crate) use happenings::catch_up;
pub(crate) use notifier::{note, run, uuid};
