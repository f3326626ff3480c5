//! The simulator over real sockets, as a client sees it.

mod account;
mod authorize;
mod call_log;
mod consents;
mod faults;
mod inbound;
mod judge;
mod limits;
mod message_store;
mod message_sync;
mod oauth_codes;
mod receiver;
mod sms;
mod subscriptions;
mod support;
mod tokens;
mod webhooks;
