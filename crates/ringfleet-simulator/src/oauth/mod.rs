//! `/restapi/oauth`: the login page and tokens.

mod authorize;
mod authorize_request;
mod client;
mod endpoint;
mod error;
mod gate;
mod grant;
mod issue;
mod page;
mod redeem;

pub(crate) use authorize::{ask, decide};
pub(crate) use endpoint::{revoke, token};
pub(crate) use error::OauthError;
pub(crate) use issue::gift;
