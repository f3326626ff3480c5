//! Who may log in, and how: credentials, sealed in the fleet's store and followed by its processes as they change.
//!
//! [`Vault`] keeps them, [`KeyRing`] seals them (and the fleet's sessions), [`Roster`] is what a running process sees: a
//! credential that is put in, changed or taken out takes effect within a second or two, without a restart. [`directory`]
//! tells who may text from which number.

mod chain;
mod credential;
pub mod directory;
pub mod failpoint;
mod follow;
mod gate;
mod health;
mod jitter;
mod key;
mod lead;
mod metrics;
mod moment;
mod no_login;
mod rate;
mod reader;
mod record;
mod roster;
mod seal;
mod sessions;
mod telling;
mod told;
mod vault;

pub use chain::Chain;
pub use credential::{AppPrint, Credential, Facts, Login, Method, Refused, Source};
pub use health::{ConnectionState, Health, RefusedLogin, SessionState};
pub use jitter::jittered;
pub use key::{KeyError, KeyId, new_key};
pub use lead::Lead;
pub use no_login::NO_LOGIN;
pub use rate::plan_seen;
pub use reader::{ReadError, Reader, Turn, Unread};
pub use record::RecordError;
pub use roster::{Follower, Roster};
pub use seal::{KeyRing, KeyRingError, OpenError, Purpose};
pub use sessions::{
    AppRefusal, AppStanding, Granted, KeptAlive, LoginBudget, NO_CREDENTIAL, NoSession, Session, Sessions, Standing,
    Tried,
};
pub use told::{EachMinute, Told};
pub use vault::{Kept, Resealed, Stored, Vault, VaultError};
