//! The webhook: echoes the provider's handshake, and takes events of the fleet's own subscriptions for hints to look.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use ringcentral::ExtensionId;
use ringfleet_identity::Vault;
use serde::Deserialize;
use subtle::ConstantTimeEq;
use tokio::sync::Notify;

use super::known::Known;
use crate::metrics;

const VALIDATION: &str = "validation-token";
/// Both names are documented.
const VERIFICATION: [&str; 2] = ["verification-token", VALIDATION];
/// The whole answer may have 1,024 bytes (documented).
const MAX_VALIDATION_BYTES: usize = 512;
const MAX_BODY_BYTES: usize = 64 * 1024;
/// The provider waits 3 s (documented).
const DEADLINE: Duration = Duration::from_millis(2_500);

/// Extensions at which something came in, for those who look.
#[derive(Default, Debug)]
pub struct Hints {
    waiting: Mutex<BTreeSet<(ExtensionId, Came)>>,
    come: Notify,
}

/// Where to look for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Came {
    Message,
    Call,
}

/// What is read of an event.
#[derive(Deserialize)]
struct Event {
    event: String,
}

impl Came {
    fn of(body: &[u8]) -> Self {
        match serde_json::from_slice::<Event>(body) {
            Ok(Event { event }) if event.ends_with("/missed-calls") => Came::Call,
            _ => Came::Message,
        }
    }
}

impl Hints {
    fn give(&self, extension: ExtensionId, came: Came) {
        lock(&self.waiting).insert((extension, came));
        self.come.notify_one();
    }

    /// Waits for the next one. Cancel-safe.
    pub(crate) async fn next(&self) -> (ExtensionId, Came) {
        loop {
            // Taken before the look, so that one that comes in between wakes it.
            let come = self.come.notified();
            if let Some(hint) = lock(&self.waiting).pop_first() {
                return hint;
            }
            come.await;
        }
    }
}

struct Receiver {
    hints: Arc<Hints>,
    known: Known,
}

/// Serves `POST /inbound/{extension}`. The caller bounds who may reach it; what comes in is checked here.
pub fn router(vault: Vault, hints: Arc<Hints>) -> Router {
    let receiver = Arc::new(Receiver { hints, known: Known::new(vault) });
    Router::new().route("/inbound/{extension}", post(receive)).with_state(receiver)
}

async fn receive(State(receiver): State<Arc<Receiver>>, Path(extension): Path<String>, request: Request) -> Response {
    let answer = tokio::time::timeout(DEADLINE, receiver.answer(&extension, request)).await;
    let (result, response) = answer.unwrap_or_else(|_| ("slow", StatusCode::REQUEST_TIMEOUT.into_response()));
    metrics::webhook(result);
    response
}

impl Receiver {
    async fn answer(&self, extension: &str, request: Request) -> (&'static str, Response) {
        let (head, body) = request.into_parts();
        let Ok(extension) = ExtensionId::try_new(extension) else {
            return ("unknown", StatusCode::UNAUTHORIZED.into_response());
        };
        let Ok(body) = axum::body::to_bytes(body, MAX_BODY_BYTES).await else {
            return ("too_large", StatusCode::PAYLOAD_TOO_LARGE.into_response());
        };
        let is_event = || {
            let secret = self.known.secret(&extension);
            secret.is_some_and(|secret| is_from_the_provider(&head.headers, &secret))
        };
        // Who names an extension without a subscription and who lacks the secret of one go the same way: neither the time it takes
        // nor an outage of the store tells who is connected.
        if !is_event() && !self.known.look_again().await {
            // The provider tries again.
            return ("later", StatusCode::SERVICE_UNAVAILABLE.into_response());
        }
        if is_event() {
            // Nothing of it is believed but where to look.
            self.hints.give(extension, Came::of(&body));
            return ("event", StatusCode::OK.into_response());
        }
        // The test of a new subscription: whoever asks gets back what they sent, for any extension. Nobody need know who is
        // connected, so from here on the answer is the same without a secret as with a wrong one.
        if let Some(token) = head.headers.get(VALIDATION).filter(|token| token.len() <= MAX_VALIDATION_BYTES) {
            let json = HeaderValue::from_static("application/json");
            let headers = [(HeaderName::from_static(VALIDATION), token.clone()), (header::CONTENT_TYPE, json)];
            return ("handshake", (headers, Body::empty()).into_response());
        }
        let result = if self.known.secret(&extension).is_some() { "refused" } else { "unknown" };
        (result, StatusCode::UNAUTHORIZED.into_response())
    }
}

