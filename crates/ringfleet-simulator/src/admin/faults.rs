//! Faults come and go.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::Shared;
use crate::faults::FaultRule;

pub(super) async fn add(State(world): Shared, Json(rule): Json<FaultRule>) -> Json<Value> {
    Json(json!({"id": world.faults.add(rule)}))
}

pub(super) async fn list(State(world): Shared) -> Json<Value> {
    let rules = world.faults.list();
    let shown = rules.iter().map(|(rule, struck)| json!({"rule": rule, "struck": struck}));
    Json(shown.collect())
}

pub(super) async fn clear(State(world): Shared) -> Json<Value> {
    Json(json!({"removed": world.faults.remove(None)}))
}

pub(super) async fn remove(State(world): Shared, Path(id): Path<String>) -> Json<Value> {
    Json(json!({"removed": world.faults.remove(Some(&id))}))
}
