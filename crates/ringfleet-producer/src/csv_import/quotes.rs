//! Quotation marks as RFC 4180 has them. csv takes whatever comes: after one that is not closed, the rows that follow are part of
//! that field, up to the next mark.

/// Looks at every byte of a file, in order, until the first fault.
pub(super) struct Quotes {
    separator: u8,
    place: Place,
    /// Bytes seen.
    seen: u64,
    /// Where the last quoted field began.
    opened: u64,
    fault: Option<u64>,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    FieldBegins,
    /// Nothing but blanks and tabs since the field began.
    Blank,
    Bare,
    Quoted,
    /// A mark was met in a quoted field: it ends, unless the next byte is a mark too.
    Closed,
    /// A carriage return behind a quoted field.
    RowEnds,
}

impl Quotes {
    pub(super) fn new(separator: u8) -> Self {
        Self { separator, place: Place::FieldBegins, seen: 0, opened: 0, fault: None }
    }

    /// The next bytes of the file; none tells that it ends.
    pub(super) fn look(&mut self, block: &[u8]) {
        if self.fault.is_some() {
            return;
        }
        if block.is_empty() && self.place == Place::Quoted {
            self.fault = Some(self.opened);
        }
        for &byte in block {
            self.place = match (self.place, byte) {
                (Place::Quoted, b'"') => Place::Closed,
                (Place::Quoted, _) => Place::Quoted,
                (Place::Closed, b'"') => Place::Quoted,
                (Place::Closed, b'\r') => Place::RowEnds,
                (_, b'\n') => Place::FieldBegins,
                (Place::FieldBegins | Place::Blank | Place::Bare | Place::Closed, _) if byte == self.separator => {
                    Place::FieldBegins
                }
                (Place::FieldBegins, b'"') => {
                    self.opened = self.seen;
                    Place::Quoted
                }
                // A byte order mark belongs to no field.
                (Place::FieldBegins, 0xef | 0xbb | 0xbf) if self.seen < 3 => Place::FieldBegins,
                (Place::FieldBegins | Place::Blank, b' ' | b'\t') => Place::Blank,
                // SEND-SAFETY: whoever writes a blank behind each comma means the mark as an opening one. csv takes it for a part of
                // the text, which would end at its first comma and be sent like that. A text that begins so can be quoted.
                (Place::Blank, b'"') | (Place::Closed | Place::RowEnds, _) => {
                    self.fault = Some(self.seen);
                    return;
                }
                (Place::FieldBegins | Place::Blank | Place::Bare, _) => Place::Bare,
            };
            self.seen += 1;
        }
    }

    /// Whether what was looked at last lies in a quoted field.
    pub(super) fn are_open(&self) -> bool {
        self.place == Place::Quoted
    }

    /// Whether the first so many bytes hold the fault.
    pub(super) fn fail_before(&self, bytes: u64) -> bool {
        self.fault.is_some_and(|at| at < bytes)
    }
}
