//! Whether the file that is open still lies at its path. One that was removed, exchanged or emptied under its processes takes
//! what they write as ever, and nobody else will find it.

use std::{
    fs::{self, Metadata},
    io,
    path::{self, Path, PathBuf},
    time::{Duration, Instant},
};

use super::fault::{Fault, Step};

/// No look sooner after another.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Tells a file from all others, whatever its name: device and inode.
type FileId = (u64, u64);

pub(super) struct Place {
    path: PathBuf,
    file: FileId,
    looked: Option<Instant>,
    lost: bool,
}

impl Place {
    /// Of the file at `path`, before it is opened: one that is exchanged meanwhile is noticed at the first look.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        // As SQLite does: the process may go to another folder.
        let path = path::absolute(path)?;
        let file = id(&fs::metadata(&path)?);
        Ok(Self { path, file, looked: None, lost: false })
    }

    /// SEND-SAFETY: another process finds another file there, or makes one, which knows nothing of what was sent: the same text
    /// would go out from both, and nothing that is acknowledged here would be found again. A file that has come back was
    /// away: others may have begun without it.
    pub(super) fn look(&mut self) -> Step<()> {
        if !self.lost && self.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            self.looked = Some(Instant::now());
            self.lost = match fs::metadata(&self.path) {
                Ok(there) => id(&there) != self.file || there.len() == 0,
                // Another error is the disk's, and SQLite meets it too.
                Err(error) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
            };
            if self.lost {
                tracing::error!(
                    path = %self.path.display(),
                    "the store's file was removed, exchanged or emptied while it was in use; nothing more is done with it"
                );
            }
        }
        if self.lost { Err(Fault::Replaced) } else { Ok(()) }
    }
}

#[cfg(unix)]
fn id(of: &Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt;
    (of.dev(), of.ino())
}

/// Only a file that is gone, or empty, is noticed there.
#[cfg(not(unix))]
fn id(_of: &Metadata) -> FileId {
    (0, 0)
}
