//! The calls, one file for each part of the API.

pub(crate) mod authorize;
pub(crate) mod directory;
pub(crate) mod grants;
pub(crate) mod messages;
pub(crate) mod numbers;
pub(crate) mod page;
pub(crate) mod sms;
pub(crate) mod token;
