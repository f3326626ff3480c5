//! How many files, which includes connections, this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Takes as many as the system lets this process have, instead of the 1,024 that it gives to any for the sake of `select(2)`,
/// which nothing here calls: API, metrics and connect page may have 512 connections each, beside those of a worker.
pub(crate) fn take_all() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Where that is refused it stays as it was, and a listener that lacks files says so.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
}
