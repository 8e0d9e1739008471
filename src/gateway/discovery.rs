//! What is here and how it is paid for, told for nothing: an OpenAPI document with MPP's payment
//! information, a text for language models, and the list that x402's explorers read. All of it is made
//! of the routes and the models that are served.

use super::App;
use super::paid::smallest;
use crate::metering::Route;
use crate::payment::{Method, Wish};
use crate::router::Endpoint;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, header};
use serde_json::{Map, Value, json};

/// Models named in the text; the list has all of them.
const MODELS_NAMED: usize = 20;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/openapi.json", get(openapi))
        .route("/llms.txt", get(llms))
        .route("/.well-known/x402", get(x402))
}

/// A route that some model is paid for on, and the first of those models.
struct Served {
    route: Route,
    model: String,
}

impl App {
    fn served(&self) -> Vec<Served> {
        let router = self.inner.desk.prices().current();
        let paid = |route: Route| {
            let of = move |endpoint: &Endpoint| {
                endpoint.speaks(route) && !endpoint.model.price.is_free()
            };
            let first = router.endpoints().find(|endpoint| of(endpoint));
            first.map(|endpoint| Served {
                route,
                model: endpoint.model.id.clone(),
            })
        };
        Route::ALL.into_iter().filter_map(paid).collect()
    }

    fn resources(&self) -> Vec<String> {
        let served = self.served();
        let resource = |served: &Served| format!("POST {}", served.route.path());
        served.iter().map(resource).collect()
    }
}

/// `GET /openapi.json` (OpenAPI 3.1, MPP discovery).
async fn openapi(State(app): State<App>) -> Response {
    let offers = app.inner.desk.rails().methods(Wish::default());
    let mut paths = Map::new();
    for served in app.served() {
        let operation = json!({ "post": paid_operation(&served, &offers) });
        paths.insert(served.route.path().to_owned(), operation);
    }
    for (path, summary) in FREE {
        paths.insert(
            (*path).to_owned(),
            json!({"get": free_operation(path, summary)}),
        );
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Groat",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Language models, paid for by the call. An unpaid call is answered with 402 and what it can cost at most; what it did not use becomes the payer's credit, or is not taken.",
        },
        "servers": [{"url": app.inner.origin}],
        "x-service-info": {
            "categories": ["ai"],
            "docs": {"apiReference": "/openapi.json", "llms": "/llms.txt"},
        },
        "paths": paths,
    });
    told("application/json", document.to_string())
}

/// What costs nothing, for everybody.
const FREE: &[(&str, &str)] = &[
    ("/v1/models", "The models and their prices"),
    ("/v1/models/count", "How many models there are"),
    (
        "/v1/models/{model}",
        "One model, as OpenAI's and Anthropic's SDKs ask for it",
    ),
    (
        "/v1/models/{model}/endpoints",
        "Who answers a model: prices, uptime, latency, throughput, and how honest caches and prices are",
    ),
    (
        "/v1/model/{model}",
        "One model, as OpenRouter's SDKs ask for it",
    ),
    ("/v1/embeddings/models", "The models that make embeddings"),
    ("/v1/endpoints/zdr", "The endpoints that retain nothing"),
    ("/v1/providers", "Who is behind the endpoints"),
    (
        "/v1/generation",
        "What became of a call, by the id that its answer named",
    ),
    ("/llms.txt", "How to call and pay, in words"),
    ("/.well-known/x402", "The paid routes"),
];

fn free_operation(path: &str, summary: &str) -> Value {
    let mut operation = json!({
        "summary": summary,
        "responses": {"200": {"description": summary}},
    });
    let parameter = if path.contains("{model}") {
        let form = "The model's id; it may have slashes in it, escaped or not";
        Some(("model", "path", form))
    } else if path.ends_with("/generation") {
        Some(("id", "query", "The answer's Groat-Call-Id"))
    } else {
        None
    };
    if let (Some((name, place, description)), Some(members)) =
        (parameter, operation.as_object_mut())
    {
        let parameter = json!({
            "name": name,
            "in": place,
            "required": true,
            "description": description,
            "schema": {"type": "string"},
        });
        members.insert("parameters".to_owned(), json!([parameter]));
    }
    operation
}

fn paid_operation(served: &Served, offers: &[Method]) -> Value {
    let Served { route, model } = served;
    let offers: Vec<Value> = offers
        .iter()
        .map(|offer| {
            json!({
                "method": offer.method,
                "intent": offer.intent,
                "amount": null,
                "currency": offer.currency.to_string(),
                "description": "The most that this call can cost, by its model, its length and its output limit",
            })
        })
        .collect();
    let example = smallest(*route, Some(model));
    let required: Vec<&String> = example
        .as_object()
        .map(|members| {
            members
                .keys()
                .filter(|name| !name.starts_with("max_"))
                .collect()
        })
        .unwrap_or_default();
    let mut operation = json!({
        "summary": format!("One {}", route.call()),
        "requestBody": {
            "required": true,
            "content": {"application/json": {
                "schema": {
                    "type": "object",
                    "required": required,
                    "properties": {"model": {"type": "string"}},
                },
                "example": example,
            }},
        },
        "responses": {
            "200": {"description": "The answer, with a signed receipt in its usage"},
            "402": {"description": "What it can cost, and the ways to pay"},
        },
    });
    if let (false, Some(members)) = (offers.is_empty(), operation.as_object_mut()) {
        members.insert("x-payment-info".to_owned(), json!({ "offers": offers }));
    }
    operation
}

/// `GET /llms.txt`.
async fn llms(State(app): State<App>) -> Response {
    let origin = &app.inner.origin;
    let router = app.inner.desk.prices().current();
    let mut text = format!(
        "# Groat\n\n> Language models, paid for by the call in stablecoin, over HTTP 402. No account and no key.\n\n\
         Send a request to one of these routes of {origin} without a payment: the 402 says what it can cost at most and\n\
         how to pay (x402 in PAYMENT-REQUIRED, MPP in WWW-Authenticate). Send the same request again with the payment.\n\
         What the call really used is on a signed receipt in the answer's `usage`, cached tokens at their own price.\n\n\
         ## Routes\n\n"
    );
    for resource in app.resources() {
        text.push_str(&format!("- {resource}\n"));
    }
    text.push_str("\n## Models\n\n");
    for model in router.models().take(MODELS_NAMED) {
        text.push_str(&format!("- {}\n", model.id));
    }
    text.push_str(
        "\n## More\n\n- [The models and their prices](/v1/models)\n- [The API](/openapi.json)\n\
         - Who answers a model, and how well: /v1/models/ and its id and /endpoints\n\
         - A call's receipt: /v1/receipts/ and the Groat-Call-Id of its answer\n\
         - A payer's credit: /v1/credits, after a sign-in\n",
    );
    told("text/plain; charset=utf-8", text)
}

/// `GET /.well-known/x402`: what x402's explorers look for.
async fn x402(State(app): State<App>) -> Response {
    let list = json!({
        "version": 1,
        "x402Version": 2,
        "name": "Groat",
        "resources": app.resources(),
        "instructions": "Send the request without a payment to learn what it can cost; /v1/models has the models and /openapi.json the requests.",
    });
    told("application/json", list.to_string())
}

/// What may be kept for a while.
fn told(kind: &'static str, text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=300"),
        ),
    ];
    (headers, text).into_response()
}
