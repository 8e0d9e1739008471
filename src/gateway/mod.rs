//! HTTP: the routes, and refusals with a fixed status and body. It listens to calls and owns none.

mod accounts;
mod admin;
mod blanks;
mod catalogue;
mod challenge;
mod channels;
mod discovery;
mod error;
mod generation;
mod mpp;
mod ops;
mod paid;
mod refusal;
mod serve;
mod sign_in;
mod threads;
mod unanswered;

pub use serve::serve;
pub use threads::Threads;

use crate::call::Desk;
use crate::config::{Config, Secret};
use crate::ledger::Ledger;
use crate::payment::Settlements;
use crate::protocol::x402::Extensions;
use crate::stats::Metrics;
use axum::Router;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use blanks::Blanks;
use error::ApiError;
use http::{HeaderName, Method, StatusCode, header};
use sign_in::Nonces;
use std::sync::Arc;
use std::time::Duration;
use tower_http::cors::{Any, CorsLayer};

/// What every route may use.
#[derive(Debug, Clone)]
pub struct App {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    desk: Desk,
    ledger: Ledger,
    settlements: Settlements,
    metrics: Arc<Metrics>,
    /// The base URL that challenges name; fixed, so that a `Host` header decides nothing.
    origin: String,
    body_bytes_max: usize,
    /// What is added to list prices, in hundredths of a percent.
    markup_bps: u32,
    patience: Duration,
    admin_token: Option<Secret>,
    nonces: Nonces,
    /// The extensions that every challenge of a call advertises.
    advertised: Extensions,
    blanks: Blanks,
}

impl App {
    /// Puts an open desk behind HTTP at `origin` (scheme, host and port).
    pub fn new(
        config: &Config,
        origin: &str,
        desk: Desk,
        ledger: Ledger,
        settlements: Settlements,
        metrics: Arc<Metrics>,
    ) -> Self {
        let public = config.gateway.public_url.as_deref().unwrap_or(origin);
        let inner = Inner {
            advertised: challenge::advertised(desk.rails()),
            blanks: Blanks::default(),
            desk,
            ledger,
            settlements,
            metrics,
            origin: public.trim_end_matches('/').to_owned(),
            body_bytes_max: config.gateway.body_bytes_max,
            markup_bps: config.payment.markup_bps,
            patience: config.payment.settlement_patience,
            admin_token: config.gateway.admin_token.clone(),
            nonces: Nonces::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// All routes.
    pub fn routes(self) -> Router {
        paid::routes()
            .merge(discovery::routes())
            .merge(catalogue::routes())
            .route("/v1/receipts/{call}", get(accounts::receipt))
            .route("/v1/generation", get(generation::generation))
            .route("/v1/credits", get(accounts::credits))
            .route("/v1/credits/withdraw", post(accounts::withdraw))
            .route("/healthz", get(ops::healthz))
            .route("/readyz", get(ops::readyz))
            .route("/metrics", get(ops::metrics))
            .route("/admin/ledger/verify", get(admin::verify))
            .route("/admin/ledger/export", get(admin::export))
            .route("/admin/channels", get(channels::list))
            .route("/admin/channels/claim", post(channels::claim))
            .route("/admin/channels/settle", post(channels::settle))
            .route("/admin/channels/{channel}/refund", post(channels::refund))
            .method_not_allowed_fallback(not_this_method)
            .fallback(not_found)
            .layer(cors())
            .with_state(self)
    }
}

/// Browsers' wallets need the payment headers both ways; TypeScript clients also send a response
/// header's name as a request header on the paid retry.
fn cors() -> CorsLayer {
    let names = |list: &[&'static str]| -> Vec<HeaderName> {
        list.iter()
            .map(|name| HeaderName::from_static(name))
            .collect()
    };
    let mut allowed = names(&[
        "payment-signature",
        "x-payment",
        "sign-in-with-x",
        "access-control-expose-headers",
        "payment-retry",
        "payment-recovery",
        "payment-authorization",
        "accept-payment",
        "idempotency-key",
        "groat-rail",
        "openai-beta",
        "openai-organization",
        "openai-project",
        "x-title",
        "x-openrouter-title",
        "http-referer",
        "x-session-id",
        "x-api-key",
        "anthropic-version",
        "anthropic-beta",
        "anthropic-dangerous-direct-browser-access",
    ]);
    allowed.extend(STAINLESS.iter().map(|name| HeaderName::from_static(name)));
    allowed.extend([
        header::CONTENT_TYPE,
        header::AUTHORIZATION,
        header::ACCEPT,
        header::USER_AGENT,
    ]);
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST, Method::OPTIONS])
        .allow_headers(allowed)
        .expose_headers(names(&[
            "payment-required",
            "payment-response",
            "x-payment-response",
            "www-authenticate",
            "payment-receipt",
            "groat-call-id",
            "groat-quote",
            "retry-after",
        ]))
        .max_age(Duration::from_secs(3600))
}

/// Headers that OpenAI's and Anthropic's SDKs add to every request.
const STAINLESS: [&str; 9] = [
    "x-stainless-arch",
    "x-stainless-helper",
    "x-stainless-lang",
    "x-stainless-os",
    "x-stainless-package-version",
    "x-stainless-retry-count",
    "x-stainless-runtime",
    "x-stainless-runtime-version",
    "x-stainless-timeout",
];

async fn not_found() -> impl IntoResponse {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "There is no such route. Calls go to POST /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/responses or /v1/messages; GET /v1/models lists the models.",
    )
}

async fn not_this_method() -> impl IntoResponse {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This route does not take that method.",
    )
}
