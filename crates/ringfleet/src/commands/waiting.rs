//! What waits in an extension's lane: listed, and taken back as a whole.

use std::{process::ExitCode, time::Duration};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use ringfleet_store::{Cancelled, LaneId, MessageView, Millis, SharedStore, StoreError, Waiting, WaitingCursor};
use serde_json::json;

use super::evidence::{number, time};
use crate::{
    exit,
    output::{self, say},
    progress,
    table::{self, Cell},
};

/// Messages that are taken back at once.
const AT_ONCE: usize = 32;
/// So many looks at all that waits must find nothing.
const EMPTY_PASSES: u32 = 2;
/// Between two of them, so that one that was on its way is at rest.
const MOVES: Duration = Duration::from_millis(600);

/// Which of a lane's waiting messages are meant.
struct Meant {
    /// Those that came before the command did, so that a busy producer does not keep it going.
    came_by: Millis,
    due_before: Option<Millis>,
}

impl Meant {
    fn is(&self, message: &MessageView) -> bool {
        message.created_at <= self.came_by && self.due_before.is_none_or(|before| due(message) < before)
    }
}

pub(super) async fn list(store: &SharedStore, lane: &LaneId, limit: usize, as_json: bool) -> anyhow::Result<()> {
    let (mut found, mut next) = (Vec::new(), Some(WaitingCursor::default()));
    while let Some(from) = next.filter(|_| found.len() <= limit) {
        let page = store.waiting(lane, from).await?;
        found.extend(page.messages);
        next = page.next;
    }
    let more = found.len() > limit;
    found.truncate(limit);
    if as_json {
        let row = |one: &MessageView| {
            json!({
                "id": one.id.to_string(),
                "status": one.state.as_str(),
                "due": time(Some(due(one))),
                "send_by": one.send_by.map(|at| time(Some(at))),
                "priority": one.priority.as_str(),
                "from": number(&one.from, false),
                "to": number(&one.to, false),
            })
        };
        let rows: Vec<_> = found.iter().map(row).collect();
        say!(
            "{}",
            serde_json::to_string_pretty(&json!({"extension": lane.extension(), "more": more, "messages": rows}))?
        );
        return Ok(());
    }
    if found.is_empty() {
        say!("nothing waits for extension {}", lane.extension());
        return Ok(());
    }
    let rows: Vec<_> = found.iter().map(row).collect();
    for line in table::lines(["id", "status", "due", "send by", "priority", "to"], &rows) {
        say!("{line}");
    }
    if more {
        say!("… there are more; --limit shows them");
    }
    Ok(())
}

fn row(one: &MessageView) -> [Cell; 6] {
    [
        one.id.to_string().into(),
        one.state.as_str().to_owned().into(),
        time(Some(due(one))).into(),
        time(one.send_by).into(),
        one.priority.as_str().to_owned().into(),
        number(&one.to, false).into(),
    ]
}

fn due(one: &MessageView) -> Millis {
    one.send_at.unwrap_or(0).max(one.created_at)
}

/// Each is taken back if no worker has it in hand yet, like one that is named.
pub(super) async fn cancel(
    store: &SharedStore,
    lane: &LaneId,
    due_before: Option<Timestamp>,
    yes: bool,
) -> anyhow::Result<ExitCode> {
    let extension = lane.extension();
    let due_before = due_before.map(Timestamp::as_millisecond);
    let meant = Meant { came_by: store.time_of(lane).await?, due_before };
    let (mut found, mut next) = (0, Some(WaitingCursor::default()));
    while let Some(from) = next {
        let page = store.waiting(lane, from).await?;
        found += page.messages.iter().filter(|one| meant.is(one)).count() as u64;
        next = page.next;
    }
    if found == 0 {
        say!("nothing of what is meant waits for extension {extension}");
        return Ok(ExitCode::SUCCESS);
    }
    if !yes {
        output::must_be_there(format_args!("cancel {found} messages"))?;
        if !output::confirmed(format_args!("Cancel {found} messages that wait for extension {extension}?"))? {
            return Ok(ExitCode::from(exit::FAILED));
        }
    }
    let bar = progress::bar(found, "taking back");
    let pass = async || {
        let (mut done, mut next) = (0, Some(WaitingCursor::default()));
        while let Some(from) = next {
            let Waiting { messages, next: behind } = store.waiting(lane, from).await?;
            let mut answers = stream::iter(messages.iter().filter(|one| meant.is(one)))
                .map(|one| store.cancel(&one.id))
                .buffer_unordered(AT_ONCE);
            while let Some(answer) = answers.next().await {
                if answer? == Cancelled::Done {
                    done += 1;
                    bar.inc(1);
                }
            }
            next = behind;
        }
        Ok::<_, StoreError>(done)
    };
    let done = until_nothing_is_left(pass).await?;
    bar.finish_and_clear();
    say!("{done} messages of extension {extension} are cancelled; what a worker has in hand goes out");
    Ok(ExitCode::SUCCESS)
}

/// Repeats `pass`, which goes over all that waits and tells how many messages it has taken back; gives their sum.
///
/// SEND-SAFETY: what becomes due moves from the schedule to a queue, also while the fleet is stopped, and what is claimed makes
/// room: one that moved behind this pass is there in the next, and what was sent before a backup must not be left.
async fn until_nothing_is_left(mut pass: impl AsyncFnMut() -> Result<u64, StoreError>) -> Result<u64, StoreError> {
    let (mut done, mut empty) = (0, 0);
    loop {
        let taken_back = pass().await?;
        done += taken_back;
        empty = if taken_back > 0 { 0 } else { empty + 1 };
        if empty == EMPTY_PASSES {
            return Ok(done);
        }
        tokio::time::sleep(MOVES).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_pass_that_finds_nothing_is_not_the_end_of_taking_back() {
        // One that moved behind the second pass; the last one is not made.
        let mut found = [3, 0, 1, 0, 0, 7].into_iter();
        let done = until_nothing_is_left(async || Ok(found.next().unwrap())).await.unwrap();
        assert_eq!((done, found.next()), (4, Some(7)));
    }
}
