//! The promises, one file each: what was handed in, what the store holds, what the provider saw and what was printed must
//! agree. Knows the layout of both stores, and shares no code with them.

pub(super) mod books;
pub(super) mod canary;
pub(super) mod explained;
pub(super) mod plans;
mod secrets;
pub(super) mod walk;

use std::collections::BTreeMap;

use ringfleet_simulator::{LedgerLine, SmsLine};
use ringfleet_store::MessageId;

use super::{Rig, http};

type Records = BTreeMap<MessageId, walk::Record>;

/// All sends that arrived at the provider.
pub(super) async fn ledger(rig: &Rig) -> Vec<SmsLine> {
    let url = format!("{}/simulator/ledger", rig.simulator.base_url());
    let text = http().get(url).send().await.unwrap().text().await.unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<LedgerLine>(line).unwrap());
    let sends = lines.filter_map(|line| if let LedgerLine::Sms(send) = line { Some(send) } else { None });
    sends.collect()
}
