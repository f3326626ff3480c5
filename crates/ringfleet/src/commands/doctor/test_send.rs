//! `--send-test-to`: one text through the fleet, as a producer's would go.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use ringcentral::{ExtensionId, PhoneNumber};
use ringfleet_explain::sense;
use ringfleet_producer::{Draft, Producer, SenderDirectory};
use ringfleet_store::{Cancelled, Gate, MessageId, State, Store};
use tokio::time::Instant;

use super::{
    case::Case,
    extension::STOPPED,
    finding::{Finding, Section},
    store::REPLACED,
};
use crate::store as stores;

/// A worker takes a message of a free lane within a second or two; a full window may take a minute.
const PATIENCE: Duration = Duration::from_secs(90);
const CHECK: &str = "test text";

pub(super) async fn look(case: &Case, extension: &ExtensionId, to: &PhoneNumber) -> Section {
    Section::new("Test text", vec![send(case, extension, to).await])
}

async fn send(case: &Case, extension: &ExtensionId, to: &PhoneNumber) -> Finding {
    if let Ok(Gate::Stopped { .. }) = case.vault.store().gate().await {
        let seen = format!("{STOPPED}, so none is handed in");
        return Finding::fail(CHECK, seen, "`ringfleet fleet resume` lets it go on");
    }
    if let Err(error) = stores::refuse_replaced(&case.settings, case.vault.store()).await {
        return Finding::fail(CHECK, format!("none is handed in: {error}"), REPLACED);
    }
    let senders = match SenderDirectory::of(case.directory.clone(), &case.settings.provider.app) {
        Ok(senders) => Arc::new(senders),
        Err(error) => return Finding::fail(CHECK, super::store::chain(&error), "correct ringcentral.app"),
    };
    let book = case.directory.book();
    let number = book.senders().iter().find(|(_, owner)| owner == extension).map(|(number, _)| number.expose());
    let now = Timestamp::now();
    let draft = Draft {
        // Without one the producer says what it lacks.
        from: number.unwrap_or(extension.as_str()).to_owned(),
        to: to.expose().to_owned(),
        // The time makes it another text each time, so that it is not taken for a repetition.
        text: format!("Ringfleet test, {}", now.strftime("%Y-%m-%d %H:%M:%S UTC")),
        // Should no worker run, it must not go out hours later.
        send_by: (now + PATIENCE).to_string().into(),
        ..Draft::default()
    };
    let producer = Producer::new(case.vault.store().clone(), senders);
    // SEND-SAFETY: it goes the way of every text: opt-outs, kill switch and pauses count, and an answer that is lost is looked
    // up and not sent again.
    let receipt = match producer.enqueue(draft).await {
        Ok(receipt) => receipt,
        Err(error) => return Finding::fail(CHECK, super::store::chain(&error), "correct what it names, and try again"),
    };
    ended(&**case.vault.store(), &receipt.id).await
}

async fn ended(store: &dyn Store, id: &MessageId) -> Finding {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (state, reason) = match store.get(id).await {
            Ok(Some(view)) => (view.state, view.reason),
            Ok(None) => return Finding::fail(CHECK, format!("{id} is gone from the store"), "look at the store"),
            Err(error) => return Finding::fail(CHECK, super::store::chain(&error), "look at the store"),
        };
        match state {
            state if state.was_sent() => return Finding::ok(CHECK, format!("sent by the fleet: {id}")),
            state if state.is_final() || state == State::Held => {
                let told = sense(&reason);
                let meaning = told.map_or(reason.as_str(), |told| told.meaning);
                let step = told.and_then(|told| told.remedy).unwrap_or("look at the findings above");
                return Finding {
                    code: super::code_in(&reason),
                    ..Finding::fail(CHECK, format!("{}: {meaning} ({reason})", state.as_str()), step)
                };
            }
            _ if Instant::now() >= deadline => {
                let late = format!("{id} was not sent within {} s", PATIENCE.as_secs());
                return match store.cancel(id).await {
                    Ok(Cancelled::Done) => {
                        let next = "is a worker running? `ringfleet worker`; and look at the lane above";
                        Finding::fail(CHECK, format!("{late}, and is taken back"), next)
                    }
                    // It may go out yet: nobody is told that it won't.
                    Ok(Cancelled::TooLate(_) | Cancelled::Missing) | Err(_) => {
                        let next = "`ringfleet message show` with this id tells what becomes of it";
                        Finding::fail(CHECK, format!("{late}, and could not be taken back"), next)
                    }
                };
            }
            _ => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}
