//! The ring file: one a worker, locked while it lives. The file of a dead one is read, and used again.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{
    MOST,
    entry::{Entry, SIZE},
};

const MAGIC: &[u8; 8] = b"RFJOURN1";
/// Magic, then the store's epoch, then zeros.
const HEADER: usize = 256;
/// Workers that may share a folder.
const MOST_FILES: u32 = 256;

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("journal folder {path} can't be used; set worker.journal_dir to a folder that this user may write")]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("journal folder {path} is in use by {MOST_FILES} workers; give some of them another worker.journal_dir")]
    Full { path: PathBuf },
    /// The store was flushed or exchanged since: what was sent is forgotten there.
    #[error(
        "journal {path} tells of another store than this one: that one was flushed or exchanged, and what it knew of sent \
         texts is gone; make sure that nothing is handed in again, then remove the journal folder"
    )]
    OtherStore { path: PathBuf },
    #[error("journal can't be opened")]
    Broken,
}

/// A dead worker's file, which nobody else reads as long as it is open here.
pub(super) type Locked = (PathBuf, File);

pub(super) struct Ring {
    file: File,
    next: Mutex<u64>,
}

impl Ring {
    /// The first free file of `dir`, and what all free ones still tell, in the order in which it was written.
    pub(super) fn open(dir: &Path, epoch: &str) -> Result<(Self, Vec<Entry>), JournalError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::Folder { path, source }
        };
        fs::create_dir_all(dir).map_err(at(dir))?;
        let mut left = Vec::new();
        let mut own: Option<(File, u64)> = None;
        // Those of other dead workers are left to `adopt`.
        for n in 0..MOST_FILES {
            let path = dir.join(format!("worker-{n}.journal"));
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let mut file = options.open(&path).map_err(at(&path))?;
            // One that was adopted and removed in this moment is nobody's any more.
            if file.try_lock().is_err() || !is_at(&file, &path) {
                continue;
            }
            let (entries, last) = read(&mut file, epoch, &path).map_err(|error| match error {
                Some(error) => at(&path)(error),
                None => JournalError::OtherStore { path: path.clone() },
            })?;
            left.extend(entries);
            own = Some((file, last + 1));
            break;
        }
        let (file, next) = own.ok_or_else(|| JournalError::Full { path: dir.to_owned() })?;
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        let name = epoch.as_bytes();
        let length = name.len().min(HEADER - 9);
        header[8] = length as u8;
        header[9..9 + length].copy_from_slice(&name[..length]);
        file.write_all_at(&header, 0).and_then(|()| file.sync_all()).map_err(at(dir))?;
        fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(at(dir))?;
        Ok((Self { file, next: Mutex::new(next) }, left))
    }

    /// Takes over the files of workers that have died, locked so that nobody else does it too, with what each tells.
    pub(super) fn adopt(dir: &Path, epoch: &str) -> io::Result<Vec<(Locked, Vec<Entry>)>> {
        let mut found = Vec::new();
        for n in 0..MOST_FILES {
            let path = dir.join(format!("worker-{n}.journal"));
            let mut file = match File::options().read(true).write(true).open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            // One that another has adopted and removed in this moment: its name may be a living worker's by now.
            if file.try_lock().is_err() || !is_at(&file, &path) {
                continue;
            }
            if let Ok((entries, _)) = read(&mut file, epoch, &path) {
                found.push(((path, file), entries));
            }
        }
        Ok(found)
    }

    /// Into the system's cache: they survive this process.
    pub(super) fn write(&self, entries: &[Entry]) -> io::Result<()> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            let place = HEADER as u64 + (*next % MOST as u64) * SIZE as u64;
            self.file.write_all_at(&entry.to_bytes(*next), place)?;
            *next += 1;
        }
        Ok(())
    }

    /// Blocks until all that was written is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let (here, there) = (file.metadata(), fs::metadata(path));
    matches!((here, there), (Ok(here), Ok(there)) if here.ino() == there.ino() && here.dev() == there.dev())
}

/// The entries of a file, the oldest first, and the number of the newest. The error is `None` for another store's file.
fn read(file: &mut File, epoch: &str, path: &Path) -> Result<(Vec<Entry>, u64), Option<io::Error>> {
    let mut raw = Vec::new();
    file.read_to_end(&mut raw).map_err(Some)?;
    let Some((header, body)) = raw.split_at_checked(HEADER) else { return Ok((Vec::new(), 0)) };
    if &header[..8] != MAGIC {
        tracing::warn!(path = %path.display(), "this is not a journal; it is written anew");
        return Ok((Vec::new(), 0));
    }
    let known = header[9..].get(..header[8].into()).unwrap_or_default();
    if known != epoch.as_bytes() {
        return Err(None);
    }
    let mut entries: Vec<(u64, Entry)> = body.as_chunks::<SIZE>().0.iter().filter_map(Entry::from_bytes).collect();
    entries.sort_by_key(|(number, _)| *number);
    let last = entries.last().map_or(0, |(number, _)| *number);
    Ok((entries.into_iter().map(|(_, entry)| entry).collect(), last))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use ringfleet_store::{Group, LaneId, LeaseRef, LeaseToken, MessageId};

    use super::{super::entry::Story, *};

    fn entry(n: u64) -> Entry {
        Entry {
            lease: LeaseRef { id: MessageId::from_bytes([7; 16]), token: LeaseToken(n) },
            lane: LaneId::try_new("main", "1", Group::Medium).unwrap_or_else(|_| unreachable!()),
            story: Story::Unknown { reason: "timeout".to_owned() },
            at: UNIX_EPOCH + Duration::from_millis(n),
        }
    }

    #[test]
    fn a_dead_workers_file_is_read_and_a_living_ones_is_left_alone() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let (first, left) = Ring::open(dir.path(), "2:a")?;
        assert!(left.is_empty());
        first.write(&[entry(1), entry(2)])?;
        let (second, left) = Ring::open(dir.path(), "2:a")?;
        assert!(left.is_empty(), "the first worker lives");
        second.write(&[entry(3)])?;
        drop(first);
        let (third, left) = Ring::open(dir.path(), "2:a")?;
        assert_eq!(left, [entry(1), entry(2)]);
        third.write(&(10..10 + MOST as u64).map(entry).collect::<Vec<_>>())?;
        drop((second, third));
        let (_own, left) = Ring::open(dir.path(), "2:a")?;
        assert_eq!(left.len(), MOST, "the ring turned once");
        let found = Ring::adopt(dir.path(), "2:a")?;
        assert_eq!((found.len(), found[0].1.as_slice()), (1, [entry(3)].as_slice()), "the other dead one's");
        assert!(Ring::adopt(dir.path(), "2:a")?.is_empty(), "adopted once");
        Ok(())
    }

    #[test]
    fn a_journal_of_another_store_is_refused() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        drop(Ring::open(dir.path(), "2:a")?);
        assert!(matches!(Ring::open(dir.path(), "2:b"), Err(JournalError::OtherStore { .. })));
        Ok(())
    }
}
