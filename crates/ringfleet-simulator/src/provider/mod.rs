//! `/restapi/v1.0`: what RingCentral offers to an app with the permissions ReadAccounts, ReadMessages and SMS.

mod account;
mod answer;
mod caller;
mod error;
mod message_record;
mod message_store;
mod multipart;
mod paging;
mod router;
mod sms;
mod sms_request;

pub(crate) use answer::{gateway_page, json_response, rate_headers, read_body};
pub(crate) use error::ApiError;
pub(crate) use router::router;
