//! A secret from a terminal, from standard input or from a file.

use std::{
    fs::File,
    io::{IsTerminal, Read},
    path::Path,
};

use anyhow::Context;
use console::Term;
use secrecy::zeroize::Zeroizing;

use crate::output::remark;

/// Far above any secret; what is longer is another file.
const MAX_BYTES: u64 = 64 * 1_024;

/// Reads the secret; `what` tells a person at a terminal what to paste.
pub(super) fn read(file: Option<&Path>, what: &str) -> anyhow::Result<Zeroizing<String>> {
    match file {
        // Not named in the error: somebody may have put the secret itself in its place.
        Some(path) => from_file(path).context("the file named with --file can't be used"),
        None if std::io::stdin().is_terminal() => ask(what),
        None => whole(&mut std::io::stdin()).context("the secret can't be read from standard input"),
    }
}

fn ask(what: &str) -> anyhow::Result<Zeroizing<String>> {
    let terminal = Term::stderr();
    anyhow::ensure!(
        terminal.is_term(),
        "standard error is not a terminal: pipe the secret in, or name a file with --file"
    );
    terminal.write_str(&format!("{what} (it is not shown): "))?;
    Ok(Zeroizing::new(terminal.read_secure_line()?))
}

/// Reads a secret's file and says so if others can read it too.
pub(super) fn from_file(path: &Path) -> std::io::Result<Zeroizing<String>> {
    let mut file = File::open(path)?;
    if open_to_others(&file) {
        remark!("note: a secret's file can be read by other users of this machine; chmod 600 closes it");
    }
    whole(&mut file)
}

#[cfg(unix)]
fn open_to_others(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|data| data.is_file() && data.mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn open_to_others(_: &File) -> bool {
    false
}

/// All of it but the line break at its end.
fn whole(from: &mut dyn Read) -> std::io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    from.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(std::io::Error::other("it is longer than 64 KiB; is it the right one?"));
    }
    let end = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(end);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_line_break_at_the_end_is_dropped() {
        assert_eq!(*whole(&mut " a b \r\n".as_bytes()).unwrap(), " a b ");
        assert!(whole(&mut std::io::repeat(b'x').take(MAX_BYTES + 1)).is_err());
    }
}
