//! Which messages a query asks for.

use jiff::Timestamp;

use super::error::ApiError;
use super::time_range::TimeRange;
use crate::clock::{Nanos, nanos};
use crate::query::Pairs;
use crate::world::{Message, Number, World};

/// The store shows a message only after its lag.
pub(super) fn visible(world: &World, message: &Message, now: Nanos) -> bool {
    visible_at(world, message) <= now
}

pub(super) fn visible_at(world: &World, message: &Message) -> Nanos {
    message.created_at + nanos(world.config.store_lag)
}

pub(super) struct MessageFilter<'a> {
    query: &'a Pairs<'a>,
    number: Option<Number>,
    range: TimeRange,
    now: Nanos,
}

impl<'a> MessageFilter<'a> {
    pub(super) fn of(world: &World, query: &'a Pairs<'a>, now: Nanos) -> Result<Self, ApiError> {
        let number =
            query.first("phoneNumber").map(|raw| Number::parse(raw).map_err(|_| ApiError::invalid("phoneNumber")));
        Ok(Self { query, number: number.transpose()?, range: TimeRange::of(query, world.clock.timestamp(now))?, now })
    }

    pub(super) fn matches(&self, world: &World, message: &Message) -> bool {
        let created = world.clock.timestamp(message.created_at);
        self.fits(message)
            && self.is_shown(message)
            && self.number.is_none_or(|number| message.involves(number))
            && self.range.holds(created)
            && visible(world, message, self.now)
    }

    /// A deleted message is listed only if it is asked for (documented); a sync tells of it unasked.
    fn is_shown(&self, message: &Message) -> bool {
        let asked = self.query.first("availability").is_some();
        if asked { self.query.wants("availability", message.availability()) } else { message.deleted_at.is_none() }
    }

    /// Kind, direction and whether it was read.
    pub(super) fn fits(&self, message: &Message) -> bool {
        self.query.wants("direction", message.direction())
            && self.query.wants("messageType", message.type_name())
            && self.query.wants("readStatus", message.read_status())
    }

    pub(super) fn from(&self) -> Timestamp {
        self.range.from
    }
}
