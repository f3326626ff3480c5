//! Where the programs and libraries are that the guards stand on. What is missing fails the test that needs it: tests
//! against the real thing can't be skipped silently.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// `RINGFLEET_REDIS_SERVER`, or the first `redis-server` of `PATH`, or the usual places.
///
/// # Panics
/// When there is none.
pub(crate) fn redis_server() -> PathBuf {
    if let Some(named) = env::var_os("RINGFLEET_REDIS_SERVER").filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        assert!(named.is_file(), "RINGFLEET_REDIS_SERVER is {}, which is no file", named.display());
        return named;
    }
    program("redis-server")
}

/// # Panics
/// When there is none.
pub(crate) fn openssl() -> PathBuf {
    program("openssl")
}

/// The library that gives a program a clock of its own, by `LD_PRELOAD` and `FAKETIME`.
///
/// # Panics
/// When it is not installed.
pub fn libfaketime() -> PathBuf {
    library("faketime/libfaketime.so.1").unwrap_or_else(|| panic!("{}", remedy("faketime")))
}

/// A shared library in one of the directories that Debian and others keep them in.
pub(crate) fn library(name: &str) -> Option<PathBuf> {
    let roots = ["/usr/lib", "/usr/lib64", "/lib"].map(Path::new);
    // One below for each architecture.
    let below = roots.into_iter().filter_map(|root| fs::read_dir(root).ok()).flatten().flatten();
    let dirs = roots.map(Path::to_owned).into_iter().chain(below.map(|entry| entry.path()));
    dirs.map(|dir| dir.join(name)).find(|file| file.is_file())
}

fn program(name: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from);
    let found = env::split_paths(&path).chain(usual).map(|dir| dir.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{}", remedy(name)))
}

fn remedy(package: &str) -> String {
    format!("install {package} (Debian: apt-get install {package}) or run `cargo xtask test`, which does")
}
