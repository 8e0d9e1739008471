//! The catalogue, for everybody and for nothing: models, their endpoints and the providers, in OpenRouter's
//! field names (its API reference, "Models", "Endpoints" and "Providers"), and so that OpenAI's and Anthropic's
//! SDKs list and retrieve models as well. What is Groat's own stands under `groat`.

mod endpoint;
mod filter;
mod model;
mod pricing;

use super::{ApiError, App};
use crate::clock::now_ms;
use crate::metering::Route;
use crate::router::{Endpoint, Suffix, Upstream};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use filter::{Filter, NotUnderstood};
use http::{HeaderMap, StatusCode};
use model::Listed;
use pricing::pricing;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/models", get(models))
        .route("/v1/models/count", get(count))
        .route("/v1/models/{*name}", get(below_models))
        .route("/v1/model/{*name}", get(one_model))
        .route("/v1/embeddings/models", get(embeddings_models))
        .route("/v1/endpoints/zdr", get(zdr_endpoints))
        .route("/v1/providers", get(providers))
}

type Pairs = Query<Vec<(String, String)>>;
type Named = Result<Path<String>, PathRejection>;

/// `GET /v1/models`: OpenAI's list, OpenRouter's objects.
async fn models(State(app): State<App>, headers: HeaderMap, Query(pairs): Pairs) -> Response {
    list(
        &app,
        "/v1/models",
        &pairs,
        is_of_anthropic(&headers),
        |_| true,
    )
}

/// `GET /v1/embeddings/models`: the models that answer on that route.
async fn embeddings_models(State(app): State<App>, Query(pairs): Pairs) -> Response {
    list(&app, "/v1/embeddings/models", &pairs, false, |endpoint| {
        endpoint.speaks(Route::Embeddings)
    })
}

/// `GET /v1/models/count`.
async fn count(State(app): State<App>, Query(pairs): Pairs) -> Response {
    match Filter::read(&pairs) {
        Ok(filter) => {
            let count = filter.listed(&app, |_| true).len();
            Json(json!({"data": {"count": count}})).into_response()
        }
        Err(mistake) => not_understood(&mistake),
    }
}

/// `GET /v1/models/{id}/endpoints`, and `GET /v1/models/{id}` as OpenAI's and Anthropic's SDKs ask. An id
/// may have slashes in it, escaped or not.
async fn below_models(State(app): State<App>, headers: HeaderMap, named: Named) -> Response {
    let name = named.map(|Path(name)| name).unwrap_or_default();
    if let Some(id) = name.strip_suffix("/endpoints") {
        if let Some(listed) = app.found(id) {
            return Json(json!({"data": app.endpoints_of(&listed)})).into_response();
        }
        if app.found(&name).is_none() {
            return not_found(id);
        }
    }
    let anthropic = is_of_anthropic(&headers);
    match app.found(&name) {
        Some(listed) => Json(listed.object(&app, anthropic)).into_response(),
        None => {
            let route = if anthropic {
                Route::Messages
            } else {
                Route::Chat
            };
            ApiError::new(StatusCode::NOT_FOUND, "model_not_found", no_model(&name))
                .param(Some("model".to_owned()))
                .on(route)
                .into_response()
        }
    }
}

/// `GET /v1/model/{author}/{slug}`.
async fn one_model(State(app): State<App>, named: Named) -> Response {
    let name = named.map(|Path(name)| name).unwrap_or_default();
    match app.found(&name) {
        Some(listed) => Json(json!({"data": listed.object(&app, false)})).into_response(),
        None => not_found(&name),
    }
}

/// `GET /v1/endpoints/zdr`: the endpoints that retain nothing.
async fn zdr_endpoints(State(app): State<App>) -> Response {
    let now_ms = now_ms();
    let listed = Filter::default().listed(&app, |endpoint| endpoint.upstream.zdr);
    let mut items = Vec::new();
    for of in &listed {
        items.extend(of.endpoints.iter().map(|by| app.endpoint(of, by, now_ms)));
    }
    Json(json!({"data": items})).into_response()
}

