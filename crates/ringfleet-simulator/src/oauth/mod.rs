//! `/restapi/oauth`: tokens.

mod client;
mod endpoint;
mod error;
mod grant;

pub(crate) use endpoint::{gift, revoke, token};
