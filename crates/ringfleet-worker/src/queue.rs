//! The claimed work as an apalis [`Backend`]. The only module that knows apalis' types.
//!
//! The backend never returns an error, because that would end the worker: the claimer behind it backs off instead. The hands
//! bound what has no answer yet; `.concurrency` here is their number once more for each shard of the store, for those whose
//! report is being made. Nothing is acknowledged through apalis: the sender settles with the store before its future ends.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use apalis::prelude::*;
use apalis_core::backend::{BackendConfig, finalize::Ephemeral};
use tokio::sync::mpsc;
use tower::layer::util::Identity;

use crate::{claimer::Work, sender::Sender};

struct ClaimedWork(mpsc::Receiver<Work>);

/// apalis wants arguments that it may hold for long; the work is taken out once, by the handler.
type Args = Arc<Mutex<Option<Work>>>;

impl Backend for ClaimedWork {
    type Task = Task<Args>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Infallible>>> {
        let work = ready!(self.0.poll_recv(cx));
        if work.is_none() {
            // The claimer has stopped and all it gave was taken. apalis waits for what is in flight, but ends only when it is
            // also told to stop; an error says that it was told already.
            let _ = worker.stop();
        }
        Poll::Ready(work.map(|work| Ok(Task::new(Arc::new(Mutex::new(Some(work)))))))
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for ClaimedWork {
    type Args = Args;
    type Id = String;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}

/// Runs the work through apalis until the claimer closes the channel and the last message is settled.
pub(crate) async fn process(
    name: &str,
    work: mpsc::Receiver<Work>,
    hands: usize,
    sender: Arc<Sender>,
) -> Result<(), String> {
    let places = hands * (1 + sender.places.len());
    let worker = WorkerBuilder::new(name).backend(ClaimedWork(work)).concurrency(places).data(sender).build(handle);
    worker.run().await.map_err(|error| error.to_string())
}

async fn handle(work: Args, sender: Data<Arc<Sender>>) {
    let Some(work) = work.lock().ok().and_then(|mut work| work.take()) else { return };
    let sender = Arc::clone(&sender);
    // A task of its own, so that the runtime's threads share the work (apalis would poll all of it on one) and a panic
    // stays with its message.
    if let Err(error) = tokio::spawn(async move { sender.process(work).await }).await {
        // The payload of a panic may quote a message, so it is not printed.
        tracing::error!(
            panicked = error.is_panic(),
            "a message's task broke; its lease ends and it is looked at again"
        );
    }
}
