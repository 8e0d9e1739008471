//! The routes, and the small ones' answers.

use std::sync::{Arc, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{Response, StatusCode};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::calls::SimStats;
use super::catalogue;
use super::completion::Sim;
use super::config::SimConfig;
use super::refusal::{Wire, refuse};

pub(super) fn router(config: SimConfig, closing: CancellationToken) -> Router {
    let calls_by_wire = Wire::ALL.into_iter().fold(Router::new(), |router, wire| {
        let call = move |State(sim): State<Arc<Sim>>, request: Request| async move {
            sim.call(wire, request).await
        };
        router.route(wire.path(), post(call))
    });
    calls_by_wire
        .route("/v1/models", get(models))
        .route(
            "/v1/models/{author}/{slug}/endpoints",
            get(catalogue::endpoints),
        )
        .route("/sim/catalogue", get(catalogue::reads))
        .route(
            "/sim/catalogue/{author}/{slug}",
            put(catalogue::write).delete(catalogue::forget),
        )
        .route("/health", get(health))
        .route("/sim/calls", get(calls).delete(forget_calls))
        .route("/sim/body/{n}", get(body))
        .route("/sim/cache", delete(forget_cache))
        .fallback(nowhere)
        .with_state(Arc::new(Sim::new(config, closing)))
}

async fn models(State(sim): State<Arc<Sim>>) -> Json<Value> {
    let card = |id: String| json!({"id": id, "object": "model", "created": 0, "owned_by": "sim"});
    let data: Vec<Value> = sim.models.names().into_iter().map(card).collect();
    Json(json!({"object": "list", "data": data}))
}

async fn health() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

async fn calls(State(sim): State<Arc<Sim>>) -> Json<SimStats> {
    let cache_entries = sim
        .cache
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .len();
    Json(sim.calls.stats(cache_entries))
}

/// Also begins the count of `fail_times` anew.
async fn forget_calls(State(sim): State<Arc<Sim>>) -> StatusCode {
    sim.calls.reset();
    StatusCode::NO_CONTENT
}

async fn forget_cache(State(sim): State<Arc<Sim>>) -> StatusCode {
    sim.cache
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clear();
    StatusCode::NO_CONTENT
}

async fn body(State(sim): State<Arc<Sim>>, Path(n): Path<u64>) -> Result<Bytes, StatusCode> {
    sim.calls.body(n).ok_or(StatusCode::NOT_FOUND)
}

async fn nowhere() -> Response<Body> {
    refuse(Wire::Chat, 404, "The simulator has no such route.", None)
}
