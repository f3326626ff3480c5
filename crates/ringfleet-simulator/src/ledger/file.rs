//! The ledger on disk.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::line::LedgerLine;
use crate::world::lock;

/// A quarter of a megabyte holds about a second of full load.
const BUFFER_BYTES: usize = 256 * 1024;

/// Nothing when no path is configured.
pub(crate) struct LedgerFile {
    out: Option<Mutex<BufWriter<File>>>,
    broken: AtomicBool,
}

impl LedgerFile {
    pub(crate) fn create(path: Option<&Path>) -> io::Result<Self> {
        let file = path.map(File::create).transpose()?;
        Ok(Self {
            out: file.map(|file| Mutex::new(BufWriter::with_capacity(BUFFER_BYTES, file))),
            broken: AtomicBool::new(false),
        })
    }

    /// The line is built only when somebody wants it.
    pub(crate) fn append(&self, line: impl FnOnce() -> LedgerLine) {
        let Some(out) = &self.out else { return };
        let written = serde_json::to_vec(&line()).map_err(io::Error::from).and_then(|mut bytes| {
            bytes.push(b'\n');
            lock(out).write_all(&bytes)
        });
        self.note(written);
    }

    pub(crate) fn flush(&self) {
        if let Some(out) = &self.out {
            let flushed = lock(out).flush();
            self.note(flushed);
        }
    }

    /// A full disk must not stop the judge, whose memory is complete; said once.
    fn note(&self, result: io::Result<()>) {
        if let Err(error) = result
            && !self.broken.swap(true, Ordering::Relaxed)
        {
            tracing::error!(%error, "can't write the ledger file");
        }
    }
}
