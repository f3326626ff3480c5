//! Delivery: what became of a text after the provider had accepted it. The provider tells it later, or never.

use std::fmt;

use crate::{
    ids::{LaneId, MessageId},
    message::Millis,
};

/// Reports are looked for so long after a send, then ever rarer: after as long again as the last send is ago.
pub(crate) const FIRST_LOOK_MS: Millis = 30_000;
pub(crate) const RAREST_LOOK_MS: Millis = 3_600_000;
/// A report that was heard is recognised for so long.
pub(crate) const REMEMBER_MS: Millis = 3_600_000;

/// A lane some of whose sent messages wait for their delivery reports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AwaitedReports {
    pub lane: LaneId,
    /// Before this time none of them was sent, by the store's clock.
    pub since: Millis,
    pub waiting: u32,
}

/// The provider's last word on a text.
#[derive(Clone, PartialEq, Eq)]
pub struct Delivery {
    pub provider_id: String,
    pub delivered: bool,
    /// Why it failed, e.g. `SMS-CAR-411`; empty when it did not, or nobody says.
    pub code: String,
    /// Its recipient wants no texts from its sender: noted in the same step, as [`set_opt_outs`](crate::Store::set_opt_outs)
    /// would, if a message of ours waited for this report.
    pub opted_out: bool,
}

/// The provider's id names a text of a customer's: it stays out of logs.
impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("delivered", &self.delivered)
            .field("code", &self.code)
            .field("opted_out", &self.opted_out)
            .finish_non_exhaustive()
    }
}

/// What the store did with a delivery report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recorded {
    /// The message is `delivered` or `delivery_failed` now.
    Done(MessageId),
    /// Told before, within the last hour. The first word stands.
    Again,
    /// The message waits no longer; it stays `sent`.
    Late,
    /// No text of this lane that waits for a report: not ours, told long ago, not waited for, or forgotten.
    Unknown,
}

/// What a message shows of its delivery; its state says which of the two it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeliveryReport {
    /// See [`Delivery::code`].
    pub code: String,
    /// When the store heard of it.
    pub at: Millis,
}
