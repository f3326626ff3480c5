//! A clock of the server's own, beside the machine's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::binary;

/// Lets the server believe in the clock of this directory. How long something takes it measures by another clock, which
/// stays what it is, as when an administrator corrects the time.
///
/// # Panics
/// When libfaketime is not installed.
pub(super) fn give(command: &mut Command, dir: &Path) {
    let mut preload = vec![binary::libfaketime()];
    // With Debian's jemalloc in the place of malloc, libfaketime waits for itself while it starts. This library of
    // glibc's own puts the usual malloc back.
    preload.extend(binary::library("libc_malloc_debug.so.0"));
    let preload: Vec<_> = preload.iter().map(|file| file.to_string_lossy()).collect();
    command.env("LD_PRELOAD", preload.join(":")).env("FAKETIME_TIMESTAMP_FILE", file(dir));
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}

/// Puts it this far before the machine's clock, or behind.
pub(super) fn set(dir: &Path, seconds: i64) {
    // Never half a file: the server may look at any moment.
    let new = dir.join("clock.new");
    fs::write(&new, format!("{seconds:+}\n")).expect("own directory is writable");
    fs::rename(new, file(dir)).expect("own directory is writable");
}

fn file(dir: &Path) -> PathBuf {
    dir.join("clock")
}
