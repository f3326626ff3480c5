//! Many small calls made one: what arrives while a call is under way goes with the next.

use std::{future::Future, sync::Arc};

use ringfleet_store::StoreError;
use tokio::sync::{mpsc, oneshot};

/// The most that goes into one call.
const MOST: usize = 128;

/// One request and where its answer goes.
type Asked<Q, A> = (Q, oneshot::Sender<Result<A, Arc<StoreError>>>);

/// Requests of many tasks, answered in batches by one.
#[derive(Debug)]
pub(crate) struct Batcher<Q, A> {
    line: mpsc::Sender<Asked<Q, A>>,
}

impl<Q, A> Clone for Batcher<Q, A> {
    fn clone(&self) -> Self {
        Self { line: self.line.clone() }
    }
}

/// The batch could not be asked, or the process is ending.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BatchError {
    #[error("store call failed")]
    Store(#[source] Arc<StoreError>),
    #[error("worker is ending")]
    Ending,
}

impl<Q: Send + 'static, A: Send + 'static> Batcher<Q, A> {
    /// Returns the batcher and its loop, which ends when every clone is gone.
    pub(crate) fn new<F, Fut>(call: F) -> (Self, impl Future<Output = ()> + Send)
    where
        F: Fn(Vec<Q>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Vec<A>, StoreError>> + Send,
    {
        let (line, mut requests) = mpsc::channel::<Asked<Q, A>>(4 * MOST);
        let serve = async move {
            let mut batch = Vec::with_capacity(MOST);
            while requests.recv_many(&mut batch, MOST).await > 0 {
                let (asked, waiting): (Vec<Q>, Vec<_>) = batch.drain(..).unzip();
                match call(asked).await {
                    Ok(answers) => {
                        for (answer, one) in answers.into_iter().zip(waiting) {
                            // A caller that went away needs no answer.
                            let _ = one.send(Ok(answer));
                        }
                    }
                    Err(error) => {
                        let error = Arc::new(error);
                        for one in waiting {
                            let _ = one.send(Err(error.clone()));
                        }
                    }
                }
            }
        };
        (Self { line }, serve)
    }

    /// Not cancel-safe: once asked, the call may be made although nobody reads the answer.
    pub(crate) async fn ask(&self, request: Q) -> Result<A, BatchError> {
        let (answer, wait) = oneshot::channel();
        self.line.send((request, answer)).await.map_err(|_| BatchError::Ending)?;
        wait.await.map_err(|_| BatchError::Ending)?.map_err(BatchError::Store)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_that_wait_go_together_and_each_gets_its_own_answer() {
        let (batcher, serve) = Batcher::new(|batch: Vec<u32>| async move {
            Ok(batch.iter().map(|n| (n * 2, batch.len())).collect::<Vec<_>>())
        });
        tokio::spawn(serve);
        let answers = futures::future::join_all((0..50).map(|n| batcher.ask(n))).await;
        let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
        assert!(answers.iter().enumerate().all(|(n, (double, _))| *double == 2 * n as u32));
        assert!(answers.iter().any(|(_, size)| *size > 1), "nothing was batched");
    }

    #[tokio::test]
    async fn a_failed_call_tells_everyone() {
        let (batcher, serve) = Batcher::<u8, u8>::new(|_| async { Err(StoreError::Full { call: "test" }) });
        tokio::spawn(serve);
        assert!(matches!(batcher.ask(1).await, Err(BatchError::Store(_))));
    }
}
