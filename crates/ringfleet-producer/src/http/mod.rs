//! The HTTP API: the same checks and the same enqueue, over JSON.
//!
//! | route | does |
//! |---|---|
//! | `POST /v1/messages` | takes in one message, up to [`MAX_MESSAGES`] as `{"messages": […]}`, or any number as NDJSON |
//! | `GET /v1/messages?key=…` | the message that has the key, as by its id |
//! | `GET /v1/messages?state=…` | the messages that have ended so, the last first, page by page |
//! | `GET /v1/messages/{id}` | where a message is, numbers masked, without its text |
//! | `DELETE /v1/messages/{id}` | cancels a message that no worker holds yet |
//! | `GET /v1/senders` | the numbers that texts can be sent from now, up to [`MAX_SENDERS`] at a time |
//! | `PUT /v1/opt-outs` | enters that somebody wants no texts |
//! | `DELETE /v1/opt-outs` | lifts exactly the opt-out that is named |
//! | `GET /v1/opt-outs?to=…` | the opt-outs of a recipient |
//! | `GET /v1/openapi.json` | all of this as an OpenAPI document, [`OPENAPI`]; no key is asked for |
//!
//! A key of the API may send, which is everything, or only read: [`ApiKeys`].
//!
//! Errors are `application/problem+json` and never repeat what was sent. A caller who may have to repeat a request must
//! give the message a key (`key`, or the header `Idempotency-Key`); where he gave none and the store's reply was lost,
//! the answer carries the key that makes the repeat safe.

mod auth;
mod body;
mod lines;
mod listing;
mod lookup;
mod ndjson;
mod openapi;
mod opt_outs;
mod problem;
mod send;
mod senders;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request},
    http::{HeaderValue, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use ringfleet_quiet::QuietHours;
use ringfleet_store::SharedStore;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub(crate) use self::lookup::View;
use self::problem::Problem;
pub use self::{
    auth::{ApiKeyError, ApiKeys, Role},
    lines::{MAX_LINE_BYTES, MAX_NDJSON_BYTES},
    openapi::OPENAPI,
    send::MAX_MESSAGES,
    senders::MAX_SENDERS,
};
use crate::producer::Producer;

/// The largest body of JSON, in bytes.
pub const MAX_BODY_BYTES: usize = 2 * 1024 * 1024;
/// A body of JSON takes no longer than this to arrive, nor does a part of one of NDJSON.
const BODY_DEADLINE: Duration = Duration::from_secs(30);
/// Calls of NDJSON at a time. Each may hold its connection for minutes, and those of others must find room beside them.
const MOST_NDJSON_CALLS: usize = 64;
/// One look into the store.
const STORE_DEADLINE: Duration = Duration::from_secs(5);

/// What the API needs.
pub struct Api {
    producer: Producer,
    store: SharedStore,
    keys: ApiKeys,
    quiet_hours: Option<QuietHours>,
    stop: CancellationToken,
    /// For calls of NDJSON.
    ndjson_room: Arc<Semaphore>,
}

impl Api {
    /// `stop` is cancelled when the process is to end: calls that may take minutes come to an end of their own then.
    pub fn new(producer: Producer, store: SharedStore, keys: ApiKeys, stop: CancellationToken) -> Self {
        let ndjson_room = Arc::new(Semaphore::new(MOST_NDJSON_CALLS));
        Self { producer, store, keys, quiet_hours: None, stop, ndjson_room }
    }

    /// Those that the workers keep, for the times that are told.
    pub fn with_quiet_hours(self, quiet_hours: Option<QuietHours>) -> Self {
        Self { quiet_hours, ..self }
    }
}

type Shared = Arc<Api>;

/// The routes that a key is asked for.
pub(crate) fn routes() -> [(&'static str, MethodRouter<Shared>); 4] {
    [
        ("/v1/messages", get(listing::find).post(send::accept)),
        ("/v1/messages/{id}", get(lookup::show).delete(lookup::cancel)),
        ("/v1/senders", get(senders::list)),
        ("/v1/opt-outs", get(opt_outs::list).put(opt_outs::enter).delete(opt_outs::lift)),
    ]
}

/// Where the OpenAPI document is. It holds nothing that the program's source does not, so whoever may call reads it.
pub(crate) const OPENAPI_PATH: &str = "/v1/openapi.json";

/// The API's routes, to be served on any listener.
pub fn router(api: Api) -> Router {
    let api = Arc::new(api);
    let wrong_method = || async { Problem::wrong_method() };
    routes()
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| router.route(path, methods))
        .method_not_allowed_fallback(wrong_method)
        .route_layer(middleware::from_fn_with_state(api.clone(), auth::require_key))
        .route(OPENAPI_PATH, get(openapi::show))
        .method_not_allowed_fallback(wrong_method)
        .route_layer(middleware::from_fn_with_state(api.clone(), auth::require_own_name))
        .fallback(|| async { Problem::no_such_path() })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn(count))
        .layer(middleware::map_response(keep_out_of_caches))
        .with_state(api)
}

/// Answers name messages and people, and are true for the moment: no proxy keeps them.
async fn keep_out_of_caches(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Counts requests by route and status. Only a known route becomes a label, so a scanner can't fill the memory.
async fn count(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let response = next.run(request).await.into_response();
    let status = response.status().as_str().to_owned();
    metrics::counter!("ringfleet_api_requests_total", "route" => route, "status" => status).increment(1);
    response
}

#[cfg(test)]
mod tests {
    use reqwest::{Client, StatusCode};
    use ringfleet_store::sqlite::{SqliteOptions, SqliteStore};
    use secrecy::SecretString;

    use super::*;
    use crate::SenderDirectory;

    const KEY: &str = "test-key-0123456789";

    #[tokio::test]
    async fn no_answer_may_be_kept_by_a_cache() {
        // Already installed by another test of this process, or by this one: both are fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("messages.db"), SqliteOptions::default()).await.unwrap();
        let store: SharedStore = Arc::new(store);
        let producer = Producer::new(store.clone(), Arc::new(SenderDirectory::try_new([]).unwrap()));
        let keys = ApiKeys::try_new([SecretString::from(KEY)], []).unwrap();
        let app = router(Api::new(producer, store, keys, CancellationToken::new()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });

        let client = Client::builder().no_proxy().build().unwrap();
        let ask = |path: &str| client.get(format!("http://{address}{path}"));
        let calls = [
            (ask("/v1/senders").bearer_auth(KEY), StatusCode::OK),
            (ask("/v1/senders"), StatusCode::UNAUTHORIZED),
            (ask("/nowhere"), StatusCode::NOT_FOUND),
        ];
        for (call, status) in calls {
            let answer = call.send().await.unwrap();
            assert_eq!(
                (answer.status(), &answer.headers()["cache-control"]),
                (status, &HeaderValue::from_static("no-store"))
            );
        }
    }
}
