//! Calls that nobody took, read from the extension's call log. Who left a message is found in the message store instead.

use ringcentral::{
    CallKind, CallLogQuery, CallParty, CallRecord, CallResult, Direction, ExtensionId, PhoneNumber, Read, UsageGroup,
    Whose,
};
use ringfleet_store::{DocKind, Expect, Millis};

use super::{
    Mailboxes,
    cursor::REMEMBERED,
    reading::{FIRST_MS, PATIENCE, Unfinished, instant},
};
use crate::inbox::{Inbound, InboundKind};

const PER_PAGE: u32 = 250;
/// Pages that one reading takes; each counts against the plan "heavy", which is small.
const MOST_PAGES: usize = 4;
/// A call stands in the log when it is over, under the time at which it began.
const LONGEST_CALL_MS: Millis = 3_600_000;

impl Mailboxes {
    pub(super) async fn read_calls(&self, extension: &ExtensionId) -> Result<(), Unfinished> {
        if !self.reader.has_room(extension, UsageGroup::Heavy).await? {
            return Err(Unfinished::GaveWay);
        }
        let (key, now) = (format!("{}/{extension}/calls", self.app()), self.store.now().await?);
        let last = self.store.doc_get(DocKind::Progress, &key).await?;
        let last = last.and_then(|doc| std::str::from_utf8(&doc.body).ok()?.parse::<Millis>().ok());
        let skew = self.clock_skew.as_millis() as Millis;
        let since = last.map_or(now - FIRST_MS, |last| last - LONGEST_CALL_MS);
        let query = CallLogQuery {
            directions: vec![Direction::Inbound],
            kinds: vec![CallKind::Voice],
            per_page: PER_PAGE,
            ..CallLogQuery::new(instant(since - skew), instant(now + skew))
        };
        let log = Read::call_log(Whose::Own, &query);
        let mut page = self.reader.read_page(extension, &log, PATIENCE).await?.value;
        for _ in 1..MOST_PAGES {
            self.keep(page.records.iter().filter_map(|call| missed(extension, call)).collect()).await?;
            let Some(next) = page.next.take() else { break };
            page = self.reader.next_page(extension, &next, PATIENCE).await?.value;
        }
        self.keep(page.records.iter().filter_map(|call| missed(extension, call)).collect()).await?;
        let body = now.to_string();
        self.store.doc_put(DocKind::Progress, &key, Expect::Anything, Some(body.as_bytes()), Some(REMEMBERED)).await?;
        Ok(())
    }
}

/// A call that nobody took, with the provider's id.
fn missed(extension: &ExtensionId, call: &CallRecord) -> Option<(String, Inbound)> {
    if call.result != CallResult::Missed || call.direction != Direction::Inbound {
        return None;
    }
    let number = |party: &CallParty| -> Option<PhoneNumber> { party.phone_number.as_ref()?.normalised() };
    let inbound = Inbound {
        extension: extension.clone(),
        kind: InboundKind::MissedCall,
        at: call.start_time?.as_millisecond(),
        from: call.from.as_ref().and_then(number),
        to: call.to.as_ref().and_then(number),
        text: None,
    };
    Some((call.id.as_ref()?.as_str().to_owned(), inbound))
}
