//! OpenRouter's catalogue, as a test writes it: what stands for a model, and how often it was asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use super::completion::Sim;
use super::refusal::{Wire, json_response, refuse};

/// Entries by `author/slug`.
#[derive(Debug, Default)]
pub(super) struct Catalogue(Mutex<BTreeMap<String, Entry>>);

#[derive(Debug, Default)]
struct Entry {
    data: Option<Value>,
    reads: u64,
}

impl Catalogue {
    pub(super) fn new(entries: &BTreeMap<String, Value>) -> Self {
        let entry = |(name, data): (&String, &Value)| {
            let data = Some(data.clone());
            (name.clone(), Entry { data, reads: 0 })
        };
        Catalogue(Mutex::new(entries.iter().map(entry).collect()))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Speeds are told only to those who bring a key.
pub(super) async fn endpoints(
    State(sim): State<Arc<Sim>>,
    Path((author, slug)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response<Body> {
    if !sim.admits(&headers) {
        return refuse(Wire::Chat, 401, "The API key is wrong.", None);
    }
    let mut entries = sim.catalogue.lock();
    let entry = entries.entry(format!("{author}/{slug}")).or_default();
    entry.reads += 1;
    let Some(mut data) = entry.data.clone() else {
        return refuse(Wire::Chat, 404, "There is no such model.", None);
    };
    drop(entries);
    if !headers.contains_key(AUTHORIZATION) {
        let listed = data.get_mut("endpoints").and_then(Value::as_array_mut);
        let listed = listed.into_iter().flatten();
        for endpoint in listed.filter_map(Value::as_object_mut) {
            for speed in ["latency_last_30m", "throughput_last_30m"] {
                endpoint.insert(speed.to_owned(), Value::Null);
            }
        }
    }
    json_response(200, json!({"data": data}).to_string())
}

/// How often each model was asked for.
pub(super) async fn reads(State(sim): State<Arc<Sim>>) -> Json<BTreeMap<String, u64>> {
    let entries = sim.catalogue.lock();
    let reads = entries
        .iter()
        .map(|(name, entry)| (name.clone(), entry.reads));
    Json(reads.collect())
}

/// Writes what stands for a model from now on.
pub(super) async fn write(
    State(sim): State<Arc<Sim>>,
    Path((author, slug)): Path<(String, String)>,
    Json(data): Json<Value>,
) -> StatusCode {
    let mut entries = sim.catalogue.lock();
    let entry = entries.entry(format!("{author}/{slug}")).or_default();
    entry.data = Some(data);
    StatusCode::NO_CONTENT
}

/// Takes a model off.
pub(super) async fn forget(
    State(sim): State<Arc<Sim>>,
    Path((author, slug)): Path<(String, String)>,
) -> StatusCode {
    if let Some(entry) = sim.catalogue.lock().get_mut(&format!("{author}/{slug}")) {
        entry.data = None;
    }
    StatusCode::NO_CONTENT
}
