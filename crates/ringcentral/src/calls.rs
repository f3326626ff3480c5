//! The calls, one file for each part of the API.

// Logins
pub(crate) mod authorize;
pub(crate) mod grants;
pub(crate) mod token;

// The one call that costs a customer something
pub(crate) mod sms;

// Reads: how, and what
pub(crate) mod page;
mod paging;
pub(crate) mod probe;
pub(crate) mod read;

pub(crate) mod call_log;
pub(crate) mod directory;
pub(crate) mod eligibility;
pub(crate) mod messages;
pub(crate) mod numbers;
pub(crate) mod subscriptions;
pub(crate) mod sync;
