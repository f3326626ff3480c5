//! The ring file: one a worker, locked while it lives. The file of a dead one is read, and used again; it is never removed, as
//! nobody else may know of its sends by the time when a backup is brought back. So a folder holds as many as there were workers
//! at once.

use std::{
    collections::HashMap,
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, Once, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use super::{
    MOST,
    entry::{Entry, SIZE},
};

#[cfg(test)]
mod tests;

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
/// How often a living worker looks whether its file is still there.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// Tells a file from all others, whatever its name: device and inode.
pub(super) type FileId = (u64, u64);
/// When a file was last written: each worker does so as it begins with it, and none can while it is read.
pub(super) type Written = (i64, i64);

pub(super) struct Ring {
    dir: PathBuf,
    held: Mutex<Held>,
    pub(super) next: Mutex<u64>,
}

/// The file of this worker, and where it lies.
struct Held {
    file: Arc<File>,
    path: PathBuf,
    looked: Instant,
    /// Whether people were told that it is gone.
    said: bool,
}

/// Why a file tells nothing.
enum Mute {
    Disk(io::Error),
    OtherStore,
    /// Something is in it, but it does not begin as a journal does.
    NoJournal,
}

impl Ring {
    /// The first free file of `dir`, and what it still tells, in the order in which it was written.
    pub(super) fn open(dir: &Path, epoch: &str) -> Result<(Self, Vec<Entry>), JournalError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::Folder { path, source }
        };
        fs::create_dir_all(dir).map_err(at(dir))?;
        check(dir, epoch)?;
        let mut left = Vec::new();
        let mut own: Option<(File, PathBuf, u64)> = None;
        // Those of other dead workers are left to `adopt`.
        for n in 0..MOST_FILES {
            let path = place(dir, n);
            let Some(mut file) = take(&path).map_err(at(&path))? else { continue };
            let mut told = read(&mut file, epoch);
            if matches!(told, Err(Mute::NoJournal)) {
                move_aside(&path).map_err(at(&path))?;
                file = match take(&path).map_err(at(&path))? {
                    Some(file) => file,
                    None => continue,
                };
                told = read(&mut file, epoch);
            }
            let (entries, last) = told.map_err(|mute| match mute {
                Mute::Disk(error) => at(&path)(error),
                Mute::OtherStore => JournalError::OtherStore { path: path.clone() },
                Mute::NoJournal => JournalError::Broken,
            })?;
            left.extend(entries);
            own = Some((file, path, last + 1));
            break;
        }
        let (file, path, next) = own.ok_or_else(|| JournalError::Full { path: dir.to_owned() })?;
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        let name = epoch.as_bytes();
        let length = name.len().min(HEADER - 9);
        header[8] = length as u8;
        header[9..9 + length].copy_from_slice(&name[..length]);
        file.write_all_at(&header, 0).and_then(|()| file.sync_all()).map_err(at(dir))?;
        fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(at(dir))?;
        let held = Held { file: Arc::new(file), path, looked: Instant::now(), said: false };
        Ok((Self { dir: dir.to_owned(), held: Mutex::new(held), next: Mutex::new(next) }, left))
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
            match read(&mut file, epoch) {
                Ok((entries, _)) => found.push((id(&of), written(&of), entries)),
                // Tried again at the next look.
                Err(Mute::Disk(_)) => {}
                // Left where it is: a worker that takes its place moves it aside.
                Err(Mute::NoJournal) => {
                    tracing::error!(
                        path = %path.display(),
                        "this journal of a dead worker can't be read: its beginning is damaged. What that worker sent last may \
                         not be known; keep the file"
                    );
                    found.push((id(&of), written(&of), Vec::new()));
                }
                // SEND-SAFETY: this worker goes on: the file was not there when it began, and its own store has answered by
                // the same name ever since. So it is another fleet's, or that of a process which had opened a store that
                // is gone, and was too late to send anything.
                Err(Mute::OtherStore) => SAID.call_once(|| {
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
        let mut held = self.held();
        for entry in entries {
            let place = HEADER as u64 + (*next % MOST as u64) * SIZE as u64;
            held.file.write_all_at(&entry.to_bytes(*next), place)?;
            *next += 1;
        }
        if held.looked.elapsed() < LOOK_EVERY {
            return Ok(());
        }
        if !is_gone(&held.file, &held.path) {
            held.looked = Instant::now();
            return Ok(());
        }
        // Not put back, it is tried again with the next write: what is written meanwhile is in the old one too.
        self.put_back(&mut held)
    }

    /// SEND-SAFETY: a file without a name is gone with its worker, and what that has sent last. It still holds all of it, and is
    /// copied into a new one. Not to a place that has a file: that may be another worker's by now, or tell of a dead one.
    fn put_back(&self, held: &mut Held) -> io::Result<()> {
        if !std::mem::replace(&mut held.said, true) {
            tracing::error!(
                path = %held.path.display(),
                "the journal of this worker was removed while it was in use; it is put back as soon as that can be done"
            );
        }
        fs::create_dir_all(&self.dir)?;
        for n in 0..MOST_FILES {
            let path = place(&self.dir, n);
            let file = match options().create_new(true).open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            if !is_free(&file) || !is_at(&file, &path) {
                continue;
            }
            let copied = copy(&held.file, &file).and_then(|()| File::open(&self.dir)?.sync_all());
            if let Err(error) = copied {
                // Or each write to a full disk would leave one more.
                let _ = fs::remove_file(&path);
                return Err(error);
            }
            // One that can't be put back is an error of each write that meets it.
            metrics::counter!("ringfleet_journal_errors_total").increment(1);
            *held = Held { file: Arc::new(file), path, looked: Instant::now(), said: false };
            return Ok(());
        }
        Err(io::Error::other("all places of the journal folder are taken"))
    }

    /// Blocks until all that was written is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        let file = self.held().file.clone();
        file.sync_data()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses another store than the one that the files of `dir` tell of. Only reads: nothing is made, and nothing locked.
///
/// SEND-SAFETY: a new store does not know what the one before has sent, and takes each of those texts for a new one. All files
/// are looked at, those in use too: the first free place may have nothing to tell.
pub(super) fn check(dir: &Path, epoch: &str) -> Result<(), JournalError> {
    for n in 0..MOST_FILES {
        let path = place(dir, n);
        let known = epoch_at(&path).map_err(|source| JournalError::Folder { path: path.clone(), source })?;
        if known.is_some_and(|known| known != epoch.as_bytes()) {
            return Err(JournalError::OtherStore { path });
        }
    }
    Ok(())
}

fn place(dir: &Path, n: u32) -> PathBuf {
    dir.join(format!("worker-{n}.journal"))
}

fn options() -> fs::OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).mode(0o600);
    options
}

/// Opens a file, or makes it, and locks it. `None`: another worker has it.
fn take(path: &Path) -> io::Result<Option<File>> {
    let file = options().create(true).truncate(false).open(path)?;
    // One that was removed in this moment is nobody's any more.
    Ok((is_free(&file) && is_at(&file, path)).then_some(file))
}

fn copy(from: &File, to: &File) -> io::Result<()> {
    let mut whole = vec![0; usize::try_from(from.metadata()?.len()).map_err(io::Error::other)?];
    from.read_exact_at(&mut whole, 0)?;
    to.write_all_at(&whole, 0)?;
    to.sync_all()
}

/// SEND-SAFETY: only its beginning may be damaged, and the rest be all that is known of what was sent last.
fn move_aside(path: &Path) -> io::Result<()> {
    let ms = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
    let aside = path.with_extension(format!("journal.unreadable-{ms}"));
    fs::rename(path, &aside)?;
    tracing::error!(
        path = %path.display(),
        aside = %aside.display(),
        "this journal can't be read: its beginning is damaged. It was moved aside and a new one is begun. What its worker sent \
         last may not be known: after a crash of the store look at what RingCentral has before anything is handed in again; \
         keep the file"
    );
    Ok(())
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

/// Whether nobody will find it there again. What can't be looked at now is taken to be there.
fn is_gone(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(here), Ok(there)) => id(&here) != id(&there),
        (_, Err(error)) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        (Err(_), Ok(_)) => false,
    }
}

