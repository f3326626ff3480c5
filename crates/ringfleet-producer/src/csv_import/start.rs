//! How a file begins: with a line that names its separator, as some spreadsheets want it, or with line ends that nobody can read.

use std::io::{self, Read};

pub(super) const COMMA: u8 = b',';
/// Those that a file's first line may name.
const SEPARATORS: [u8; 4] = [COMMA, b';', b'\t', b'|'];
/// A byte order mark, `sep=` with its sign, and a line end.
const LONGEST: u64 = 3 + 5 + 2;

/// The first bytes of a file, as many as [`named_separator`] looks at.
pub(super) fn peek(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    input.take(LONGEST).read_to_end(&mut start)?;
    Ok(start)
}

/// Of a file whose first line is `sep=;`.
pub(super) fn named_separator(start: &[u8]) -> Option<u8> {
    let line = start.strip_prefix("\u{feff}".as_bytes()).unwrap_or(start);
    let (name, rest) = line.split_at_checked(4)?;
    match rest {
        [sign, b'\r' | b'\n', ..] if name.eq_ignore_ascii_case(b"sep=") && SEPARATORS.contains(sign) => Some(*sign),
        _ => None,
    }
}

/// Looks at a file's first line end.
#[derive(Default)]
pub(super) struct FirstLineEnd {
    after_return: bool,
    is_lone: Option<bool>,
}

impl FirstLineEnd {
    pub(super) fn look(&mut self, block: &[u8]) {
        for &byte in block {
            if self.is_lone.is_some() {
                return;
            }
            match byte {
                // In UTF-16 the line feed comes behind a zero byte.
                b'\n' | 0 if self.after_return => self.is_lone = Some(false),
                b'\n' => self.is_lone = Some(false),
                _ if self.after_return => self.is_lone = Some(true),
                _ => self.after_return = byte == b'\r',
            }
        }
    }

    /// It is a carriage return without a line feed: the whole file would be one row.
    pub(super) fn is_lone_return(&self) -> bool {
        self.is_lone == Some(true)
    }
}
