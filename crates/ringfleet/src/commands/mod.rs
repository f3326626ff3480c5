//! One module a command.

pub(crate) mod callbacks;
pub(crate) mod config;
pub(crate) mod credentials;
pub(crate) mod demo;
pub(crate) mod doctor;
mod evidence;
pub(crate) mod explain;
pub(crate) mod explain_code;
pub(crate) mod extensions;
pub(crate) mod fleet;
pub(crate) mod held;
pub(crate) mod import;
pub(crate) mod inbound;
mod listing;
pub(crate) mod operate;
pub(crate) mod opt_out;
mod opt_out_file;
pub(crate) mod rc;
mod shown;
pub(crate) mod simulator;
pub(crate) mod status;
mod waiting;
