//! The demo's reminders: the sample CSV, sent from the simulator's numbers.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context;
use futures::{StreamExt, stream};
use ringcentral::{ExtensionId, PhoneNumber};
use ringfleet_producer::{Draft, Producer, Sender, SenderDirectory};
use ringfleet_simulator::Simulator;
use ringfleet_store::SharedStore;

use crate::{cli::DemoOptions, progress};

const SAMPLE: &str = include_str!("../../../../../examples/reminders.csv");

/// One row of the sample; its sender stands for the n-th extension.
#[derive(Clone)]
struct Row {
    sender: usize,
    to: String,
    text: String,
}

/// Enqueues the demo's messages and returns how many the store acknowledged.
pub(crate) async fn enqueue(store: &SharedStore, simulator: &Simulator, options: &DemoOptions) -> anyhow::Result<u64> {
    let accounts = simulator.accounts();
    let senders = accounts.iter().map(|account| {
        Ok(Sender {
            app: "main".to_owned(),
            extension: ExtensionId::try_new(&account.extension_id)?,
            numbers: account.numbers.iter().map(|n| PhoneNumber::try_new(n)).collect::<Result<_, _>>()?,
        })
    });
    let directory = SenderDirectory::try_new(senders.collect::<anyhow::Result<Vec<_>>>()?)?;
    let producer = Producer::new(store.clone(), Arc::new(directory));

    let numbers: Vec<String> = accounts.iter().filter_map(|account| account.numbers.first().cloned()).collect();
    let rows = sample()?;
    let bar = progress::bar(options.messages.into(), "enqueueing");
    let drafts = stream::iter(drafts(rows, numbers, options.messages));
    let mut results = std::pin::pin!(producer.enqueue_stream(drafts, 4));
    let mut accepted = 0;
    while let Some(result) = results.next().await {
        result.context("the demo's own reminder was refused")?;
        accepted += 1;
        bar.set_position(accepted);
    }
    bar.finish();
    Ok(accepted)
}

/// Exactly `count` drafts, spread evenly over the numbers; rows are used again with a note when there are not enough.
fn drafts(rows: Vec<Row>, numbers: Vec<String>, count: u32) -> impl Iterator<Item = Draft> {
    let whole = rows.len().max(1) as u32;
    (0..count).map(move |n| {
        let row = &rows[(n % whole) as usize];
        let round = n / whole;
        // Below the sample's size its own senders are used; beyond, the reminders go round robin.
        let sender = if round == 0 { row.sender } else { n as usize };
        let text = if round == 0 { row.text.clone() } else { format!("{} ({})", row.text, round + 1) };
        Draft {
            from: numbers[sender % numbers.len()].clone(),
            to: row.to.clone(),
            text,
            key: Some(format!("demo-{n}")),
            ..Draft::default()
        }
    })
}

/// The sample's rows, ordered so that the senders take turns, as they do when employees work side by side.
fn sample() -> anyhow::Result<Vec<Row>> {
    let mut reader = csv::Reader::from_reader(SAMPLE.as_bytes());
    let mut senders: BTreeMap<String, usize> = BTreeMap::new();
    let mut rows = Vec::new();
    for record in reader.deserialize::<BTreeMap<String, String>>() {
        let mut record = record.context("the sample CSV can't be read")?;
        let mut take = |name: &str| record.remove(name).unwrap_or_default();
        let next = senders.len();
        let sender = *senders.entry(take("from")).or_insert(next);
        rows.push(Row { sender, to: take("to"), text: take("text") });
    }
    let mut turns: BTreeMap<usize, usize> = BTreeMap::new();
    rows.sort_by_cached_key(|row| {
        let turn = turns.entry(row.sender).or_default();
        *turn += 1;
        (*turn, row.sender)
    });
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_draft_is_another_text_and_the_senders_share_them_evenly() {
        let numbers: Vec<String> = (0..25).map(|n| format!("+155501{n:05}")).collect();
        let drafts: Vec<Draft> = drafts(sample().unwrap(), numbers, 4_000).collect();
        let mut seen: Vec<_> = drafts.iter().map(|d| (&d.from, &d.to, &d.text)).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 4_000);
        let mut per_sender: BTreeMap<&str, u32> = BTreeMap::new();
        drafts.iter().take(1_500).for_each(|draft| *per_sender.entry(&draft.from).or_default() += 1);
        assert!(per_sender.values().all(|n| *n == 60), "{per_sender:?}");
    }
}
