//! A body read line by line: in the memory of one line, and never waited for without an end.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use futures::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::BODY_DEADLINE;

/// The largest body of NDJSON, in bytes. It bounds what one call costs, not its memory.
pub const MAX_NDJSON_BYTES: usize = 64 * 1024 * 1024;
/// The longest line, in bytes, as of the rows of a file: a text of escapes takes less than a tenth of it.
pub const MAX_LINE_BYTES: usize = 64 * 1024;
/// For all of a body, with what is done between its parts: somebody who sends a byte now and then keeps no place for ever.
const WHOLE_DEADLINE: Duration = Duration::from_secs(10 * 60);

/// A line with something on it.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Line {
    Whole(Vec<u8>),
    /// None of it is kept.
    TooLong,
}

/// Why no more lines come, although the body has not ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cut {
    TooLarge,
    /// It broke off, or did not come in time.
    Unread,
}

pub(super) struct Lines {
    body: BodyDataStream,
    /// What has come and was not looked at yet.
    chunk: Bytes,
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    is_too_long: bool,
    bytes: usize,
    ended: u64,
    ends_at: Instant,
    is_over: bool,
}

impl Lines {
    pub(super) fn of(body: Body) -> Self {
        Self {
            body: body.into_data_stream(),
            chunk: Bytes::new(),
            begun: Vec::new(),
            is_too_long: false,
            bytes: 0,
            ended: 0,
            ends_at: Instant::now() + WHOLE_DEADLINE,
            is_over: false,
        }
    }

    /// How many have ended, blank ones too.
    pub(super) fn ended(&self) -> u64 {
        self.ended
    }

    /// The next line that is not blank, and its number from 1 on; `None` at the end of the body. The last one need not be ended.
    ///
    /// # Errors
    /// [`Cut`]: of a line that was begun then, nothing is given.
    ///
    /// Cancel-safe: what had come of a line is kept for the next call.
    pub(super) async fn next(&mut self) -> Result<Option<(u64, Line)>, Cut> {
        loop {
            let end = self.chunk.iter().position(|byte| *byte == b'\n');
            match end {
                Some(end) => {
                    let line = self.chunk.split_to(end + 1);
                    self.keep(&line[..end]);
                }
                None => {
                    let rest = std::mem::take(&mut self.chunk);
                    self.keep(&rest);
                    let more = self.fetch().await?;
                    if self.bytes > MAX_NDJSON_BYTES {
                        self.chunk.clear();
                        return Err(Cut::TooLarge);
                    }
                    if more {
                        continue;
                    }
                    if self.begun.is_empty() && !self.is_too_long {
                        return Ok(None);
                    }
                }
            }
            if let Some(line) = self.end_line() {
                return Ok(Some((self.ended, line)));
            }
        }
    }

    /// From now on the body has no longer than this to come.
    pub(super) fn end_within(&mut self, time: Duration) {
        self.ends_at = self.ends_at.min(Instant::now() + time);
    }

    /// Reads what is left, and forgets it; of what is larger than it may be, as much again. Cancel-safe.
    pub(super) async fn pass_over(&mut self) {
        while self.bytes <= 2 * MAX_NDJSON_BYTES && matches!(self.fetch().await, Ok(true)) {}
    }

    fn keep(&mut self, piece: &[u8]) {
        self.is_too_long |= self.begun.len() + piece.len() > MAX_LINE_BYTES;
        if self.is_too_long {
            self.begun.clear();
        } else {
            self.begun.extend_from_slice(piece);
        }
    }

    fn end_line(&mut self) -> Option<Line> {
        self.ended += 1;
        let line = std::mem::take(&mut self.begun);
        if std::mem::take(&mut self.is_too_long) {
            return Some(Line::TooLong);
        }
        (!line.trim_ascii().is_empty()).then_some(Line::Whole(line))
    }