/// `GET /v1/providers`.
async fn providers(State(app): State<App>) -> Response {
    let router = app.inner.desk.prices().current();
    let upstreams = router.endpoints().map(|endpoint| &endpoint.upstream);
    let upstreams: BTreeMap<&str, &Upstream> = upstreams
        .map(|upstream| (upstream.name.as_str(), &**upstream))
        .collect();
    let data: Vec<Value> = upstreams.into_values().map(provider).collect();
    Json(json!({"data": data})).into_response()
}

fn provider(upstream: &Upstream) -> Value {
    let card = &upstream.card;
    let datacenters = Some(&card.datacenters).filter(|countries| !countries.is_empty());
    json!({
        "name": upstream.name,
        "slug": upstream.name,
        "privacy_policy_url": card.privacy_policy_url,
        "terms_of_service_url": card.terms_of_service_url,
        "status_page_url": card.status_page_url,
        "headquarters": card.headquarters,
        "datacenters": datacenters,
        "groat": {
            "region": upstream.region,
            "zdr": upstream.zdr,
            "data_collection": if upstream.collects_data { "allow" } else { "deny" },
        },
    })
}

impl App {
    /// The model that a name stands for, and its endpoints that such a name may be answered by.
    fn found(&self, name: &str) -> Option<Listed> {
        let router = self.inner.desk.prices().current();
        let (model, suffix) = router.asked(name)?;
        let free = suffix == Some(Suffix::Free);
        let may = |endpoint: &Endpoint| !free || endpoint.model.price.is_free();
        Listed::of(model, may)
    }
}

fn list(
    app: &App,
    path: &str,
    pairs: &[(String, String)],
    anthropic: bool,
    may: impl Fn(&Endpoint) -> bool,
) -> Response {
    let filter = match Filter::read(pairs) {
        Ok(filter) => filter,
        Err(mistake) => return not_understood(&mistake),
    };
    let listed = filter.listed(app, may);
    let page = filter.page(&listed);
    let data: Vec<Value> = page
        .iter()
        .map(|listed| listed.object(app, anthropic))
        .collect();
    let next = filter.next(&listed);
    let mut answer = json!({
        "object": "list",
        "data": data,
        "links": {"next": next.map(|offset| next_page(path, pairs, offset))},
        "total_count": listed.len(),
    });
    if let (true, Some(members)) = (anthropic, answer.as_object_mut()) {
        let id = |listed: Option<&Listed>| listed.map(|listed| listed.model.id.clone());
        members.insert("has_more".to_owned(), json!(next.is_some()));
        members.insert("first_id".to_owned(), json!(id(page.first())));
        members.insert("last_id".to_owned(), json!(id(page.last())));
    }
    Json(answer).into_response()
}

/// Where the rest of a list is.
fn next_page(path: &str, pairs: &[(String, String)], offset: usize) -> String {
    let others = pairs.iter().filter(|(name, _)| name != "offset");
    let mut url = relative(path);
    url.query_pairs_mut()
        .extend_pairs(others)
        .append_pair("offset", &offset.to_string());
    format!("{}?{}", url.path(), url.query().unwrap_or_default())
}

/// A path of this gateway, escaped where it must be.
fn relative(path: &str) -> reqwest::Url {
    #[expect(clippy::expect_used, reason = "the text is a URL")]
    let mut url = reqwest::Url::parse("http://groat").expect("a URL");
    url.set_path(path);
    url
}

/// Whether a request is from one of Anthropic's SDKs, which page and name things otherwise.
fn is_of_anthropic(headers: &HeaderMap) -> bool {
    headers.contains_key("anthropic-version")
}

fn no_model(name: &str) -> String {
    format!("The model {name:?} is not offered here; GET /v1/models lists those that are.")
}

fn not_found(name: &str) -> Response {
    let status = StatusCode::NOT_FOUND;
    refused(status, "not_found", "model", &no_model(name))
}

fn not_understood(mistake: &NotUnderstood) -> Response {
    let status = StatusCode::BAD_REQUEST;
    refused(status, "invalid_request", mistake.param, &mistake.message)
}

/// OpenRouter's error object, whose code is the status; `type` and `param` are there for OpenAI's clients.
fn refused(status: StatusCode, kind: &str, param: &str, message: &str) -> Response {
    let body = json!({"error": {
        "code": status.as_u16(),
        "message": message,
        "type": "invalid_request_error",
        "param": param,
        "metadata": {"error_type": kind},
    }});
    (status, Json(body)).into_response()
}
