//! A webhook that does as it is told.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;

/// How it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Manner {
    Good,
    /// Says yes and forgets the token.
    Forgetful,
    Status(u16),
    /// An answer of more bytes than allowed.
    Talkative,
    Slow(Duration),
}

pub(crate) struct Receiver {
    pub(crate) address: String,
    state: Arc<Mutex<Inside>>,
}

struct Inside {
    manner: Manner,
    got: Vec<(Option<String>, Value)>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Mutex::new(Inside { manner: Manner::Good, got: Vec::new() }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let routes = Router::new().fallback(answer).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { address, state }
    }

    pub(crate) fn behave(&self, manner: Manner) {
        self.state.lock().expect("no panic").manner = manner;
    }

    /// Notifications so far: the verification token and the body.
    pub(crate) fn got(&self) -> Vec<(Option<String>, Value)> {
        self.state.lock().expect("no panic").got.clone()
    }

    /// Waits until `enough` of what came so far.
    pub(crate) async fn wait(&self, enough: impl Fn(&[(Option<String>, Value)]) -> bool) -> Vec<Value> {
        let began = Instant::now();
        loop {
            let got = self.got();
            if enough(&got) {
                return got.into_iter().map(|(_, body)| body).collect();
            }
            assert!(began.elapsed() < Duration::from_secs(20), "still waiting: {got:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn answer(State(state): State<Arc<Mutex<Inside>>>, headers: HeaderMap, body: Bytes) -> Response {
    let manner = state.lock().expect("no panic").manner.clone();
    if let Manner::Slow(wait) = manner {
        tokio::time::sleep(wait).await;
    }
    let text = if manner == Manner::Talkative { "x".repeat(1024) } else { String::new() };
    let mut response = Response::new(text.into());
    if let Manner::Status(status) = manner {
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    }
    match headers.get("validation-token") {
        Some(token) if manner != Manner::Forgetful => {
            response.headers_mut().insert("validation-token", token.clone());
        }
        Some(_) => {}
        None => {
            let token = headers.get("verification-token").map(HeaderValue::to_str).transpose().expect("text");
            let body = serde_json::from_slice(&body).expect("JSON");
            state.lock().expect("no panic").got.push((token.map(str::to_owned), body));
        }
    }
    response
}
