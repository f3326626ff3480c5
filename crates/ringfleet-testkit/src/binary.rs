//! Where the redis-server is.

use std::{env, path::PathBuf};

/// `RINGFLEET_REDIS_SERVER`, or the first `redis-server` of `PATH`, or the usual places.
///
/// # Panics
/// When there is none: tests against a real server can't be skipped silently.
pub(crate) fn redis_server() -> PathBuf {
    if let Some(named) = env::var_os("RINGFLEET_REDIS_SERVER").filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        assert!(named.is_file(), "RINGFLEET_REDIS_SERVER is {}, which is no file", named.display());
        return named;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from);
    let found = env::split_paths(&path).chain(usual).map(|dir| dir.join("redis-server")).find(|file| file.is_file());
    found.unwrap_or_else(|| {
        panic!("install redis-server (Debian: apt-get install redis-server) or run `cargo xtask test`, which does")
    })
}
