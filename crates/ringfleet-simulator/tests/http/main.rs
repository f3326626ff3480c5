//! The simulator over real sockets, as a client sees it.

mod authorize;
mod faults;
mod judge;
mod limits;
mod message_store;
mod oauth_codes;
mod sms;
mod support;
mod tokens;
