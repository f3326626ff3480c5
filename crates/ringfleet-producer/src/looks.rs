//! What the store has of messages that a call could not hand in.

use std::sync::{Arc, OnceLock};

use ringfleet_store::{MessageId, MessageView, NewMessage, Private, Store, StoreError};
use tokio::time::Instant;

use crate::{
    producer::{EnqueueError, ItemResult, Receipt},
    refusal::{Refusal, Refused},
    retry::{self, Patience},
};

/// The looks of one call. They share its patience, and the first that fails stands for all that come after it: a store that
/// answers one of a thousand slowly would keep its caller waiting for minutes.
pub(crate) struct Looks<'a> {
    store: &'a dyn Store,
    patience: Patience,
    began: OnceLock<Instant>,
    failed: OnceLock<Arc<StoreError>>,
}

impl<'a> Looks<'a> {
    pub(crate) fn new(store: &'a dyn Store, patience: Patience) -> Self {
        Self { store, patience, began: OnceLock::new(), failed: OnceLock::new() }
    }

    /// The store has failed this call already: it is not asked again.
    pub(crate) fn give_up(&self, error: Arc<StoreError>) {
        let _ = self.failed.set(error);
    }

    pub(crate) async fn at(&self, id: &MessageId) -> Result<Option<MessageView>, Arc<StoreError>> {
        if let Some(error) = self.failed.get() {
            return Err(error.clone());
        }
        let now = Instant::now();
        let failure = if now - *self.began.get_or_init(|| now) > self.patience.total {
            StoreError::Unavailable { call: "get", source: "the time for looks into it is over".into() }
        } else {
            match retry::within(self.patience.attempt, "get", self.store.get(id)).await {
                Ok(view) => return Ok(view),
                Err(error) => error,
            }
        };
        Err(self.failed.get_or_init(|| Arc::new(failure)).clone())
    }

    /// "Refused" makes its reader believe that nothing is sent, so a repeat whose time is over is looked up.
    // SEND-SAFETY: who believes that a message was never taken hands it in again as another one, and the customer gets two texts.
    pub(crate) async fn refuse(&self, refused: Refused) -> ItemResult {
        let Refused { mut refusals, key, is_content } = refused;
        let Some(id) = key.as_ref().map(MessageId::from_key) else { return Err(EnqueueError::Refused(refusals)) };
        match self.at(&id).await {
            Ok(None) => Err(EnqueueError::Refused(refusals)),
            Ok(Some(_)) if is_content => Ok(Receipt { id, duplicate: true }),
            Ok(Some(view)) => {
                refusals.push(Refusal::key_taken(&id, view.state));
                Err(EnqueueError::Refused(refusals))
            }
            Err(source) => Err(EnqueueError::Unsettled { id, generated_key: None, source }),
        }
    }

    /// What to say of a key under which the store has something else. Lane, sender and times count as content there, so that a
    /// repeat that names them anew, or whose sender has moved since, is a conflict as well.
    // SEND-SAFETY: the remedy of a conflict is a new key, with which the same text would be sent a second time. It is given only
    // where the record shows another recipient or another text; an editor may have changed the line ends inside of that.
    pub(crate) async fn conflict(&self, id: &MessageId, new: &NewMessage, is_content: bool) -> ItemResult {
        let refusal = match self.at(id).await {
            Ok(Some(_)) if is_content => return Ok(Receipt { id: *id, duplicate: true }),
            Ok(Some(old)) if shows_another(&old, new) => Refusal::key_conflict(id),
            Ok(Some(old)) if old.lane != new.lane && old.from == new.from => {
                Refusal::key_taken_elsewhere(id, old.state)
            }
            Ok(Some(old)) => Refusal::key_taken_otherwise(id, old.state, !is_forgotten(&old)),
            // A key's home shard remembers it for longer than the record is kept.
            Ok(None) | Err(_) => Refusal::key_unread(id),
        };
        Err(EnqueueError::Refused(vec![refusal]))
    }
}

fn shows_another(old: &MessageView, new: &NewMessage) -> bool {
    let words = |text: &Private| text.expose().replace("\r\n", "\n");
    old.to != new.to || (!is_forgotten(old) && words(&old.text) != words(&new.text))
}

/// A text that was sent is not kept.
fn is_forgotten(old: &MessageView) -> bool {
    old.text.expose().is_empty()
}
