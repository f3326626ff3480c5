//! `POST /v1/messages` as NDJSON: a message on each line, an answer for each, in the memory of a batch.
//!
//! Lines go to the store in batches while the body is read, one batch at a time, so that their order is kept and nothing behind a
//! batch that failed is handed in. The answers are held back until the body has ended, or [`MOST_HELD_BYTES`] of them have come:
//! many clients read nothing before they have sent everything, and nginx sends nothing more to a server whose answer has begun
//! (`header_sent` without `preserve_output` in its ngx_http_upstream.c). From then on whoever sends must read too.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{HeaderValue, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use ringfleet_store::MAX_BATCH;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Shared,
    body::{line_too_long, read_line},
    lines::{Cut, Line, Lines, MAX_LINE_BYTES, MAX_NDJSON_BYTES},
    problem::Problem,
    send::{check, is_replaced, item},
};
use crate::producer::{EnqueueError, ItemResult};

pub(super) const MEDIA_TYPE: &str = "application/x-ndjson";
/// Answers to some 48,000 messages that were taken, or 18,000 that were refused for one fault.
const MOST_HELD_BYTES: usize = 4 * 1024 * 1024;
/// A batch of long lines leaves early, as one of a file's rows does.
const MAX_BATCH_BYTES: usize = 1024 * 1024;
/// What is left of a body is read for so long when the process is to end: its answer must go out within `worker.drain`.
const ENDING_DEADLINE: Duration = Duration::from_secs(5);

/// Why the rest of a body was not handed in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stop {
    Cut(Cut),
    Full,
    Away,
    Replaced,
    /// The process was told to stop.
    Ending,
}

struct Call {
    api: Shared,
    lines: Lines,
    /// Messages that were handed in.
    count: usize,
    /// The store has one of them, or nobody knows whether it has.
    may_have_taken: bool,
    is_over: bool,
    /// And the first line that was not handed in.
    stop: Option<(Stop, u64)>,
    /// Until the answer has ended.
    _room: OwnedSemaphorePermit,
}

pub(super) async fn accept(api: Shared, request: Request) -> Result<Response, Problem> {
    if request.headers().contains_key("idempotency-key") {
        let detail = "Idempotency-Key goes with a single message; give each line its own key";
        return Err(Problem::malformed(detail.into()));
    }
    let Ok(room) = api.ndjson_room.clone().try_acquire_owned() else { return Err(Problem::busy()) };
    let body = request.into_body();
    if body.size_hint().lower() > MAX_NDJSON_BYTES as u64 {
        return Err(Problem::body_too_large(MAX_NDJSON_BYTES));
    }
    let lines = Lines::of(body);
    let mut call = Call { api, lines, count: 0, may_have_taken: false, is_over: false, stop: None, _room: room };
    let (mut held, mut bytes) = (Vec::new(), 0);
    while bytes < MOST_HELD_BYTES
        && let Some(answers) = call.batch().await
    {
        bytes += answers.len();
        held.push(answers);
    }
    if call.stop.is_some() {
        call.pass_over().await;
    }
    if call.is_over && !call.may_have_taken {
        if let Some((stop, _)) = call.stop {
            return Err(stop.problem());
        }
        if call.count == 0 {
            return Err(Problem::malformed("the body holds no message; write one on each line".into()));
        }
    }
    let rest = stream::unfold(call, |mut call| async move {
        let told = match call.batch().await {
            Some(answers) => Some(answers),
            None => call.last_line().await,
        };
        told.map(|told| (told, call))
    });
    let answer = Body::from_stream(stream::iter(held).chain(rest).map(Ok::<_, Infallible>));
    Ok(([(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))], answer).into_response())
}

