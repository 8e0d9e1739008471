//! A node that can be told to fail, between the gateway and the chain.

use alloy::primitives::B256;
use alloy::sol_types::SolCall;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Response, StatusCode};
use groat::chain::bindings::IEip3009Token::authorizationStateCall;
use serde_json::{Value, json};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Longer than the gateway waits for an answer in these tests.
const SLOW: Duration = Duration::from_millis(700);

/// What is done to requests and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Honest,
    /// HTTP 503 to everything.
    Down,
    /// Everything is passed on, and answered too late.
    Slow,
    /// Each call is answered by a JSON-RPC error that is not a revert.
    Refuses,
    /// A success status with a web page in it.
    Garbage,
    /// A success status with JSON of another shape: each result is null.
    Nulls,
    /// The answer breaks off in its middle.
    Cut,
    /// Everything but broadcasts, which it does not take.
    NoBroadcasts,
    /// Passes the next broadcast on and, from then on, is down.
    DownAfterBroadcast,
    /// Passes broadcasts on, and answers them too late.
    SlowBroadcasts,
    /// Has never heard of any transaction, mined or not.
    NoReceipts,
    /// Says once more of an authorization that it is unspent, and is honest from then on.
    UnspentOnce,
    /// Says this of every transaction count.
    Counts(u64),
}

/// A proxy before one node.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) url: String,
    mood: watch::Sender<Mood>,
    server: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn before(node: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let mood = watch::Sender::new(Mood::Honest);
        let client = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client");
        let state = Arc::new(Shared {
            node: node.to_owned(),
            client,
            mood: mood.clone(),
        });
        let app = axum::Router::new().fallback(pass).with_state(state);
        let server =
            tokio::spawn(async move { axum::serve(listener, app).await.expect("the proxy") });
        Self { url, mood, server }
    }

    pub(crate) fn turn(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Waits until a mood that changes by itself has done so.
    pub(crate) async fn turned(&self, mood: Mood) {
        let mut moods = self.mood.subscribe();
        let reached = moods.wait_for(|now| *now == mood);
        let reached = tokio::time::timeout(crate::harness::PATIENCE, reached).await;
        reached.expect("the mood changes").expect("the proxy");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Debug)]
struct Shared {
    node: String,
    client: reqwest::Client,
    mood: watch::Sender<Mood>,
}

async fn pass(State(shared): State<Arc<Shared>>, body: Bytes) -> Response<Body> {
    let mood = *shared.mood.borrow();
    let request: Value = serde_json::from_slice(&body).expect("a request");
    let broadcast = calls(&request).any(|call| call["method"] == "eth_sendRawTransaction");
    match mood {
        Mood::Down => return answer(StatusCode::SERVICE_UNAVAILABLE, "busy"),
        Mood::Garbage => return answer(StatusCode::OK, "<html>We will be back soon</html>"),
        Mood::NoBroadcasts if broadcast => return answer(StatusCode::BAD_GATEWAY, "no"),
        Mood::Refuses => {
            let error = json!({"code": -32005, "message": "daily request count exceeded"});
            return answer(StatusCode::OK, each(&request, "error", &error).to_string());
        }
        Mood::Nulls => {
            return answer(
                StatusCode::OK,
                each(&request, "result", &Value::Null).to_string(),
            );
        }
        _ => {}
    }
    let node = shared
        .client
        .post(&shared.node)
        .header("content-type", "application/json")
        .body(body);
    let answered = node.send().await.expect("the node");
    let text = answered.text().await.expect("the node's answer");
    match mood {
        Mood::Slow => tokio::time::sleep(SLOW).await,
        Mood::SlowBroadcasts if broadcast => tokio::time::sleep(SLOW).await,
        Mood::DownAfterBroadcast if broadcast => {
            shared.mood.send_replace(Mood::Down);
            return answer(StatusCode::BAD_GATEWAY, "lost");
        }
        Mood::Cut => return cut(&text),
        Mood::NoReceipts => {
            let lie = replaced(&request, &text, "eth_getTransactionReceipt", &Value::Null);
            return answer(StatusCode::OK, lie);
        }
        Mood::UnspentOnce if calls(&request).any(asks_whether_spent) => {
            shared.mood.send_replace(Mood::Honest);
            let lie = lied(&request, &text, asks_whether_spent, &json!(B256::ZERO));
            return answer(StatusCode::OK, lie);
        }
        Mood::Counts(count) => {
            let count = json!(format!("{count:#x}"));
            let lie = replaced(&request, &text, "eth_getTransactionCount", &count);
            return answer(StatusCode::OK, lie);
        }
        _ => {}
    }
    answer(StatusCode::OK, text)
}

fn answer(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
}

fn cut(text: &str) -> Response<Body> {
    let half = Bytes::copy_from_slice(text.as_bytes().get(..text.len() / 2).unwrap_or_default());
    let broken = Err(io::Error::from(io::ErrorKind::ConnectionAborted));
    answer(
        StatusCode::OK,
        Body::from_stream(futures::stream::iter([Ok(half), broken])),
    )
}

/// The calls of a single request or a batch.
fn calls(request: &Value) -> impl Iterator<Item = &Value> {
    request
        .as_array()
        .map_or(std::slice::from_ref(request), Vec::as_slice)
        .iter()
}

/// Answers each call of a request with the same member.
fn each(request: &Value, member: &str, value: &Value) -> Value {
    let one = |call: &Value| json!({"jsonrpc": "2.0", "id": call["id"], member: value});
    match request.as_array() {
        Some(batch) => batch.iter().map(one).collect(),
        None => one(request),
    }
}

/// Whether a call reads `authorizationState` of a token.
fn asks_whether_spent(call: &Value) -> bool {
    let selector = format!("0x{}", hex::encode(authorizationStateCall::SELECTOR));
    let asked = &call["params"][0];
    let inputs = [&asked["input"], &asked["data"]];
    inputs.iter().any(|input| {
        input
            .as_str()
            .is_some_and(|text| text.starts_with(&selector))
    })
}

/// Replaces the results of all calls of one method.
fn replaced(request: &Value, answer: &str, method: &str, result: &Value) -> String {
    lied(request, answer, |call| call["method"] == method, result)
}

/// Replaces the results of some calls.
fn lied(request: &Value, answer: &str, about: impl Fn(&Value) -> bool, result: &Value) -> String {
    let mut answer: Value = serde_json::from_str(answer).expect("an answer");
    let named = calls(request).filter(|call| about(call));
    let ids: Vec<&Value> = named.map(|call| &call["id"]).collect();
    let answers = match &mut answer {
        Value::Array(answers) => answers.as_mut_slice(),
        one => std::slice::from_mut(one),
    };
    for one in answers.iter_mut().filter(|one| ids.contains(&&one["id"])) {
        one["result"] = result.clone();
    }
    answer.to_string()
}
