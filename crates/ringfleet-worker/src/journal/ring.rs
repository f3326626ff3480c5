//! The ring file: one a worker, locked while it lives. The file of a dead one is read, and used again; it is never removed, as
//! nobody else may know of its sends by the time when a backup is brought back. So a folder holds as many as there were workers
//! at once.

use std::{
    collections::HashMap,
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, Once, PoisonError},
    thread,
    time::{Duration, Instant},
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
         texts is gone; make sure that nothing is handed in again, then remove the journal folder. If it is another fleet's, \
         set worker.journal_dir to a folder of this one's own"
    )]
    OtherStore { path: PathBuf },
    #[error("journal can't be opened")]
    Broken,
}

/// How long a free file that others read is waited for before another one is taken.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// Tells a file from all others, whatever its name: device and inode.
pub(super) type FileId = (u64, u64);
/// When a file was last written: each worker does so as it begins with it, and none can while it is read.
pub(super) type Written = (i64, i64);

pub(super) struct Ring {
    file: File,
    pub(super) next: Mutex<u64>,
}

impl Ring {
    /// The first free file of `dir`, and what it still tells, in the order in which it was written.
    pub(super) fn open(dir: &Path, epoch: &str) -> Result<(Self, Vec<Entry>), JournalError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::Folder { path, source }
        };
        fs::create_dir_all(dir).map_err(at(dir))?;
        // SEND-SAFETY: a new store does not know what the one before has sent, and takes each of those texts for a new one.
        // All files are looked at, those in use too: the first free place may have nothing to tell.
        for n in 0..MOST_FILES {
            let path = place(dir, n);
            let known = epoch_at(&path).map_err(at(&path))?;
            if known.is_some_and(|known| known != epoch.as_bytes()) {
                return Err(JournalError::OtherStore { path });
            }
        }
        let mut left = Vec::new();
        let mut own: Option<(File, u64)> = None;
        // Those of other dead workers are left to `adopt`.
        for n in 0..MOST_FILES {
            let path = place(dir, n);
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let mut file = options.open(&path).map_err(at(&path))?;
            // One that was removed in this moment is nobody's any more.
            if !is_free(&file) || !is_at(&file, &path) {
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

    /// What the files of workers that have died tell, but for those that are `known` and were not written since.
    ///
    /// SEND-SAFETY: read under a lock that lets others read too: each worker tells all of them before it claims anything.
    pub(super) fn adopt(
        dir: &Path,
        epoch: &str,
        known: &HashMap<FileId, Written>,
    ) -> io::Result<Vec<(FileId, Written, Vec<Entry>)>> {
        static SAID: Once = Once::new();
        let is_known = |of: &Metadata| known.get(&id(of)) == Some(&written(of));
        let mut found = Vec::new();
        for n in 0..MOST_FILES {
            let path = place(dir, n);
            let mut file = match fs::metadata(&path) {
                Ok(of) if is_known(&of) => continue,
                Ok(_) => File::open(&path)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if file.try_lock_shared().is_err() {
                continue;
            }
            // Not before it is locked: its worker may have written meanwhile.
            let of = file.metadata()?;
            match read(&mut file, epoch, &path) {
                Ok((entries, _)) => found.push((id(&of), written(&of), entries)),
                // Tried again at the next look.
                Err(Some(_)) => {}
                // SEND-SAFETY: this worker goes on: the file was not there when it began, and its own store has answered by
                // the same name ever since. So it is another fleet's, or that of a process which had opened a store that
                // is gone, and was too late to send anything.
                Err(None) => SAID.call_once(|| {
                    tracing::error!(
                        path = %path.display(),
                        "another store's journal has come into this worker's folder; no worker begins with it there: give \
                         each fleet a worker.journal_dir of its own"
                    );
                }),
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

fn place(dir: &Path, n: u32) -> PathBuf {
    dir.join(format!("worker-{n}.journal"))
}

/// The store that a file tells of, which stands there from its beginning on: no lock is needed. `None` where there is no file,
/// or one that was just made.
fn epoch_at(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; HEADER];
    match File::open(path).and_then(|file| file.read_exact_at(&mut header, 0)) {
        Ok(()) => Ok(epoch_in(&header).map(<[u8]>::to_vec)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `None`: this is no journal's header.
fn epoch_in(header: &[u8]) -> Option<&[u8]> {
    let rest = header.strip_prefix(MAGIC)?;
    let (length, rest) = rest.split_first()?;
    Some(rest.get(..usize::from(*length)).unwrap_or_default())
}

/// Whether it is locked for this worker now: no living one has it. One that is only being read is waited for, or each start
/// beside other workers could leave one file more.
fn is_free(file: &File) -> bool {
    let give_up = Instant::now() + READ_WITHIN;
    while file.try_lock().is_err() {
        if file.try_lock_shared().is_err() || file.unlock().is_err() || Instant::now() > give_up {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

fn is_at(file: &File, path: &Path) -> bool {
    let (here, there) = (file.metadata(), fs::metadata(path));
    matches!((here, there), (Ok(here), Ok(there)) if id(&here) == id(&there))
}

fn id(of: &Metadata) -> FileId {
    (of.dev(), of.ino())
}

fn written(of: &Metadata) -> Written {
    (of.ctime(), of.ctime_nsec())
}

/// The entries of a file, the oldest first, and the number of the newest. The error is `None` for another store's file.
fn read(file: &mut File, epoch: &str, path: &Path) -> Result<(Vec<Entry>, u64), Option<io::Error>> {
    let mut raw = Vec::new();
    file.read_to_end(&mut raw).map_err(Some)?;
    let Some((header, body)) = raw.split_at_checked(HEADER) else { return Ok((Vec::new(), 0)) };
    let Some(known) = epoch_in(header) else {
        tracing::warn!(path = %path.display(), "this is not a journal; it is written anew");
        return Ok((Vec::new(), 0));
    };
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
        let adopt = |known: &HashMap<FileId, Written>| Ring::adopt(dir.path(), "2:a", known);
        let found = adopt(&HashMap::new())?;
        assert_eq!((found.len(), found[0].2.as_slice()), (1, [entry(3)].as_slice()), "the other dead one's");
        let known = found.into_iter().map(|(id, written, _)| (id, written)).collect();
        assert!(adopt(&known)?.is_empty(), "it says nothing new");
        drop(Ring::open(dir.path(), "2:a")?);
        assert_eq!(adopt(&known)?.len(), 1, "it was used again");
        Ok(())
    }

    #[test]
    fn a_worker_that_begins_while_others_read_a_dead_ones_file_waits_and_takes_it()
    -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        Ring::open(dir.path(), "2:a")?.0.write(&[entry(1)])?;
        let reader = File::open(place(dir.path(), 0))?;
        reader.lock_shared()?;
        let reading = thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            drop(reader);
        });
        let (_own, left) = Ring::open(dir.path(), "2:a")?;
        assert_eq!(left, [entry(1)]);
        assert!(!place(dir.path(), 1).exists());
        assert!(reading.join().is_ok());
        Ok(())
    }

    #[test]
    fn a_dead_workers_file_is_read_by_all_who_look_at_the_same_time() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        Ring::open(dir.path(), "2:a")?.0.write(&[entry(1)])?;
        let another = File::open(place(dir.path(), 0))?;
        another.lock_shared()?;
        let found = Ring::adopt(dir.path(), "2:a", &HashMap::new())?;
        assert_eq!((found.len(), found[0].2.as_slice()), (1, [entry(1)].as_slice()));
        Ok(())
    }

    #[test]
    fn a_journal_of_another_store_is_refused() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        drop(Ring::open(dir.path(), "2:a")?);
        assert!(matches!(Ring::open(dir.path(), "2:b"), Err(JournalError::OtherStore { .. })));
        Ok(())
    }

    #[test]
    fn another_store_is_refused_wherever_its_journal_lies_and_whoever_holds_it()
    -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let is_refused = || matches!(Ring::open(dir.path(), "2:b"), Err(JournalError::OtherStore { .. }));
        let (first, _) = Ring::open(dir.path(), "2:a")?;
        let (second, _) = Ring::open(dir.path(), "2:a")?;
        assert!(is_refused(), "all are in use");
        drop(first);
        fs::remove_file(place(dir.path(), 0))?;
        assert!(is_refused(), "the first place is free, and the other one in use");
        drop(second);
        assert!(is_refused(), "what was told of is gone, but not all");
        assert!(!place(dir.path(), 0).exists(), "who is refused leaves no file");
        Ring::open(dir.path(), "2:a")?;
        Ok(())
    }

    #[test]
    fn another_stores_journal_beside_a_living_worker_is_left_there_and_told_of_once()
    -> Result<(), Box<dyn std::error::Error>> {
        let (dir, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let _own = Ring::open(dir.path(), "2:a")?;
        drop(Ring::open(other.path(), "2:b")?);
        fs::copy(place(other.path(), 0), place(dir.path(), 1))?;
        let log = dir.path().join("log");
        let writer = std::sync::Arc::new(File::create(&log)?);
        let _log = tracing::subscriber::set_default(tracing_subscriber::fmt().with_writer(writer).finish());
        for _ in 0..2 {
            assert!(Ring::adopt(dir.path(), "2:a", &HashMap::new())?.is_empty());
        }
        assert!(place(dir.path(), 1).exists());
        let log = fs::read_to_string(log)?;
        assert_eq!(log.matches("ERROR").count(), 1, "{log}");
        assert!(log.contains("worker-1.journal") && log.contains("worker.journal_dir"), "{log}");
        Ok(())
    }
}
