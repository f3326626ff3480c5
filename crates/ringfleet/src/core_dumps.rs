//! What a process leaves behind that ends with a fault.

use rustix::process::{Resource, Rlimit, setrlimit};

/// Nothing: a dump of its memory holds the app's secret, sessions, keys and texts, and lies where others read. A program that takes
/// dumps from the system, such as systemd's, is told this limit and keeps none.
pub(crate) fn write_none() {
    // To lower both limits is nobody's to refuse.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}
