//! A node that can be told to fail.

use super::bench::soon;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use groat::chain::Rpc;
use groat::chain::dev::DevChain;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What a proxy before the node does to requests and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Honest,
    /// HTTP 503 to everything.
    Down,
    /// Takes requests, never answers.
    Hangs,
    /// Passes broadcasts on, but breaks off before the answer.
    LosesBroadcastAnswers,
    /// Says this of every transaction count.
    Counts(u64),
}

/// A node that can be told to fail.
pub(crate) struct Proxy {
    pub(crate) rpc: Rpc,
    pub(crate) mood: watch::Sender<Mood>,
    pub(crate) served: watch::Receiver<u64>,
    server: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn before(chain: &DevChain) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (mood, mood_now) = watch::channel(Mood::Honest);
        let (count, served) = watch::channel(0);
        let state = Arc::new(ProxyState {
            node: chain.rpc_url.clone(),
            client: reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("a client"),
            mood: mood_now,
            count,
        });
        let app = axum::Router::new().fallback(pass).with_state(state);
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("the proxy");
        });
        let patience = Duration::from_millis(300);
        let rpc = Rpc::connect_within(&url, chain.chain_id, patience).await;
        Self {
            rpc: rpc.expect("a node"),
            mood,
            served,
            server,
        }
    }

    /// Waits until this many more requests came.
    pub(crate) async fn served_more(&mut self, more: u64) {
        let goal = *self.served.borrow() + more;
        let reached = self.served.wait_for(|served| *served >= goal);
        soon(reached).await.expect("the proxy");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct ProxyState {
    node: String,
    client: reqwest::Client,
    mood: watch::Receiver<Mood>,
    count: watch::Sender<u64>,
}

async fn pass(State(state): State<Arc<ProxyState>>, body: axum::body::Bytes) -> Response<Body> {
    state.count.send_modify(|count| *count += 1);
    let mood = *state.mood.borrow();
    let request = String::from_utf8_lossy(&body).into_owned();
    match mood {
        Mood::Down => return answer(StatusCode::SERVICE_UNAVAILABLE, "busy".into()),
        Mood::Hangs => std::future::pending::<()>().await,
        _ => {}
    }
    let forwarded = state
        .client
        .post(&state.node)
        .header("content-type", "application/json")
        .body(request.clone())
        .send()
        .await
        .expect("the node");
    let text = forwarded.text().await.expect("the node's answer");
    match mood {
        Mood::LosesBroadcastAnswers if request.contains("eth_sendRawTransaction") => {
            answer(StatusCode::BAD_GATEWAY, "lost".into())
        }
        Mood::Counts(count) => answer(StatusCode::OK, lie(&request, &text, count)),
        _ => answer(StatusCode::OK, text),
    }
}

fn answer(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
}

/// Replaces the results of all `eth_getTransactionCount` in a batch.
fn lie(request: &str, answer: &str, count: u64) -> String {
    let request: Value = serde_json::from_str(request).expect("a request");
    let mut answer: Value = serde_json::from_str(answer).expect("an answer");
    let (Some(asked), Some(answers)) = (request.as_array(), answer.as_array_mut()) else {
        return answer.to_string();
    };
    for one in answers {
        let is_count = asked
            .iter()
            .any(|r| r["id"] == one["id"] && r["method"] == "eth_getTransactionCount");
        if is_count {
            one["result"] = format!("{count:#x}").into();
        }
    }
    answer.to_string()
}
