//! How far a run has come: a file beside the one that it writes, with a line for each page.
//!
//! The first line tells the question and the range of time; each further line that a page is in the output, and how long the
//! output is with it. A line is added after its page is on the disk. So what stands in the output behind the last noted length
//! was never noted: it is cut off and read again, and no page is missing or there twice, wherever the run was killed.

use std::{
    collections::HashMap,
    fs::{File, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::PathBuf,
};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{file::of_owner, source::Range};

const VERSION: u32 = 1;

pub(super) struct Progress {
    file: File,
    path: PathBuf,
    head: Head,
    /// Nobody has begun this run before.
    is_new: bool,
    reached: HashMap<String, Reached>,
    bytes: u64,
}

/// The first line.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    question: Value,
    range: Range,
}

/// Any other line.
#[derive(Serialize, Deserialize)]
struct Note {
    extension: String,
    page: u32,
    last: bool,
    /// How long the output is with this page.
    bytes: u64,
}

#[derive(Clone, Copy)]
struct Reached {
    page: u32,
    last: bool,
}

impl Progress {
    /// Goes on with the run that the file tells of, or begins one. Keeps other processes off it.
    pub(super) fn open(path: PathBuf, question: Value, range: Range) -> anyhow::Result<Self> {
        let shown = path.display().to_string();
        let file = of_owner().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = file.with_context(|| format!("can't open {shown}"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => anyhow::bail!("{shown} is in use: the same run is under way elsewhere"),
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("can't lock {shown}")),
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).with_context(|| format!("can't read {shown}"))?;
        // A line that was cut by a kill counts as never written.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut lines = text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let unknown = || format!("{shown} is not what this program writes; name another --output");
        let begun: Option<Head> = lines.next().map(serde_json::from_slice).transpose().with_context(unknown)?;
        let is_new = begun.is_none();
        let head = begun.unwrap_or(Head { version: VERSION, question: question.clone(), range });
        anyhow::ensure!(head.version == VERSION, "{}", unknown());
        anyhow::ensure!(
            head.question == question,
            "{shown} tells of a run with other options: give the same ones to go on with it, or name another --output"
        );
        let (mut reached, mut bytes) = (HashMap::new(), 0);
        for line in lines {
            let note: Note = serde_json::from_slice(line).with_context(unknown)?;
            bytes = note.bytes;
            reached.insert(note.extension, Reached { page: note.page, last: note.last });
        }
        file.set_len(whole as u64)?;
        file.seek(SeekFrom::End(0))?;
        let mut this = Self { file, path, head, is_new, reached, bytes };
        if is_new {
            let head = serde_json::to_vec(&this.head)?;
            this.add(head).with_context(|| format!("can't write {shown}"))?;
        }
        Ok(this)
    }

    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    /// As it was when the run began.
    pub(super) fn range(&self) -> Range {
        self.head.range
    }

    /// How long the output is with all pages that are noted.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The page that an extension has come to; `None` if all are there.
    pub(super) fn next_page(&self, extension: &str) -> Option<u32> {
        match self.reached.get(extension) {
            None => Some(1),
            Some(reached) if reached.last => None,
            Some(reached) => Some(reached.page + 1),
        }
    }

    /// Notes a page that is in the output and on the disk, which makes it `bytes` long.
    pub(super) fn note(&mut self, extension: &str, page: u32, last: bool, bytes: u64) -> io::Result<()> {
        let line = serde_json::to_vec(&Note { extension: extension.to_owned(), page, last, bytes })?;
        self.add(line)?;
        self.bytes = bytes;
        self.reached.insert(extension.to_owned(), Reached { page, last });
        Ok(())
    }

    /// All is read.
    pub(super) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }

    fn add(&mut self, mut line: Vec<u8>) -> io::Result<()> {
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.file.sync_data()
    }
}