fn id(of: &Metadata) -> FileId {
    (of.dev(), of.ino())
}

fn written(of: &Metadata) -> Written {
    (of.ctime(), of.ctime_nsec())
}

/// The entries of a file, the oldest first, and the number of the newest.
fn read(file: &mut File, epoch: &str) -> Result<(Vec<Entry>, u64), Mute> {
    let mut raw = Vec::new();
    file.read_to_end(&mut raw).map_err(Mute::Disk)?;
    // A worker that died as it made it has left less than the header, or zeros: no send was begun then.
    let Some((header, body)) = raw.split_at_checked(HEADER) else { return Ok((Vec::new(), 0)) };
    let Some(known) = epoch_in(header) else {
        return if raw.iter().all(|byte| *byte == 0) { Ok((Vec::new(), 0)) } else { Err(Mute::NoJournal) };
    };
    if known != epoch.as_bytes() {
        return Err(Mute::OtherStore);
    }
    let mut entries: Vec<(u64, Entry)> = body.as_chunks::<SIZE>().0.iter().filter_map(Entry::from_bytes).collect();
    entries.sort_by_key(|(number, _)| *number);
    let last = entries.last().map_or(0, |(number, _)| *number);
    Ok((entries.into_iter().map(|(_, entry)| entry).collect(), last))
}
