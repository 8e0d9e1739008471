//! What stands between a client and the gateway, and loses answers, or what they say of payments.

use crate::harness::PATIENCE;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use groat::protocol::x402::PaymentRequired;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// What gets lost on the way.
#[derive(Debug, Clone, Copy)]
pub(super) enum Loses {
    /// Of this many paid answers of a kind, whole or streamed, one loses the header that says what was paid.
    Header(u64),
    /// Of this many paid answers of a kind one does not arrive at all.
    Answer(u64),
}

const BODY_BYTES_MAX: usize = 1 << 20;

/// A proxy before the gateway.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) url: String,
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

/// What went by.
#[derive(Debug, Clone, Default)]
pub(super) struct Passed {
    /// Paid answers, whole and streamed.
    paid_whole: u64,
    paid_streamed: u64,
    /// How many of them lost something.
    pub(super) lost_whole: u64,
    pub(super) lost_streamed: u64,
    /// Why paid calls were answered by a 402.
    pub(super) corrected: Vec<String>,
}

#[derive(Debug)]
struct Shared {
    gateway: String,
    loses: Loses,
    client: reqwest::Client,
    passed: Mutex<Passed>,
    paid: watch::Sender<u64>,
}

impl Front {
    pub(super) async fn before(gateway: &str, loses: Loses) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared {
            gateway: gateway.to_owned(),
            loses,
            client: crate::harness::http(),
            passed: Mutex::default(),
            paid: watch::Sender::new(0),
        });
        let app = axum::Router::new()
            .fallback(pass)
            .with_state(Arc::clone(&shared));
        let server =
            tokio::spawn(async move { axum::serve(listener, app).await.expect("the front") });
        Self {
            url,
            shared,
            server,
        }
    }

    /// Waits until so many paid calls were answered.
    pub(super) async fn answered(&self, calls: u64) {
        let mut paid = self.shared.paid.subscribe();
        let reached = tokio::time::timeout(PATIENCE, paid.wait_for(|paid| *paid >= calls)).await;
        reached.expect("the client pays").expect("the front");
    }

    pub(super) fn seen(&self) -> Passed {
        self.shared.passed.lock().expect("a lock").clone()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, BODY_BYTES_MAX)
        .await
        .expect("a request");
    let paying = head.method == Method::POST && head.headers.contains_key("payment-signature");
    let mut headers = head.headers;
    headers.remove("host");
    let asked = shared
        .client
        .request(head.method, format!("{}{}", shared.gateway, head.uri))
        .headers(headers)
        .body(body);
    let Ok(answer) = asked.send().await else {
        return plain(StatusCode::BAD_GATEWAY);
    };
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    headers.remove("transfer-encoding");
    if paying && shared.loses_all(status, &mut headers) {
        // The gateway has said all of it; it comes to nobody.
        let _ = answer.bytes().await;
        return plain(StatusCode::BAD_GATEWAY);
    }
    let mut response = Response::new(Body::from_stream(answer.bytes_stream()));
    (*response.status_mut(), *response.headers_mut()) = (status, headers);
    response
}

impl Shared {
    /// Notes a paid answer and loses what is to be lost of it; whether that is all.
    fn loses_all(&self, status: StatusCode, headers: &mut HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let mut passed = self.passed.lock().expect("a lock");
        if status == StatusCode::PAYMENT_REQUIRED {
            let required =
                text("payment-required").and_then(|it| PaymentRequired::from_header(it).ok());
            let reason = required.and_then(|required| required.error);
            passed.corrected.push(reason.unwrap_or_default());
        }
        if status != StatusCode::OK {
            return false;
        }
        let streamed = text("content-type").is_some_and(|it| it.starts_with("text/event-stream"));
        let passed = &mut *passed;
        let (paid, lost) = match streamed {
            true => (&mut passed.paid_streamed, &mut passed.lost_streamed),
            false => (&mut passed.paid_whole, &mut passed.lost_whole),
        };
        *paid += 1;
        let (Loses::Header(each) | Loses::Answer(each)) = self.loses;
        let loses = paid.is_multiple_of(each);
        if loses {
            *lost += 1;
            headers.remove("payment-response");
        }
        self.paid.send_modify(|paid| *paid += 1);
        loses && matches!(self.loses, Loses::Answer(_))
    }
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