fn is_from_the_provider(headers: &HeaderMap, secret: &str) -> bool {
    let told = |name: &&str| headers.get(*name).map(|value| value.as_bytes().ct_eq(secret.as_bytes()).into());
    VERIFICATION.iter().filter_map(told).any(|same: bool| same)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // The collections are whole at every step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]
mod tests {
    use ringcentral::VerificationToken;
    use ringfleet_identity::{KeyRing, new_key};
    use ringfleet_store::{SharedStore, sqlite::SqliteOptions};
    use ringfleet_testkit::{RedisServer, eventually};

    use super::*;
    use crate::{
        tests::rig::{PATIENCE, redis, spoil, sqlite},
        webhooks::record::Record,
    };

    const OURS: &str = "400100001";
    const STRANGE: &str = "400100002";
    const SECRET: &str = "a-secret-of-the-fleet";

    async fn receiver(folder: &tempfile::TempDir) -> Receiver {
        receiver_on(sqlite(folder.path(), SqliteOptions::default()).await).await
    }

    async fn receiver_on(store: SharedStore) -> Receiver {
        let vault = Vault::new(store, Arc::new(KeyRing::from_text(&new_key()).unwrap()), "main");
        let secret = VerificationToken::try_new(SECRET).unwrap();
        let record = Record { id: None, secret, wants: String::new(), renew_at: 0 };
        record.save(&vault, &ExtensionId::try_new(OURS).unwrap()).await.unwrap();
        Receiver { hints: Arc::default(), known: Known::new(vault) }
    }

    /// The answer to a call with this header: what is counted, its status, and the token that it gives back.
    async fn call(receiver: &Receiver, extension: &str, (name, value): (&str, &str)) -> (&'static str, u16, String) {
        let request = axum::http::Request::post("/").header(name, value).body(Body::empty()).unwrap();
        let (result, response) = receiver.answer(extension, request).await;
        let echo = response.headers().get(VALIDATION).map_or("", |echo| echo.to_str().unwrap());
        (result, response.status().as_u16(), echo.to_owned())
    }

    #[tokio::test]
    async fn a_stranger_gets_the_same_answers_whether_an_extension_is_connected_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let receiver = receiver(&folder).await;
        let long = "x".repeat(MAX_VALIDATION_BYTES + 1);
        for (header, status, echo) in [
            ((VALIDATION, "x"), 200, "x"),
            ((VALIDATION, long.as_str()), 401, ""),
            (("verification-token", "guessed"), 401, ""),
            (("x-other", "x"), 401, ""),
        ] {
            for extension in [OURS, STRANGE] {
                let (_, told, given) = call(&receiver, extension, header).await;
                assert_eq!((told, given.as_str()), (status, echo), "{extension} {}", header.0);
            }
        }
        assert_eq!(call(&receiver, "no id", (VALIDATION, "x")).await.1, 401);
        assert!(lock(&receiver.hints.waiting).is_empty(), "a stranger was believed");
    }

    #[tokio::test]
    async fn an_event_is_believed_under_both_names_of_its_secret_and_for_its_own_extension_alone() {
        let folder = tempfile::tempdir().unwrap();
        let receiver = receiver(&folder).await;
        for name in VERIFICATION {
            assert_eq!(call(&receiver, OURS, (name, SECRET)).await, ("event", 200, String::new()));
            assert_eq!(lock(&receiver.hints.waiting).pop_first().map(|(hint, _)| hint.to_string()), Some(OURS.into()));
            assert_ne!(call(&receiver, STRANGE, (name, SECRET)).await.0, "event");
            assert!(lock(&receiver.hints.waiting).is_empty());
        }
    }

    #[tokio::test]
    async fn while_the_store_fails_no_answer_tells_who_is_connected_and_the_provider_is_heard() {
        let server = RedisServer::start();
        let receiver = receiver_on(redis(&server).await).await;
        let heard = async || call(&receiver, OURS, (VALIDATION, SECRET)).await.0 == "event";
        assert!(heard().await);
        spoil(&server, "docrev:subscription");
        eventually(PATIENCE, async || call(&receiver, STRANGE, (VALIDATION, "x")).await.1 == 503).await;
        for header in [(VALIDATION, "x"), ("verification-token", "guessed"), ("x-other", "x")] {
            for extension in [OURS, STRANGE] {
                let told = call(&receiver, extension, header).await;
                assert_eq!(told, ("later", 503, String::new()), "{extension} {}", header.0);
            }
        }
        assert!(heard().await);
    }
}
