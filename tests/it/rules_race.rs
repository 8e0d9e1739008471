//! A payment whose check comes back when a copy of it has long been settled.

use crate::harness::{Stack, chat, http};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::Response;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// A door before a node, which can keep the check of one payment waiting.
#[derive(Debug)]
struct Door {
    node: String,
    client: reqwest::Client,
    shut: AtomicBool,
    caught: Semaphore,
    open: Semaphore,
}

impl Door {
    async fn before(node: &str) -> (String, Arc<Self>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let door = Arc::new(Self {
            node: node.to_owned(),
            client: http(),
            shut: AtomicBool::new(false),
            caught: Semaphore::new(0),
            open: Semaphore::new(0),
        });
        let app = axum::Router::new()
            .fallback(pass)
            .with_state(Arc::clone(&door));
        tokio::spawn(async move { axum::serve(listener, app).await });
        (url, door)
    }
}

async fn pass(State(door): State<Arc<Door>>, body: Bytes) -> Response<Body> {
    // Of all that is asked, only a payment's check asks for the payer's code.
    let checks = memchr::memmem::find(&body, b"eth_getCode").is_some();
    if checks && door.shut.swap(false, Ordering::SeqCst) {
        door.caught.add_permits(1);
        door.open.acquire().await.expect("the door").forget();
    }
    let asked = door
        .client
        .post(&door.node)
        .header("content-type", "application/json")
        .body(body);
    let answer = asked
        .send()
        .await
        .expect("the node")
        .bytes()
        .await
        .expect("its answer");
    Response::builder()
        .header("content-type", "application/json")
        .body(Body::from(answer))
        .expect("an answer")
}

#[tokio::test]
async fn rule_8_a_payment_that_is_taken_is_never_challenged_anew() {
    let mut stack = Stack::usual().await;
    let node = stack.chain.rpc_url.clone();
    let (url, door) = Door::before(&node).await;
    stack
        .gateway
        .rewrite_config(|text| text.replace(&node, &url));
    assert!(stack.gateway.terminate().await);
    stack.gateway.start("").await;

    let (body, other) = (chat("m", "hello", false), chat("m", "jello", false));
    let payment = stack.payer.payment(&body).await;
    door.shut.store(true, Ordering::SeqCst);
    let first = async {
        door.caught.acquire().await.expect("the door").forget();
        let first = stack.payer.send(&body, &payment).await.expect("an answer");
        door.open.add_permits(1);
        first
    };
    let (late, first) = tokio::join!(stack.payer.send(&other, &payment), first);
    assert_eq!(first.status, 200, "{}", first.body);
    let late = late.expect("an answer");
    assert_eq!(
        late.status, 409,
        "the chain calls it used, and the ledger knows by whom: {}",
        late.body
    );
    assert_eq!(late.code(), "payment_used_for_another_request");
    assert_eq!(late.header("payment-required"), None);
    assert_eq!(stack.seen().await.total, 1);
    stack.reconcile().await;
}
