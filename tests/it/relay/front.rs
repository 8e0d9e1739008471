//! What stands between the two gateways, and bends what passes.

use crate::harness::http;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Response, StatusCode};
use groat::protocol::x402::PaymentRequired;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::task::JoinHandle;

/// A place before a gateway.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) url: String,
    /// How many payments passed, and the different ones among them.
    pub(super) payments: Arc<std::sync::Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

/// What to do with a request with a payment, by how many there were before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Pass it on.
    Pass,
    /// Pass it on, and answer that the settlement is pending.
    Pending,
    /// Pass it on, and break the connection.
    Break,
    /// Answer 500 without passing it on.
    Fail,
}

impl Front {
    /// Stands before `url`: `turn` says what becomes of each payment, `edit` what becomes of each answer to
    /// one.
    pub(super) async fn before(
        url: &str,
        turn: impl Fn(usize) -> Turn + Send + Sync + 'static,
        edit: impl Fn(String) -> String + Send + Sync + 'static,
    ) -> Self {
        Self::start(url, None, turn, edit).await
    }

    /// Takes payments that live a second, and answers none.
    pub(super) async fn failing(url: &str) -> Self {
        Self::start(url, Some(1), |_| Turn::Fail, |text| text).await
    }

    /// `life_s` is how long the payments live that are asked for, if not as long as the gateway says.
    async fn start(
        url: &str,
        life_s: Option<u64>,
        turn: impl Fn(usize) -> Turn + Send + Sync + 'static,
        edit: impl Fn(String) -> String + Send + Sync + 'static,
    ) -> Self {
        let payments = Arc::<std::sync::Mutex<Vec<String>>>::default();
        let count = AtomicUsize::new(0);
        let parts = Arc::new((
            url.to_owned(),
            turn,
            edit,
            Arc::clone(&payments),
            count,
            http(),
        ));
        let pass = move |request: Request| {
            let parts = Arc::clone(&parts);
            async move {
                let (url, turn, edit, payments, count, client) = &*parts;
                let (head, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
                let paid = ["payment-signature", "authorization"]
                    .iter()
                    .find_map(|name| Some((*name, head.headers.get(*name)?)))
                    .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")));
                let turn = match &paid {
                    Some(payment) => {
                        payments.lock().expect("no panic").push(payment.clone());
                        turn(count.fetch_add(1, Ordering::Relaxed))
                    }
                    None => Turn::Pass,
                };
                if turn == Turn::Fail {
                    return answer(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        HeaderMap::new(),
                        "{}".into(),
                    );
                }
                let mut headers = head.headers.clone();
                headers.remove("host");
                headers.remove("content-length");
                let sent = client
                    .request(head.method, format!("{url}{}", head.uri.path()))
                    .headers(headers)
                    .body(body)
                    .send()
                    .await
                    .expect("the gateway answers");
                let (status, mut headers) = (sent.status(), sent.headers().clone());
                for name in ["content-length", "transfer-encoding", "connection"] {
                    headers.remove(name);
                }
                let text = sent.text().await.expect("an answer");
                if let (Some(life_s), Some(offers)) = (life_s, headers.get("payment-required")) {
                    let offers = PaymentRequired::from_header(offers.to_str().expect("text"));
                    let mut offers = offers.expect("offers");
                    for offer in &mut offers.accepts {
                        offer.max_timeout_seconds = life_s;
                    }
                    let offers = offers.to_header().expect("a header");
                    headers.insert("payment-required", offers.parse().expect("a value"));
                }
                match turn {
                    Turn::Pending => {
                        let wait = [("retry-after", "0")].into_iter();
                        let wait =
                            wait.map(|(k, v)| (k.parse().expect("k"), v.parse().expect("v")));
                        answer(StatusCode::SERVICE_UNAVAILABLE, wait.collect(), "{}".into())
                    }
                    // The connection goes with its task.
                    Turn::Break => std::panic::resume_unwind(Box::new("broken")),
                    _ if paid.is_some() => answer(status, headers, edit(text)),
                    _ => answer(status, headers, text),
                }
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Router::new().fallback(pass);
        let server =
            tokio::spawn(async move { axum::serve(listener, app).await.expect("a server") });
        Self {
            url,
            payments,
            server,
        }
    }

    /// Whether all payments came in this header.
    pub(super) fn all_by(&self, header: &str) -> bool {
        let all = self.payments.lock().expect("no panic");
        all.iter().all(|payment| payment.starts_with(header))
    }

    /// How many payments came, and how many different ones.
    pub(super) fn payments(&self) -> (usize, usize) {
        let all = self.payments.lock().expect("no panic").clone();
        let distinct: std::collections::BTreeSet<&String> = all.iter().collect();
        (all.len(), distinct.len())
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn answer(status: StatusCode, headers: HeaderMap, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
