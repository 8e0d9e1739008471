//! A proxy made of the gateway's own HTTP libraries and threads that passes calls on and does nothing else: what
//! any proxy built on them takes.

use super::Outcome;
use super::child::client;
use super::stage::{Helper, Place};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Response, StatusCode, header};
use groat::gateway::Threads;
use std::net::SocketAddr;
use std::sync::Arc;
use thread_local::ThreadLocal;
use tokio::net::TcpListener;

/// Starts it before an upstream.
pub(crate) async fn start(place: &Place, upstream: SocketAddr) -> Outcome<Helper> {
    let arguments = ["pass", &upstream.to_string()];
    Helper::start(place, &arguments, |listener| serve(listener, upstream)).await
}

/// Serves for ever.
pub(crate) async fn serve(listener: TcpListener, upstream: SocketAddr) -> Outcome<()> {
    let upstream = Upstream {
        clients: Arc::default(),
        url: format!("http://{upstream}{}", super::arm::PATH),
    };
    let app = axum::Router::new()
        .route(super::arm::PATH, axum::routing::post(pass))
        .with_state(upstream);
    groat::gateway::serve(listener, Threads::start()?, app, std::future::pending()).await;
    Ok(())
}

#[derive(Debug, Clone)]
struct Upstream {
    /// One for each thread, as the gateway has them.
    clients: Arc<ThreadLocal<reqwest::Client>>,
    url: String,
}

impl Upstream {
    async fn ask(&self, body: Bytes) -> Outcome<reqwest::Response> {
        let client = self.clients.get_or_try(client)?;
        let asked = client.post(&self.url).body(body);
        let asked = asked.header(header::CONTENT_TYPE, "application/json");
        Ok(asked.send().await?.error_for_status()?)
    }
}

async fn pass(State(upstream): State<Upstream>, body: Bytes) -> Response<Body> {
    let Ok(answered) = upstream.ask(body).await else {
        let mut refused = Response::new(Body::empty());
        *refused.status_mut() = StatusCode::BAD_GATEWAY;
        return refused;
    };
    let headers = [header::CONTENT_TYPE, header::CONTENT_LENGTH]
        .into_iter()
        .filter_map(|name| Some((name.clone(), answered.headers().get(name)?.clone())))
        .collect();
    let mut response = Response::new(Body::from_stream(answered.bytes_stream()));
    *response.headers_mut() = headers;
    response
}
