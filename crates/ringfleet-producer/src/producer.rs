//! Handing checked messages to the store, once each, whatever happens on the way.

use std::sync::Arc;

use futures::{Stream, StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use ringfleet_store::{Enqueued, IdempotencyKey, MAX_BATCH, MessageId, NewMessage, OnUnknown, SharedStore, StoreError};

use crate::{
    check,
    directory::SenderDirectory,
    draft::Draft,
    looks::Looks,
    refusal::{Refusal, Refused, in_one_line},
    retry::{self, Patience},
};

/// Looks into the store for single messages that are under way at once.
pub(crate) const LOOKS_IN_FLIGHT: usize = 16;

/// Takes messages in. Cheap to clone; all clones share one store.
#[derive(Clone)]
pub struct Producer {
    store: SharedStore,
    directory: Arc<SenderDirectory>,
    patience: Patience,
    on_unknown: OnUnknown,
}

/// The store has the message: from here on it ends in one final state or is visibly waiting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Receipt {
    pub id: MessageId,
    /// It was there before, under the same key and with the same content; nothing was added.
    pub duplicate: bool,
}

/// What became of one draft of many.
pub type ItemResult = Result<Receipt, EnqueueError>;

/// Why there is no receipt.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EnqueueError {
    #[error("message refused: {}", in_one_line(.0))]
    Refused(Vec<Refusal>),
    #[error(
        "the store is full; nothing of this batch was taken; Redis: raise its memory limit or let the fleet drain it; \
         SQLite: free space on its disk"
    )]
    Full,
    /// An earlier batch of the same call failed, so this message never left.
    #[error("the store does not answer; this message was not handed to it; try again later")]
    NotTried,
    /// The store may or may not have taken the message, e.g. because its reply was lost.
    #[error("the store did not say whether it took {id}; look that id up, or repeat the message with the same key")]
    Unsettled {
        id: MessageId,
        /// The key that a keyless draft was given. A repeat with it is recognised; one without is a second text.
        generated_key: Option<String>,
        #[source]
        source: Arc<StoreError>,
    },
}

/// A draft after its check.
pub(crate) type Checked = Result<Outgoing, Refused>;

/// A message that is about to go to the store.
pub(crate) struct Outgoing {
    message: NewMessage,
    id: MessageId,
    generated_key: Option<String>,
    /// The key was made of the content, so what has it is the same message.
    is_content: bool,
}

/// Why the later batches of a call need not be tried.
enum Stop {
    Full,
    Away(Arc<StoreError>),
}

/// What the store said to one message.
type Answer = Result<Enqueued, EnqueueError>;

impl Producer {
    pub fn new(store: SharedStore, directory: Arc<SenderDirectory>) -> Self {
        Self { store, directory, patience: Patience::default(), on_unknown: OnUnknown::default() }
    }

    /// How long to go on against a store that does not answer; 15 s unless set.
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// What becomes of a send of unknown fate where the draft does not say; [`OnUnknown::Reconcile`] unless set.
    pub fn with_on_unknown(mut self, on_unknown: OnUnknown) -> Self {
        self.on_unknown = on_unknown;
        self
    }

    /// Who may be sent from, as it is known now.
    pub fn directory(&self) -> &SenderDirectory {
        &self.directory
    }

    /// Judges a draft without touching the store: the message, or everything that is wrong with it.
    ///
    /// # Errors
    /// All faults of the draft, never an empty list.
    pub fn check(&self, draft: &Draft, now: Timestamp) -> Result<NewMessage, Vec<Refusal>> {
        check::check(&self.directory, self.on_unknown, draft, now)
    }

    pub(crate) fn judge(&self, draft: &Draft, now: Timestamp) -> Checked {
        let checked = self.check(draft, now).map(Outgoing::new);
        checked.map_err(|refusals| Refused::of(refusals, draft.key.as_deref()))
    }

    /// Takes in one message.
    ///
    /// Dropping the future leaves open whether the store took it; repeat the draft with the same key, so give it one.
    ///
    /// # Errors
    /// [`EnqueueError`]; only after `Unsettled` may the store have the message.
    pub async fn enqueue(&self, draft: Draft) -> ItemResult {
        let checked = self.judge(&draft, Timestamp::now());
        self.submit(vec![checked]).await.pop().unwrap_or(Err(EnqueueError::NotTried))
    }

