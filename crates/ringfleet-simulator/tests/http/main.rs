//! The simulator over real sockets, as a client sees it.

mod faults;
mod judge;
mod limits;
mod message_store;
mod sms;
mod support;
mod tokens;
