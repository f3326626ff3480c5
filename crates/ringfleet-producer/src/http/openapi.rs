//! `GET /v1/openapi.json`: the API for programs.

use axum::{
    http::{HeaderValue, header::CONTENT_TYPE},
    response::IntoResponse,
};

/// The OpenAPI 3.1 document, as it lies in the repository. Written by hand: bodies are read by hand here, so that a fault repeats
/// nothing of them, and leave no types of which a library could make it. Tests hold it to the code.
pub const OPENAPI: &str = include_str!("../../../../docs/openapi.json");

pub(super) async fn show() -> impl IntoResponse {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], OPENAPI)
}