    /// Takes in many messages, one result each, in order. A refused one does not hinder the others.
    ///
    /// # Errors
    /// [`EnqueueError::Full`] when the store was full from the start, so that nothing at all was taken. A store that
    /// fails half-way shows in the results instead, since those before have their receipts.
    pub async fn enqueue_many(&self, drafts: Vec<Draft>) -> Result<Vec<ItemResult>, EnqueueError> {
        let results = self.submit(self.check_all(&drafts)).await;
        let nothing_taken = |result: &ItemResult| matches!(result, Err(EnqueueError::Refused(_) | EnqueueError::Full));
        let full = results.iter().any(|result| matches!(result, Err(EnqueueError::Full)));
        if full && results.iter().all(nothing_taken) {
            return Err(EnqueueError::Full);
        }
        Ok(results)
    }

    /// Takes in a stream, in memory bounded by `batches_in_flight` batches of 500, and yields one result a draft, in
    /// order. With more than one batch in flight, messages of one lane may reach the store in another order.
    ///
    /// A batch leaves when it is full or when the stream has nothing ready, so a slow stream is not held up.
    pub fn enqueue_stream<S>(&self, drafts: S, batches_in_flight: usize) -> impl Stream<Item = ItemResult> + use<S>
    where
        S: Stream<Item = Draft>,
    {
        let producer = self.clone();
        drafts
            .ready_chunks(MAX_BATCH)
            .map(move |drafts| {
                let producer = producer.clone();
                async move { producer.submit(producer.check_all(&drafts)).await }
            })
            .buffered(batches_in_flight.max(1))
            .flat_map(stream::iter)
    }

    fn check_all(&self, drafts: &[Draft]) -> Vec<Checked> {
        let now = Timestamp::now();
        drafts.iter().map(|draft| self.judge(draft, now)).collect()
    }

    /// Hands in what passed its check, batch after batch so that order is kept, and answers for every item.
    pub(crate) async fn submit(&self, checked: Vec<Checked>) -> Vec<ItemResult> {
        let outgoing: Vec<&Outgoing> = checked.iter().flatten().collect();
        let mut answers = Vec::with_capacity(outgoing.len());
        let mut stop = None;
        for batch in outgoing.chunks(MAX_BATCH) {
            match &stop {
                None => stop = self.submit_batch(batch, &mut answers).await,
                Some(Stop::Full) => answers.extend(batch.iter().map(|_| Err(EnqueueError::Full))),
                Some(Stop::Away(_)) => answers.extend(batch.iter().map(|_| Err(EnqueueError::NotTried))),
            }
        }
        // Afterwards, so that what is refused keeps nobody waiting who is not.
        let looks = self.looks();
        if let Some(Stop::Away(error)) = stop {
            looks.give_up(error);
        }
        let mut answers = answers.into_iter();
        let answered: Vec<_> = checked
            .into_iter()
            .map(|item| item.map(|outgoing| (outgoing, answers.next().unwrap_or(Err(EnqueueError::NotTried)))))
            .collect();
        let told = stream::iter(answered).map(|item| async {
            match item {
                Ok((outgoing, answer)) => outgoing.result(answer?, &looks).await,
                Err(refused) => looks.refuse(refused).await,
            }
        });
        let results: Vec<ItemResult> = told.buffered(LOOKS_IN_FLIGHT).collect().await;
        count(&results);
        results
    }

