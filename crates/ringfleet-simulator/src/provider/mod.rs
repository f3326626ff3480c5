//! `/restapi`: what RingCentral offers to an app with the permissions ReadAccounts, ReadCallLog, ReadMessages and SMS.

mod account;
mod answer;
mod authz_profile;
mod call;
mod call_log;
mod call_record;
mod caller;
mod consents;
mod error;
mod message_filter;
mod message_record;
mod message_store;
mod message_sync;
mod multipart;
mod operation;
mod paging;
mod router;
mod sms;
mod sms_configuration;
mod sms_request;
mod subscriptions;
mod time_range;

pub(crate) use answer::{Millis, gateway_page, json_response, rate_headers, read_body};
pub(crate) use error::ApiError;
pub(crate) use message_record::instant_body;
pub(crate) use router::router;
