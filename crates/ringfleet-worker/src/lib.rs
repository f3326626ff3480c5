//! A worker of the fleet: claims messages whose lanes may send now, and carries each through intent, POST and settle.
//!
//! ```text
//!            hands (free places)
//!                 │
//!  claimer ──lease──▶ queue (apalis Backend) ──▶ sender: session → begin_send → POST → settle
//!                                                   │            │                    │
//!  keeper: keeps the leases in hand              sessions     batcher              settler
//!  breaker: few hands while the provider's answers tell nothing
//!  reaper: takes back what dead workers held
//!  caretaker: lets lanes go on whose credential has changed
//! ```
//!
//! **Invariants.** A POST is made only after `begin_send` said `Go` for that lease. A lease is never claimed without a free
//! hand. What the provider answered is reported until the store has taken it. Only [`queue`] knows apalis' types.

mod backoff;
mod batcher;
mod breaker;
mod caretaker;
mod claimer;
mod keeper;
mod metrics;
mod options;
mod outcome;
mod queue;
mod reaper;
mod run;
mod sender;
mod sessions;
mod settler;

pub use crate::{
    options::{Credential, Credentials, WorkerOptions},
    run::{Drained, WorkerError, run},
};
