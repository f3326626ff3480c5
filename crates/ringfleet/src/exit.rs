//! Exit codes that mean something, and how errors are told.

use std::process::ExitCode;

use ringfleet_store::StoreError;

use crate::config::Faults;

pub(crate) const FAILED: u8 = 1;
/// Some rows or messages were refused; the others went in.
pub(crate) const PARTLY: u8 = 3;
/// `EX_CONFIG` would be 78; 64 is what supervisors of this field take for "don't restart, it can't help".
pub(crate) const CONFIG: u8 = 64;
/// `EX_UNAVAILABLE`.
pub(crate) const STORE: u8 = 69;

/// Prints the error with its causes, and says by the code whether a restart may help.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("ringfleet: {error:#}");
    let code = if error.is::<Faults>() {
        CONFIG
    } else {
        match error.downcast_ref::<StoreError>() {
            Some(StoreError::Unfit { .. }) => CONFIG,
            Some(_) => STORE,
            None => FAILED,
        }
    };
    ExitCode::from(code)
}
