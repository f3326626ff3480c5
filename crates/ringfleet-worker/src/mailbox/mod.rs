//! Reads the message stores of extensions: what became of texts after they were sent, and who wants no more of them.
//!
//! Three causes for a look: texts whose delivery report has not come (the store names their extensions, one reader at a time; see
//! [`Store::delivery_take`]), time (`poll`), and a webhook's hint. Nobody waits for any of them, so all give way: a request goes
//! out only while half of the extension's Light plan is free, and a login is spent only while there is room for one. The
//! reconciler, which reads by the same lane, finds the other half.
//!
//! - `poll`: every connected extension, time and again
//! - `reading`: what is read, and how little of it
//! - `cursor`: how far an extension's store was read
//! - `reports`: what a record says of a text that was sent
//! - `wishes`: what a record says of a recipient's wish
//! - `received`, `calls`: what came in
//!
//! [`Store::delivery_take`]: ringfleet_store::Store::delivery_take

mod calls;
mod cursor;
mod poll;
mod reading;
mod received;
mod reports;
mod wishes;

use std::{sync::Arc, time::Duration};

use ringcentral::ExtensionId;
use ringfleet_identity::{Reader, Told, Unread, jittered};
use ringfleet_store::{Group, LaneId, Millis, SharedStore, WorkerId};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::reading::Unfinished;
pub(crate) use self::{reading::instant, reports::tell};
use crate::{
    inbox::Inbox,
    metrics,
    options::InboundOptions,
    webhooks::{Came, Hints},
};

/// Extensions read at the same time by one worker, for each cause; by a poll of a large fleet, more.
const AT_ONCE: usize = 4;
/// Nobody else reads an extension for its reports for so long, which is how often one that sends all the time is read at most. A
/// longer reading may be done twice, which does no harm.
const LOCK: Duration = Duration::from_secs(30);
/// Several events of one moment make one look.
const A_MOMENT: Duration = Duration::from_millis(500);

pub(crate) struct Mailboxes {
    store: SharedStore,
    reader: Reader,
    inbox: Inbox,
    inbound: InboundOptions,
    /// How far the clocks of store and provider may be apart.
    clock_skew: Duration,
    refused: Told<(ExtensionId, What)>,
    stop: CancellationToken,
}

impl Mailboxes {
    pub(crate) fn new(
        reader: Reader,
        inbox: Inbox,
        inbound: InboundOptions,
        clock_skew: Duration,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let store = reader.sessions().store().clone();
        Arc::new(Self { store, reader, inbox, inbound, clock_skew, refused: Told::default(), stop })
    }

    /// Looks for delivery reports until `stop`. Readings under way end with it, which costs nothing but their repetition.
    pub(crate) async fn follow_deliveries(self: Arc<Self>, every: Duration) {
        let readings = TaskTracker::new();
        while self.pause(every).await {
            let free = AT_ONCE.saturating_sub(readings.len());
            if free == 0 {
                continue;
            }
            match self.store.delivery_take(free as u32, LOCK).await {
                Ok(lanes) => {
                    for awaited in lanes.into_iter().filter(|one| one.lane.app() == self.app()) {
                        let this = self.clone();
                        readings.spawn(async move {
                            this.look(awaited.lane.extension(), Cause::Reports { since: awaited.since }).await
                        });
                    }
                }
                Err(error) => metrics::store_error("delivery_take", &error),
            }
        }
    }

    /// Polls every connected extension once in `every` until `stop`, as the one process of the fleet that does.
    pub(crate) async fn poll(self: Arc<Self>, process: WorkerId, every: Duration) {
        poll::run(self, process, every).await;
    }

    /// Looks where something came in, as this process's webhook was told, until `stop`.
    pub(crate) async fn follow_hints(self: Arc<Self>, hints: Arc<Hints>) {
        let readings = TaskTracker::new();
        let room = Arc::new(Semaphore::new(AT_ONCE));
        loop {
            let next = async {
                let permit = room.clone().acquire_owned().await;
                (hints.next().await, permit)
            };
            let ((extension, came), permit) = tokio::select! {
                () = self.stop.cancelled() => return,
                next = next => next,
            };
            let this = self.clone();
            readings.spawn(async move {
                tokio::time::sleep(A_MOMENT).await;
                this.look(extension.as_str(), Cause::Hint(came)).await;
                drop(permit);
            });
        }
    }

    fn app(&self) -> &str {
        self.reader.sessions().app()
    }

    /// `false`: it is over. Jitter spreads the fleet's readers.
    async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(jittered(time)) => true,
        }
    }

    async fn look(&self, extension: &str, cause: Cause) {
        let (Ok(lane), Ok(extension)) =
            (LaneId::try_new(self.app(), extension, Group::Medium), ExtensionId::try_new(extension))
        else {
            return;
        };
        let waits_since = if let Cause::Reports { since } = cause { Some(since) } else { None };
        if cause != Cause::Hint(Came::Call) {
            let read = self.read(&extension, &lane, waits_since);
            self.ended(&extension, What::Messages, self.unless_stopped(read).await);
        }
        if self.inbound.calls && matches!(cause, Cause::Time | Cause::Hint(Came::Call)) {
            self.ended(&extension, What::Calls, self.unless_stopped(self.read_calls(&extension)).await);
        }
    }

    async fn unless_stopped(&self, read: impl Future<Output = Result<(), Unfinished>>) -> Result<(), Unfinished> {
        tokio::select! {
            () = self.stop.cancelled() => Err(Unfinished::Unread(Unread::Later)),
            read = read => read,
        }
    }

    /// Counts a reading, and tells of a refusal once.
    fn ended(&self, extension: &ExtensionId, what: What, read: Result<(), Unfinished>) {
        metrics::mailbox_read(match &read {
            Ok(()) => "read",
            Err(Unfinished::GaveWay) => "gave_way",
            Err(Unfinished::Unread(Unread::Refused { .. })) => "refused",
            Err(Unfinished::Unread(Unread::Later | Unread::Store(_))) => "later",
        });
        let which = (extension.clone(), what);
        match read {
            Ok(()) => self.refused.is_over(&which),
            Err(Unfinished::Unread(Unread::Refused { code })) if self.refused.is_news(which, &code) => {
                tracing::warn!(extension.id = %extension, rc.error_code = code, "{}", what.refusal());
            }
            Err(Unfinished::Unread(Unread::Store(error))) => metrics::store_error("mailbox", &error),
            Err(_) => {}
        }
    }
}

/// Why an extension is looked into.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// Texts wait for their reports; none was sent before `since`.
    Reports {
        since: Millis,
    },
    Time,
    Hint(Came),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    Messages,
    Calls,
}

impl What {
    fn refusal(self) -> &'static str {
        match self {
            What::Messages => {
                "nobody may read the extension's messages: its texts stay sent, and a STOP is not heard here; grant \
                 ReadMessages to the app and the user"
            }
            What::Calls => {
                "nobody may read the extension's calls; grant ReadCallLog to the app and the user, or set inbound.calls = false"
            }
        }
    }
}
