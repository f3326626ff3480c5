//! What was handed in: the producer's side of the books, which the checker compares with the store's and the provider's.

use std::{collections::HashMap, time::Duration};

use ringfleet_producer::{Draft, EnqueueError, Receipt};
use ringfleet_simulator::text_hash;
use ringfleet_store::MessageId;

use super::{Rig, checker, lock};

/// What the provider's ledger knows a text by: sender, recipient, hash of the text.
pub(crate) type Key = (String, String, String);

/// An acknowledged message.
#[derive(Clone)]
pub(crate) struct Handed {
    pub(super) id: MessageId,
    pub(super) key: Key,
    /// When it could be sent at the earliest, in ns of the simulator's clock.
    pub(super) ready_ns: u64,
}

pub(super) fn key_of(from: &str, to: &str, text: &str) -> Key {
    (from.to_owned(), to.to_owned(), format!("{:016x}", text_hash(text)))
}

impl Rig {
    /// `count` different texts from the `extension`-th extension, acknowledged by the store.
    pub(crate) async fn enqueue(&self, extension: usize, count: usize, send_at: Option<String>) {
        self.enqueue_named(extension, count, send_at, "reminder").await;
    }

    pub(crate) async fn enqueue_named(
        &self,
        extension: usize,
        count: usize,
        send_at: Option<String>,
        name: &str,
    ) -> Vec<MessageId> {
        let from = &self.accounts[extension].numbers[0];
        let draft = |n: usize| Draft {
            from: from.clone(),
            to: format!("+1555200{:04}", n % 10_000),
            text: format!("{name} {n} of extension {extension}"),
            send_at: send_at.clone(),
            ..Draft::default()
        };
        let mut ids = Vec::with_capacity(count);
        for chunk in (0..count).collect::<Vec<_>>().chunks(500) {
            let drafts: Vec<Draft> = chunk.iter().map(|n| draft(*n)).collect();
            let results = self.producer.enqueue_many(drafts.clone()).await.unwrap();
            for (draft, result) in drafts.iter().zip(results) {
                ids.push(self.note(draft, &result.unwrap()));
            }
        }
        ids
    }

    /// One text, to a number of the test's choice.
    pub(crate) async fn enqueue_to(&self, extension: usize, to: &str, text: &str) -> MessageId {
        let from = self.accounts[extension].numbers[0].clone();
        self.hand_in(Draft { from, to: to.to_owned(), text: text.to_owned(), ..Draft::default() }).await.unwrap().id
    }

    /// One draft; only an acknowledged one is expected to be anywhere.
    pub(crate) async fn hand_in(&self, draft: Draft) -> Result<Receipt, EnqueueError> {
        let receipt = self.producer.enqueue(draft.clone()).await?;
        self.note(&draft, &receipt);
        Ok(receipt)
    }

    /// So many more were acknowledged to somebody else: an import, a request over HTTP.
    pub(crate) fn handed_in_elsewhere(&self, count: u64) {
        *lock(&self.elsewhere) += count;
    }

    /// What must never be printed, beside what the rig knows by itself: texts and numbers of what was handed in elsewhere,
    /// keys of producers.
    pub(crate) fn keep_secret(&self, words: impl IntoIterator<Item = impl Into<String>>) {
        lock(&self.secrets).extend(words.into_iter().map(Into::into));
    }

    /// When each message arrived at the provider, in ns of the simulator's clock. For texts that are told apart.
    pub(crate) async fn arrivals(&self) -> HashMap<MessageId, u64> {
        let ledger = checker::ledger(self).await;
        let accepted = ledger.into_iter().filter(|send| send.outcome == "accepted");
        let by_key: HashMap<Key, u64> =
            accepted.filter_map(|send| Some(((send.from?, send.to?, send.text_hash?), send.at_ns))).collect();
        lock(&self.handed).iter().filter_map(|handed| Some((handed.id, *by_key.get(&handed.key)?))).collect()
    }

    fn note(&self, draft: &Draft, receipt: &Receipt) -> MessageId {
        if !receipt.duplicate {
            let due = draft.send_at.as_ref().and_then(|at| at.parse::<jiff::Timestamp>().ok());
            let ahead = due.and_then(|due| Duration::try_from(due.duration_since(jiff::Timestamp::now())).ok());
            let ready_ns = self.simulator_now() + ahead.unwrap_or_default().as_nanos() as u64;
            let key = key_of(&draft.from, &draft.to, &draft.text);
            lock(&self.handed).push(Handed { id: receipt.id, key, ready_ns });
            self.keep_secret([draft.text.clone(), draft.from.clone(), draft.to.clone()]);
            self.keep_secret(draft.key.clone());
        }
        receipt.id
    }
}
