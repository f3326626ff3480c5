//! The webhook: echoes the provider's handshake, and takes events of the fleet's own subscriptions for hints to look.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
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
use ringfleet_store::StoreError;
use serde::Deserialize;
use subtle::ConstantTimeEq;
use tokio::sync::Notify;

use super::record::Record;
use crate::metrics;

const VALIDATION: &str = "validation-token";
/// Both names are documented.
const VERIFICATION: [&str; 2] = ["verification-token", VALIDATION];
/// The whole answer may have 1,024 bytes (documented).
const MAX_VALIDATION_BYTES: usize = 512;
const MAX_BODY_BYTES: usize = 64 * 1024;
/// The provider waits 3 s (documented).
const DEADLINE: Duration = Duration::from_millis(2_500);
/// A secret is asked of the store again after this time.
const REMEMBERED: Duration = Duration::from_secs(30);
/// Secrets remembered at once; an unknown extension is not.
const MOST_REMEMBERED: usize = 20_000;

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
    vault: Vault,
    hints: Arc<Hints>,
    secrets: Mutex<HashMap<ExtensionId, (Arc<str>, Instant)>>,
}

/// Serves `POST /inbound/{extension}`. The caller bounds who may reach it; what comes in is checked here.
pub fn router(vault: Vault, hints: Arc<Hints>) -> Router {
    let receiver = Arc::new(Receiver { vault, hints, secrets: Mutex::default() });
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
        let secret = match self.secret(&extension).await {
            Ok(Some(secret)) => secret,
            // As with a wrong secret: nobody need know who is connected.
            Ok(None) => return ("unknown", StatusCode::UNAUTHORIZED.into_response()),
            // The provider tries again.
            Err(error) => {
                metrics::store_error("webhook", &error);
                return ("later", StatusCode::SERVICE_UNAVAILABLE.into_response());
            }
        };
        if is_from_the_provider(&head.headers, &secret) {
            // Nothing of it is believed but where to look.
            self.hints.give(extension, Came::of(&body));
            return ("event", StatusCode::OK.into_response());
        }
        // The test of a new subscription: whoever asks gets back what they sent.
        if let Some(token) = head.headers.get(VALIDATION).filter(|token| token.len() <= MAX_VALIDATION_BYTES) {
            let json = HeaderValue::from_static("application/json");
            let headers = [(HeaderName::from_static(VALIDATION), token.clone()), (header::CONTENT_TYPE, json)];
            return ("handshake", (headers, Body::empty()).into_response());
        }
        ("refused", StatusCode::UNAUTHORIZED.into_response())
    }

    /// What events of the extension's subscription must carry; `None` if the fleet has none.
    async fn secret(&self, extension: &ExtensionId) -> Result<Option<Arc<str>>, StoreError> {
        let known = lock(&self.secrets).get(extension).cloned();
        if let Some((secret, _)) = known.filter(|(_, since)| since.elapsed() < REMEMBERED) {
            return Ok(Some(secret));
        }
        let Some(record) = Record::load(&self.vault, extension).await? else { return Ok(None) };
        let secret: Arc<str> = record.secret.expose().into();
        let mut secrets = lock(&self.secrets);
        if secrets.len() >= MOST_REMEMBERED {
            secrets.clear();
        }
        secrets.insert(extension.clone(), (secret.clone(), Instant::now()));
        Ok(Some(secret))
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
