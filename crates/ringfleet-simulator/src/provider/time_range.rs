//! `dateFrom` and `dateTo`.

use std::time::Duration;

use jiff::Timestamp;

use super::error::ApiError;
use crate::query::Pairs;

/// `dateFrom` when the client names none: 24 hours before `dateTo` (documented).
const DEFAULT_LOOK_BACK: Duration = Duration::from_secs(24 * 3600);

pub(super) struct TimeRange {
    pub(super) from: Timestamp,
    to: Timestamp,
}

impl TimeRange {
    pub(super) fn of(query: &Pairs<'_>, now: Timestamp) -> Result<Self, ApiError> {
        let date = |name: &'static str| {
            let parse = |raw: &str| raw.parse::<Timestamp>().map_err(|_| ApiError::invalid(name));
            query.first(name).map(parse).transpose()
        };
        let to = date("dateTo")?.unwrap_or(now);
        let from = match date("dateFrom")? {
            Some(from) => from,
            None => to.checked_sub(DEFAULT_LOOK_BACK).unwrap_or(Timestamp::MIN),
        };
        Ok(Self { from, to })
    }

    /// In milliseconds, as clients read times: what they read finds its record again.
    pub(super) fn holds(&self, at: Timestamp) -> bool {
        (self.from.as_millisecond()..=self.to.as_millisecond()).contains(&at.as_millisecond())
    }
}
