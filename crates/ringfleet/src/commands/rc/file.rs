//! A file that is written page by page, and goes on after a kill with the page it had come to.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde_json::Value;

use super::{progress::Progress, source::Range};

pub(super) struct OutFile {
    file: File,
    path: PathBuf,
    progress: Progress,
}

impl OutFile {
    /// Goes on with a run that was interrupted, or begins one; `head` comes before the first page. A file that is there
    /// without a run that writes it is left alone.
    pub(super) fn open(path: &Path, question: Value, range: Range, head: &[u8]) -> anyhow::Result<Self> {
        let shown = path.display();
        let beside = beside(path);
        anyhow::ensure!(
            beside.exists() || !path.exists(),
            "{shown} is there already, and no run is under way that writes it: name another --output, or move it away"
        );
        let progress = Progress::open(beside, question, range)?;
        let mut options = of_owner();
        options.write(true).truncate(false);
        if progress.is_new() {
            options.create_new(true)
        } else {
            options.create(true)
        };
        let mut file = options.open(path).with_context(|| format!("can't open {shown}"))?;
        let length = file.metadata()?.len();
        anyhow::ensure!(
            length >= progress.bytes(),
            "{shown} is shorter than its pages were: somebody has changed it; move it and {shown}.progress away"
        );
        file.set_len(progress.bytes())?;
        file.seek(SeekFrom::End(0))?;
        if progress.bytes() == 0 {
            file.write_all(head).with_context(|| format!("can't write {shown}"))?;
        }
        Ok(Self { file, path: path.to_owned(), progress })
    }

    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Adds a page. After an error the run must end; the next one goes on from the last page that was added.
    pub(super) fn add(&mut self, extension: &str, page: u32, last: bool, records: &[u8]) -> anyhow::Result<()> {
        let shown = self.path.display();
        let mut write = || {
            self.file.write_all(records)?;
            self.file.sync_data()?;
            let bytes = self.file.stream_position()?;
            self.progress.note(extension, page, last, bytes)
        };
        write().with_context(|| {
            format!("can't write {shown}; what is there is kept, and the same command goes on with it")
        })
    }

    /// All is read.
    pub(super) fn end(self) -> anyhow::Result<()> {
        self.progress.remove().with_context(|| format!("can't remove {}.progress", self.path.display()))
    }
}

/// A file that is made is its owner's only: texts and numbers stand in it.
pub(in crate::commands) fn of_owner() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".progress");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn range(to: &str) -> Range {
        Range { from: "2026-11-01T00:00:00Z".parse().unwrap(), to: to.parse().unwrap() }
    }

    fn open(path: &Path) -> anyhow::Result<OutFile> {
        OutFile::open(path, json!({"read": "x"}), range("2026-11-02T00:00:00Z"), b"head\n")
    }

    #[test]
    fn a_page_that_was_not_noted_is_cut_off_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let mut file = open(&path).unwrap();
        file.add("101", 1, false, b"one\n").unwrap();
        file.add("102", 1, true, b"two\n").unwrap();
        // Killed between a page and its line, and in the middle of the line.
        file.file.write_all(b"thr").unwrap();
        drop(file);
        let mut notes = OpenOptions::new().append(true).open(beside(&path)).unwrap();
        notes.write_all(br#"{"extension":"101","pa"#).unwrap();
        drop(notes);
        let mut file = OutFile::open(&path, json!({"read": "x"}), range("2026-11-09T00:00:00Z"), b"head\n").unwrap();
        let pages = ["101", "102", "103"].map(|extension| file.progress().next_page(extension));
        assert_eq!(pages, [Some(2), None, Some(1)]);
        // The range is the first run's.
        assert_eq!(file.progress().range(), range("2026-11-02T00:00:00Z"));
        file.add("101", 2, true, b"three\n").unwrap();
        file.end().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "head\none\ntwo\nthree\n");
        assert!(!beside(&path).exists());
    }

    #[cfg(unix)]
    #[test]
    fn the_file_and_its_progress_are_their_owners_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let _file = open(&path).unwrap();
        for path in [beside(&path), path] {
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0, "{}", path.display());
        }
    }

    #[test]
    fn a_file_that_no_run_writes_is_left_alone_and_so_is_a_run_with_other_options() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        std::fs::write(&path, "somebody's").unwrap();
        assert!(open(&path).err().unwrap().to_string().contains("there already"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody's");
        let path = folder.path().join("other");
        let running = open(&path).unwrap();
        assert!(open(&path).err().unwrap().to_string().contains("under way elsewhere"));
        drop(running);
        let other = OutFile::open(&path, json!({"read": "y"}), range("2026-11-02T00:00:00Z"), b"");
        assert!(other.err().unwrap().to_string().contains("other options"));
        std::fs::write(beside(&path), "{}\n").unwrap();
        assert!(open(&path).err().unwrap().to_string().contains("not what this program writes"));
    }
}