    /// Whether more has come, or it is over.
    async fn fetch(&mut self) -> Result<bool, Cut> {
        if self.is_over {
            return Ok(false);
        }
        let until = self.ends_at.min(Instant::now() + BODY_DEADLINE);
        let more = match timeout_at(until, self.body.next()).await {
            // A part that has come already is given by a deadline that is over.
            _ if Instant::now() >= self.ends_at => Err(Cut::Unread),
            Ok(Some(Ok(chunk))) => {
                self.bytes += chunk.len();
                self.chunk = chunk;
                Ok(true)
            }
            Ok(None) => Ok(false),
            Ok(Some(Err(_))) | Err(_) => Err(Cut::Unread),
        };
        self.is_over = more != Ok(true);
        if more.is_err() {
            // What was begun is no line, and must not be taken for the last one.
            self.begun.clear();
            self.is_too_long = false;
        }
        more
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use futures::stream;

    use super::*;

    fn lines(parts: &[&[u8]]) -> Lines {
        let parts: Vec<_> = parts.iter().map(|part| Ok::<_, Infallible>(Bytes::copy_from_slice(part))).collect();
        Lines::of(Body::from_stream(stream::iter(parts)))
    }

    fn whole(number: u64, line: &[u8]) -> Result<Option<(u64, Line)>, Cut> {
        Ok(Some((number, Line::Whole(line.to_vec()))))
    }

    #[tokio::test]
    async fn lines_are_found_wherever_the_parts_are_cut_and_blank_ones_count() {
        let text: &[u8] = b"one\r\n\n \t\r\ntwo\nthree";
        for cut in 0..=text.len() {
            let mut lines = lines(&[&text[..cut], &text[cut..]]);
            assert_eq!(lines.next().await, whole(1, b"one\r"), "{cut}");
            assert_eq!(lines.next().await, whole(4, b"two"), "{cut}");
            assert_eq!(lines.next().await, whole(5, b"three"), "{cut}");
            assert_eq!((lines.next().await, lines.next().await, lines.ended()), (Ok(None), Ok(None), 5));
        }
        for empty in [&b""[..], b"\n", b" \n\n"] {
            assert_eq!(lines(&[empty]).next().await, Ok(None));
        }
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_told_and_takes_no_memory() {
        let (most, more) = (vec![b'x'; MAX_LINE_BYTES], vec![b'x'; MAX_LINE_BYTES + 1]);
        let mut lines = lines(&[&most, b"\n", &more, &more, b"\nnext\n", &more]);
        assert_eq!(lines.next().await, whole(1, &most));
        assert_eq!(lines.next().await, Ok(Some((2, Line::TooLong))));
        assert_eq!(lines.next().await, whole(3, b"next"));
        assert_eq!(lines.next().await, Ok(Some((4, Line::TooLong))));
        assert_eq!(lines.next().await, Ok(None));
        // One whose end does not come.
        for _ in 0..4 {
            lines.keep(&most);
        }
        assert!(lines.begun.capacity() <= 2 * MAX_LINE_BYTES, "{}", lines.begun.capacity());
    }

    #[tokio::test]
    async fn a_body_that_grows_too_large_is_cut() {
        let part = [vec![b'x'; MAX_LINE_BYTES - 1], vec![b'\n']].concat();
        let parts = stream::repeat_with(move || Ok::<_, Infallible>(Bytes::copy_from_slice(&part)));
        let mut lines = Lines::of(Body::from_stream(parts));
        for number in 1..=MAX_NDJSON_BYTES / MAX_LINE_BYTES {
            assert!(matches!(lines.next().await, Ok(Some((n, Line::Whole(_)))) if n == number as u64));
        }
        assert_eq!(lines.next().await, Err(Cut::TooLarge));
        // Nobody reads on without an end.
        lines.pass_over().await;
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_read_on_for_as_much_again() {
        let part = Bytes::from([vec![b'x'; MAX_LINE_BYTES - 1], vec![b'\n']].concat());
        let most = MAX_NDJSON_BYTES / MAX_LINE_BYTES;
        for (parts, read) in [(most + 1, most + 1), (most + 9, most + 9), (3 * most, 2 * most + 1)] {
            let pulled = Arc::new(AtomicUsize::new(0));
            let (part, counter) = (part.clone(), pulled.clone());
            let parts = stream::iter(0..parts).map(move |_| {
                counter.fetch_add(1, Ordering::Relaxed);
                Ok::<_, Infallible>(part.clone())
            });
            let mut lines = Lines::of(Body::from_stream(parts));
            while lines.next().await.is_ok() {}
            assert_eq!((pulled.load(Ordering::Relaxed), lines.ended()), (most + 1, most as u64));
            lines.pass_over().await;
            assert_eq!(pulled.load(Ordering::Relaxed), read, "whoever sends on would be cut off from his answer");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_or_drips_is_given_up_and_so_is_one_that_breaks_off() {
        let began = Instant::now();
        let stops = stream::iter([Ok::<_, Infallible>(Bytes::from("one\nhal"))]).chain(stream::pending());
        let mut lines = Lines::of(Body::from_stream(stops));
        assert_eq!(lines.next().await, whole(1, b"one"));
        assert_eq!(lines.next().await, Err(Cut::Unread));
        assert_eq!(began.elapsed().as_secs(), BODY_DEADLINE.as_secs());
        assert_eq!(lines.next().await, Ok(None), "half a line is none");

        let began = Instant::now();
        let drips = stream::iter(0..100).then(|_| async {
            tokio::time::sleep(BODY_DEADLINE * 3 / 4).await;
            Ok::<_, Infallible>(Bytes::from("x\n"))
        });
        let mut lines = Lines::of(Body::from_stream(drips));
        while let Ok(Some(_)) = lines.next().await {}
        assert_eq!(began.elapsed().as_secs(), WHOLE_DEADLINE.as_secs());

        // What is done with its lines takes the time, and the next ones are always there.
        let ready = stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from("x\n")));
        let mut lines = Lines::of(Body::from_stream(ready));
        for _ in 0..WHOLE_DEADLINE.as_secs() {
            assert!(lines.next().await.is_ok());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(lines.next().await, Err(Cut::Unread));

        let broken = [Ok(Bytes::from("one\ntwo")), Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof))];
        let mut lines = Lines::of(Body::from_stream(stream::iter(broken)));
        assert_eq!(lines.next().await, whole(1, b"one"));
        assert_eq!(lines.next().await, Err(Cut::Unread));
    }
}