impl Call {
    /// Hands the next batch in, and answers each of its lines. `None`: there is none, or no more is handed in.
    ///
    /// Not cancel-safe: dropped with a client that has gone, it leaves open what the store has of the batch, as any enqueue does.
    async fn batch(&mut self) -> Option<Bytes> {
        let (mut numbers, mut items, mut bytes) = (Vec::new(), Vec::new(), 0);
        while !self.is_over && items.len() < MAX_BATCH && bytes < MAX_BATCH_BYTES {
            let next = match self.api.stop.run_until_cancelled(self.lines.next()).await {
                Some(next) => next.map_err(Stop::Cut),
                None => Err(Stop::Ending),
            };
            let (number, decoded) = match next {
                Ok(Some((number, Line::Whole(line)))) => {
                    bytes += line.len();
                    (number, read_line(&line))
                }
                Ok(Some((number, Line::TooLong))) => (number, line_too_long(MAX_LINE_BYTES)),
                Ok(None) => {
                    self.is_over = true;
                    break;
                }
                // SEND-SAFETY: what came since the last batch is not handed in either. Who sent it has most likely gone, or the
                // process before the store has answered: nobody would read the answers, and what has no key could not be repeated.
                Err(stop) => {
                    let first = numbers.first().copied();
                    self.stop_before(first.unwrap_or(self.lines.ended() + 1), stop);
                    return None;
                }
            };
            numbers.push(number);
            items.push(decoded);
        }
        if items.is_empty() {
            return None;
        }
        let (producer, now) = (&self.api.producer, Timestamp::now());
        let checked = items.into_iter().map(|item| check(producer, item, now)).collect();
        let results = producer.submit(checked).await;
        let may_be_there = |result: &ItemResult| matches!(result, Ok(_) | Err(EnqueueError::Unsettled { .. }));
        self.may_have_taken |= results.iter().any(may_be_there);
        if let Some(stop) = Stop::after(&results) {
            tracing::warn!(?stop, messages = self.count + results.len(), "the store failed during a call of NDJSON");
            self.stop_before(self.lines.ended() + 1, stop);
        }
        let mut answers = Vec::new();
        for (number, result) in numbers.into_iter().zip(&results) {
            let mut item = item(self.count, result);
            item.line = Some(number);
            write_line(&mut answers, &item);
            self.count += 1;
        }
        Some(answers.into())
    }

    // SEND-SAFETY: behind a failure nothing more is tried, so that of all lines from this one on it is certain that they were not
    // taken: they may be sent again even without keys.
    fn stop_before(&mut self, line: u64, stop: Stop) {
        self.is_over = true;
        self.stop = Some((stop, line));
    }

    /// Once, where not all of the body was handed in.
    async fn last_line(&mut self) -> Option<Bytes> {
        let (stop, line) = self.stop.take()?;
        self.pass_over().await;
        let mut told = Vec::new();
        write_line(&mut told, &stop.problem().behind_lines(line, &stop.why()));
        Some(told.into())
    }

    /// Reads what is left of the body, before the answer ends.
    // SEND-SAFETY: the connection is closed under a client that still sends, and what it had not read of the answer is lost with it.
    async fn pass_over(&mut self) {
        if self.api.stop.run_until_cancelled(self.lines.pass_over()).await.is_none() {
            self.lines.end_within(ENDING_DEADLINE);
            self.lines.pass_over().await;
        }
    }
}

fn write_line(told: &mut Vec<u8>, line: &impl serde::Serialize) {
    serde_json::to_writer(&mut *told, line).expect("names are strings, and a Vec takes everything");
    told.push(b'\n');
}

impl Stop {
    fn after(results: &[ItemResult]) -> Option<Self> {
        let any = |wanted: fn(&ItemResult) -> bool| results.iter().any(wanted);
        if any(is_replaced) {
            Some(Stop::Replaced)
        } else if any(|result| matches!(result, Err(EnqueueError::Unsettled { .. } | EnqueueError::NotTried))) {
            Some(Stop::Away)
        } else if any(|result| matches!(result, Err(EnqueueError::Full))) {
            Some(Stop::Full)
        } else {
            None
        }
    }

    fn problem(self) -> Problem {
        match self {
            Stop::Cut(Cut::TooLarge) => Problem::body_too_large(MAX_NDJSON_BYTES),
            Stop::Cut(Cut::Unread) => Problem::body_unread(),
            Stop::Full => Problem::store_full(),
            Stop::Away => Problem::store_away(),
            Stop::Replaced => Problem::store_replaced(),
            Stop::Ending => Problem::stopping(),
        }
    }

    fn why(self) -> String {
        match self {
            Stop::Cut(Cut::TooLarge) => format!("{MAX_NDJSON_BYTES} bytes is the most; split the call"),
            Stop::Cut(Cut::Unread) => "the body ended early or came too slowly".to_owned(),
            Stop::Full => "the store is full; send the rest later".to_owned(),
            Stop::Away => "the store failed; send the rest later".to_owned(),
            Stop::Replaced => {
                "the store was flushed or exchanged; send nothing again before an operator has acted".to_owned()
            }
            Stop::Ending => "this process is stopping; send the rest again, another one may take it".to_owned(),
        }
    }
}
