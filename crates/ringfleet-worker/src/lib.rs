//! A worker of the fleet: claims messages whose lanes may send now, and carries each through intent, POST and settle.
//!
//! ```text
//!            hands (free places)
//!                 │
//!  claimer ──lease──▶ queue (apalis Backend) ──▶ sender: session → begin_send → POST → settle
//!                                                   │            │                    │
//!  keeper: keeps the leases in hand         ringfleet-identity batcher              settler
//!  breaker: few hands while the provider's answers tell nothing
//!  reaper: takes back what dead workers held
//!  reconciler: finds out what became of sends whose fate is unknown
//!  mailbox, inbox: learn what became of texts after they were sent, who wants no more of them, and what came in
//!  webhooks: let the provider tell when something came in
//!  watcher, journal: tell a store that lost its last moments what was sent in them
//!  caretaker: lets lanes go on whose credential has changed, or what the provider says of their numbers
//!  connections: refreshes those that no message has needed for days
//!  foresight: sessions for lanes whose first scheduled message is due soon
//!  refresher (of the fleet, one at a time): reads extensions and numbers from the provider
//! ```
//!
//! **Invariants.** A POST is made only after `begin_send` said `Go` for that lease. A lease is never claimed without a free
//! hand. What the provider answered is reported until the store has taken it. Only [`queue`] knows apalis' types.

mod app;
mod backoff;
mod batcher;
mod breaker;
mod caretaker;
mod claimer;
mod connections;
mod failing;
mod foresight;
mod inbox;
mod journal;
mod keeper;
mod loops;
mod mailbox;
mod matching;
mod metrics;
mod options;
mod outcome;
mod parked;
mod queue;
mod quiet;
mod reaper;
mod reconciler;
mod run;
mod sender;
mod settler;
#[cfg(test)]
mod tests;
mod turns;
mod watcher;
mod webhooks;

use ringfleet_identity::failpoint;

pub use crate::{
    inbox::{Inbound, InboundKind, InboundList, Inbox},
    journal::{JournalError, check_journals},
    options::{InboundOptions, ReconcileOptions, WorkerOptions},
    quiet::on_its_way,
    run::{Drained, WorkerError, run},
    webhooks::{Hints, reseal as reseal_subscriptions, router as webhook_router},
};
