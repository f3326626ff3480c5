//! What has happened in an extension's message store since somebody last looked.

use crate::clock::{Nanos, nanos};
use crate::faults::DeliveryStatus;
use crate::world::{Extension, Message, MessageKind, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happening {
    Appeared,
    /// The status of an outbound message changed.
    Updated,
}

/// Moves the extension's watch to `now` and returns what it passed: the place of each message and what happened to it.
///
/// Messages stand in the order of their creation, and everything happens to them a fixed time after it, so each watch only ever
/// moves on.
pub(super) fn happenings(world: &World, extension: &mut Extension, now: Nanos) -> Vec<(usize, Happening)> {
    let delay = nanos(world.config.status_delay);
    let lag = nanos(world.config.store_lag);
    let mut found = Vec::new();
    let Extension { messages, watch, .. } = extension;
    let mut follow = |place: &mut usize, after: Nanos, happens: &dyn Fn(&Message) -> Option<Happening>| {
        while let Some(message) = messages.get(*place)
            && message.created_at + after <= now
        {
            found.extend(happens(message).map(|happening| (*place, happening)));
            *place += 1;
        }
    };
    follow(&mut watch.appeared, lag, &|_| Some(Happening::Appeared));
    follow(&mut watch.sent, delay, &|message| match &message.kind {
        MessageKind::Outbound(delivery) if delivery.last != DeliveryStatus::Queued => Some(Happening::Updated),
        _ => None,
    });
    follow(&mut watch.ended, 2 * delay, &|message| match &message.kind {
        MessageKind::Outbound(delivery)
            if matches!(delivery.last, DeliveryStatus::Delivered | DeliveryStatus::DeliveryFailed) =>
        {
            Some(Happening::Updated)
        }
        _ => None,
    });
    found
}

/// What has happened so far is nobody's news.
pub(crate) fn catch_up(world: &World, extension: &mut Extension, now: Nanos) {
    happenings(world, extension, now);
}
