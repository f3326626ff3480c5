//! Reading an extension's message store: once in full, then only what has changed, which costs one request however many texts
//! wait. A full reading comes again from time to time, because a change may be told before the store knows the text as sent.

use std::time::Duration;

use jiff::Timestamp;
use ringcentral::{
    ExtensionId, MessageKind, MessageQuery, MessageRecord, MessageSync, Read, SyncOutcome, SyncQuery, UsageGroup,
    classify_sync,
};
use ringfleet_identity::{ReadError, Unread};
use ringfleet_store::{LaneId, Millis, StoreError};

use super::{
    Mailboxes,
    cursor::{self, Cursor},
    received::received,
    reports::tell_all,
    wishes::{Wish, heed, wish},
};

/// A request whose turn does not come within this time is left for the next look.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// What is read of a store; what else is in it concerns nobody here.
const KINDS: [MessageKind; 2] = [MessageKind::Sms, MessageKind::VoiceMail];
/// Of an extension that was never read, the last day is.
pub(super) const FIRST_MS: Millis = 86_400_000;
/// Records that a full sync is asked for; what it leaves out is read as a list.
const SYNC_RECORDS: u32 = 250;
const PER_PAGE: u32 = 1_000;
/// Pages that one reading takes. Older texts have had theirs read while they were among the newest.
const MOST_PAGES: usize = 50;
/// How often, and how many times, a list in the middle looks for its next turn.
const BUSY: Duration = Duration::from_secs(2);
const BUSY_FOR: u32 = 30;

/// Why a reading did not come to its end.
pub(super) enum Unfinished {
    /// Others need the extension's plan, or the logins.
    GaveWay,
    Unread(Unread),
}

/// What one reading has found.
#[derive(Default)]
struct Taken {
    heard: Vec<Wish>,
    /// Something of it could not be told or kept.
    failed: Option<StoreError>,
}

impl From<StoreError> for Unfinished {
    fn from(error: StoreError) -> Self {
        Unfinished::Unread(error.into())
    }
}

impl From<ReadError> for Unfinished {
    fn from(error: ReadError) -> Self {
        Unfinished::Unread(error.into())
    }
}

impl Mailboxes {
    /// Reads what is new since the last reading, or everything since then and since `waits_since`, and tells the store.
    pub(super) async fn read(
        &self,
        extension: &ExtensionId,
        lane: &LaneId,
        waits_since: Option<Millis>,
    ) -> Result<(), Unfinished> {
        if !self.reader.has_room(extension, UsageGroup::Light).await? {
            return Err(Unfinished::GaveWay);
        }
        let (key, now) = (cursor::key(self.app(), extension), self.store.now().await?);
        let before = Cursor::load(&self.store, &key).await?;
        if let Some(cursor) = before.as_ref().filter(|cursor| cursor.goes_on(now, waits_since.is_some()))
            && let Some(sync) = self.sync(extension, SyncQuery::Since(cursor.token.clone())).await?
            && !sync.older_records_exist
        {
            let mut taken = Taken::default();
            self.take_in(extension, lane, &sync.records, &mut taken).await;
            self.act_upon(extension, taken).await?;
            return Ok(cursor.then(sync.token, now).save(&self.store, &key).await?);
        }
        let last = before.map_or(now - FIRST_MS, |cursor| cursor.read_at);
        let skew = self.clock_skew.as_millis() as Millis;
        let since = instant(waits_since.map_or(last, |waits| waits.min(last)).saturating_sub(skew));
        let full = SyncQuery::Full {
            date_from: since,
            directions: Vec::new(),
            kinds: KINDS.to_vec(),
            record_count: Some(SYNC_RECORDS),
        };
        let Some(sync) = self.sync(extension, full).await? else { return Err(Unfinished::Unread(Unread::Later)) };
        let mut taken = Taken::default();
        self.take_in(extension, lane, &sync.records, &mut taken).await;
        if sync.older_records_exist {
            let seen = sync.records.iter().filter_map(|record| record.creation_time).min();
            self.list(extension, lane, since, seen.unwrap_or_else(|| instant(now + skew)), &mut taken).await?;
        }
        self.act_upon(extension, taken).await?;
        // The token is older than the list: what has changed meanwhile is told by the next sync.
        Ok(Cursor::new(sync.token, now, waits_since.is_some()).save(&self.store, &key).await?)
    }

    /// Tells what became of sent texts, keeps what came in, and gathers the wishes among it.
    async fn take_in(&self, extension: &ExtensionId, lane: &LaneId, records: &[MessageRecord], taken: &mut Taken) {
        taken.heard.extend(records.iter().filter_map(wish));
        let told = tell_all(&self.store, lane, records, &taken.heard).await;
        let kept = self.keep(records.iter().filter_map(|record| received(extension, record)).collect()).await;
        taken.failed = taken.failed.take().or(told.err()).or(kept.err());
    }

    /// The end of a reading. What the store could not take fails it, so that the next one reads the same again.
    ///
    /// SEND-SAFETY: wishes are heeded all the same: a full store takes no record of what came in, and sends what it has.
    async fn act_upon(&self, extension: &ExtensionId, taken: Taken) -> Result<(), StoreError> {
        let heeded = heed(&self.store, self.app(), extension, taken.heard, self.clock_skew).await;
        taken.failed.map_or(heeded, Err)
    }

    /// `None`: the token is no longer good.
    async fn sync(&self, extension: &ExtensionId, query: SyncQuery) -> Result<Option<MessageSync>, Unfinished> {
        match self.reader.read(extension, &Read::message_sync(&query), PATIENCE).await {
            Ok(answer) => Ok(Some(answer.value)),
            Err(ReadError::Call(error)) => match classify_sync(&Err(error)) {
                SyncOutcome::Synced | SyncOutcome::FullSyncNeeded => Ok(None),
                SyncOutcome::Failed(meaning) => Err(Unfinished::Unread(Unread::of(meaning))),
            },
            Err(error) => Err(error.into()),
        }
    }

    async fn list(
        &self,
        extension: &ExtensionId,
        lane: &LaneId,
        from: Timestamp,
        to: Timestamp,
        taken: &mut Taken,
    ) -> Result<(), Unfinished> {
        let query = MessageQuery { kinds: KINDS.to_vec(), per_page: PER_PAGE, ..MessageQuery::new(from, to) };
        self.has_room_soon(extension).await?;
        let mut page = self.reader.read_page(extension, &Read::messages(&query), PATIENCE).await?.value;
        for _ in 1..MOST_PAGES {
            self.take_in(extension, lane, &page.records, taken).await;
            let Some(next) = page.next else { return Ok(()) };
            self.has_room_soon(extension).await?;
            page = self.reader.next_page(extension, &next, PATIENCE).await?.value;
        }
        self.take_in(extension, lane, &page.records, taken).await;
        Ok(())
    }

    async fn has_room_soon(&self, extension: &ExtensionId) -> Result<(), Unfinished> {
        for _ in 0..BUSY_FOR {
            if self.reader.has_room(extension, UsageGroup::Light).await? {
                return Ok(());
            }
            tokio::time::sleep(BUSY).await;
        }
        Err(Unfinished::GaveWay)
    }
}

pub(crate) fn instant(at: Millis) -> Timestamp {
    Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH)
}
