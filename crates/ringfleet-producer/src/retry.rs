//! Asking the store again when it does not answer, and knowing when to stop.

use std::time::Duration;

use ringfleet_store::{Enqueued, NewMessage, Store, StoreError};
use tokio::time::{Instant, sleep, timeout};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long an enqueue goes on against a store that does not answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// No new attempt begins after this time.
    pub total: Duration,
    /// One attempt takes no longer than this.
    pub attempt: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { total: Duration::from_secs(15), attempt: Duration::from_secs(10) }
    }
}

/// Hands `batch` to the store until it answers or patience ends.
///
/// After an error nobody knows whether the store took the batch: a reply may be lost on its way back.
// SEND-SAFETY: every message of `batch` must have a key; the repeat of one without would be a second text.
pub(crate) async fn enqueue(
    store: &dyn Store,
    batch: &[NewMessage],
    patience: Patience,
) -> Result<Vec<Enqueued>, StoreError> {
    debug_assert!(batch.iter().all(|message| message.key.is_some()));
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut attempt = 0_u32;
    loop {
        attempt += 1;
        let error = match one_attempt(store, batch, patience.attempt).await {
            Ok(answers) => return Ok(answers),
            Err(error) => error,
        };
        // A full store stays full for longer than a caller can wait, and telling him is what slows him down.
        let again = error.is_transient() && !matches!(error, StoreError::Full { .. });
        let wait = pause.mul_f64(rand::random_range(0.5..=1.0));
        if !again || began.elapsed() + wait >= patience.total {
            return Err(error);
        }
        tracing::warn!(attempt, messages = batch.len(), ?error, "the store did not answer an enqueue, trying again");
        sleep(wait).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn one_attempt(store: &dyn Store, batch: &[NewMessage], limit: Duration) -> Result<Vec<Enqueued>, StoreError> {
    let answers = within(limit, "enqueue", store.enqueue(batch)).await?;
    if answers.len() != batch.len() {
        let what = format!("{} answers to {} messages", answers.len(), batch.len());
        return Err(StoreError::Unreadable { call: "enqueue", what });
    }
    Ok(answers)
}

/// One store call with a deadline; passing it counts as the store being away.
pub(crate) async fn within<T>(
    limit: Duration,
    call: &'static str,
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match timeout(limit, answer).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(StoreError::Unavailable { call, source: elapsed.into() }),
    }
}