    /// One store call's worth: pushes one answer a message.
    async fn submit_batch(&self, batch: &[&Outgoing], answers: &mut Vec<Answer>) -> Option<Stop> {
        let messages: Vec<NewMessage> = batch.iter().map(|outgoing| outgoing.message.clone()).collect();
        let error = match retry::enqueue(&*self.store, &messages, self.patience).await {
            Ok(stored) => {
                answers.extend(stored.into_iter().map(Ok));
                return None;
            }
            Err(error) => Arc::new(error),
        };
        let unsettled = |outgoing: &&Outgoing| Err(outgoing.unsettled(&error));
        if !matches!(*error, StoreError::Full { .. }) {
            answers.extend(batch.iter().map(unsettled));
            return Some(Stop::Away(error));
        }
        // SEND-SAFETY: "nothing was taken" makes the caller repeat, so it is looked up, not assumed: an attempt before
        // this one may have lost its reply, and a fleet of several shards may be full in one of them.
        let present = match self.look_up(batch).await {
            Ok(present) => present,
            Err(failed) => {
                answers.extend(batch.iter().map(unsettled));
                return Some(Stop::Away(failed));
            }
        };
        let answer = |(outgoing, present)| if present { unsettled(outgoing) } else { Err(EnqueueError::Full) };
        answers.extend(batch.iter().zip(present).map(answer));
        Some(Stop::Full)
    }

    pub(crate) fn looks(&self) -> Looks<'_> {
        Looks::new(&*self.store, self.patience)
    }

    /// Which messages of a batch the store has.
    async fn look_up(&self, batch: &[&Outgoing]) -> Result<Vec<bool>, Arc<StoreError>> {
        let looks = &self.looks();
        let ids: Vec<MessageId> = batch.iter().map(|outgoing| outgoing.id).collect();
        let present = stream::iter(ids).map(|id| async move { looks.at(&id).await.map(|view| view.is_some()) });
        present.buffered(LOOKS_IN_FLIGHT).try_collect().await
    }
}

impl Outgoing {
    /// Gives the message a key if it has none.
    pub(crate) fn new(mut message: NewMessage) -> Self {
        // SEND-SAFETY: without a key the store could not tell a repeat after a lost reply from a second message, and
        // the customer would get two texts. A random key, fixed before the first attempt, makes every repeat harmless.
        let (key, generated_key) = match message.key.take() {
            Some(key) => (key, None),
            None => {
                let random = format!("auto-{}", MessageId::random());
                let key = IdempotencyKey::try_new(&random).expect("an id is printable and short");
                (key, Some(random))
            }
        };
        let id = MessageId::from_key(&key);
        message.key = Some(key);
        Self { message, id, generated_key, is_content: false }
    }

    /// A message whose key was made of its content.
    pub(crate) fn by_content(mut message: NewMessage, key: IdempotencyKey) -> Self {
        message.key = Some(key);
        Self { is_content: true, ..Self::new(message) }
    }

    pub(crate) fn message(&self) -> &NewMessage {
        &self.message
    }

    async fn result(&self, answer: Enqueued, looks: &Looks<'_>) -> ItemResult {
        match answer {
            Enqueued::Accepted(id) => Ok(Receipt { id, duplicate: false }),
            // A key that only we know was there before: our own earlier attempt, whose reply was lost.
            Enqueued::Duplicate(id) => Ok(Receipt { id, duplicate: self.generated_key.is_none() }),
            Enqueued::Conflict(id) => looks.conflict(&id, &self.message, self.is_content).await,
        }
    }

    fn unsettled(&self, source: &Arc<StoreError>) -> EnqueueError {
        EnqueueError::Unsettled { id: self.id, generated_key: self.generated_key.clone(), source: Arc::clone(source) }
    }
}

/// The word of a result in answers.
pub(crate) fn result_word(result: &ItemResult) -> &'static str {
    match result {
        Ok(Receipt { duplicate: false, .. }) => "accepted",
        Ok(Receipt { duplicate: true, .. }) => "duplicate",
        Err(EnqueueError::Refused(_)) => "refused",
        Err(EnqueueError::Full | EnqueueError::NotTried) => "not-taken",
        Err(EnqueueError::Unsettled { .. }) => "unknown",
    }
}

/// The same in metrics. There a full store has a word of its own: somebody is woken for it, and what is not tried because the
/// store is away must not pass for that.
fn metric_word(result: &ItemResult) -> &'static str {
    if let Err(EnqueueError::Full) = result { "full" } else { result_word(result) }
}

fn count(results: &[ItemResult]) {
    for word in ["accepted", "duplicate", "refused", "full", "not-taken", "unknown"] {
        let n = results.iter().filter(|result| metric_word(result) == word).count() as u64;
        if n > 0 {
            metrics::counter!("ringfleet_enqueued_total", "result" => word).increment(n);
        }
    }
}
