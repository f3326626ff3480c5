//! One module a command.

pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod fleet;
pub(crate) mod import;
pub(crate) mod operate;
pub(crate) mod simulator;
pub(crate) mod status;
