//! The end of an append-only file, cut off as a crash or a stale copy would.

use std::{
    fs::{self, File},
    ops::Range,
    path::{Path, PathBuf},
    str,
};

/// # Panics
/// When there is no append-only file.
pub(super) fn bytes(dir: &Path) -> u64 {
    fs::metadata(newest(dir)).expect("own file is readable").len()
}

/// # Panics
/// When there is no append-only file.
pub(super) fn cut_bytes(dir: &Path, bytes: u64) {
    let file = File::options().write(true).open(newest(dir)).expect("own file is writable");
    let length = file.metadata().expect("an open file has a length").len();
    file.set_len(length.saturating_sub(bytes)).expect("own file is writable");
}

/// # Panics
/// When there is no append-only file, or fewer commands in it.
pub(super) fn cut_commands(dir: &Path, number: usize) {
    let path = newest(dir);
    let content = fs::read(&path).expect("own file is readable");
    let all = commands(&content);
    assert!(number <= all.len(), "{number} commands are to be forgotten, and the file holds {}", all.len());
    if let Some(first) = all[all.len() - number..].first() {
        let file = File::options().write(true).open(path).expect("own file is writable");
        file.set_len(first.start as u64).expect("own file is writable");
    }
}

/// The file that is being appended to: since Redis 7 the one with the highest number of several.
fn newest(dir: &Path) -> PathBuf {
    let number = |path: &PathBuf| -> Option<u64> {
        path.file_name()?.to_str()?.strip_suffix(".incr.aof")?.rsplit('.').next()?.parse().ok()
    };
    let parts = fs::read_dir(dir.join("appendonlydir")).into_iter().flatten().flatten().map(|entry| entry.path());
    let single = Some(dir.join("appendonly.aof")).filter(|file| file.is_file());
    let found = parts.filter(|path| number(path).is_some()).max_by_key(number).or(single);
    found.unwrap_or_else(|| panic!("{} holds no append-only file: tell the builder append_only()", dir.display()))
}

/// Where the commands lie. What a script or a transaction wrote is one: it lies between MULTI and EXEC. The choice of a
/// database is none.
fn commands(content: &[u8]) -> Vec<Range<usize>> {
    let (mut found, mut at, mut block) = (Vec::new(), 0, None);
    while let Some((name, end)) = command(content, at) {
        match name.to_ascii_uppercase().as_slice() {
            b"MULTI" => block = Some(at),
            b"EXEC" => found.extend(block.take().map(|start| start..end)),
            b"SELECT" => {}
            _ if block.is_none() => found.push(at..end),
            _ => {}
        }
        at = end;
    }
    found
}

/// The name of the command at this place, and where it ends; `None` when it is not whole.
fn command(content: &[u8], mut at: usize) -> Option<(&[u8], usize)> {
    let mut head = line(content, &mut at)?;
    // A remark, such as the time.
    while head.starts_with(b"#") {
        head = line(content, &mut at)?;
    }
    let (mut name, parts) = (None, number(head, b"*"));
    for _ in 0..parts {
        let length = number(line(content, &mut at)?, b"$");
        let part = content.get(at..at + length)?;
        at += length + b"\r\n".len();
        name = name.or(Some(part));
    }
    (at <= content.len()).then_some((name?, at))
}

fn line<'a>(content: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let rest = content.get(*at..)?;
    let length = rest.windows(2).position(|end| end == b"\r\n")?;
    *at += length + 2;
    Some(&rest[..length])
}

fn number(line: &[u8], mark: &[u8]) -> usize {
    let digits = line.strip_prefix(mark).and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
    digits.unwrap_or_else(|| panic!("this is no command of an append-only file: {:?}", String::from_utf8_lossy(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(commands: &[&[&str]]) -> Vec<u8> {
        let part = |part: &&str| format!("${}\r\n{part}\r\n", part.len());
        let whole = |parts: &&[&str]| format!("*{}\r\n{}", parts.len(), parts.iter().map(part).collect::<String>());
        commands.iter().map(whole).collect::<String>().into_bytes()
    }

    #[test]
    fn a_transaction_is_one_command_and_half_a_command_is_none() {
        let head = written(&[&["SELECT", "0"]]);
        let set = written(&[&["SET", "key", "*1\r\n$4\r\nEXEC\r\n"]]);
        let block = written(&[&["MULTI"], &["SET", "key", "1"], &["SELECT", "1"], &["INCR", "key"], &["EXEC"]]);
        let mut content = [&head[..], b"#TS:1700000000\r\n", &set, &block].concat();
        let starts: Vec<_> = commands(&content).into_iter().map(|range| range.start).collect();
        assert_eq!(starts, [head.len(), content.len() - block.len()]);
        content.truncate(content.len() - 3);
        assert_eq!(commands(&content).len(), 1);
    }
}
