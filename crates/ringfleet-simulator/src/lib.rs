#![doc = include_str!("../README.md")]
//!
//! ## Map
//!
//! `transport` accepts connections that a fault can cut · `oauth` and `provider` are the API that clients see · `limits` is the
//! online limiter · `world` holds the state, one short lock per extension · `faults` breaks things on demand · `ledger` writes
//! down what arrived · `judge` works out the figures from the ledger, without asking the limiter · `webhook`
//! tells subscribers · `admin` is `/simulator`.

mod admin;
mod app;
mod clock;
mod config;
mod faults;
mod judge;
mod ledger;
mod limits;
mod oauth;
mod provider;
mod query;
mod simulator;
mod transport;
mod webhook;
mod world;

pub use app::{AppSettings, GrantKind};
pub use config::{Latency, Limits, SimulatorConfig};
pub use faults::{DeliveryStatus, Endpoint, Fault, FaultMatch, FaultRule, RetryAfter};
pub use judge::{ExtensionReport, LaneReport, Report, ReportScope};
pub use ledger::{ApiLine, LedgerLine, SmsLine, TokenLine, WebhookEvent, WebhookLine, text_hash};
pub use simulator::{Simulator, StartError};
pub use world::Account;
