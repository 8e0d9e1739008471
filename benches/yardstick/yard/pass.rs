//! A proxy made of the gateway's own HTTP libraries that passes calls on and does nothing else: what any
//! proxy built on them takes.

use super::Outcome;
use super::child::client;
use super::stage::{Helper, Place};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Response, StatusCode, header};
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Starts it before an upstream.
pub(crate) async fn start(place: &Place, upstream: SocketAddr) -> Outcome<Helper> {
    let arguments = ["pass", &upstream.to_string()];
    Helper::start(place, &arguments, |listener| serve(listener, upstream)).await
}

/// Serves for ever.
pub(crate) async fn serve(listener: TcpListener, upstream: SocketAddr) -> Outcome<()> {
    let upstream = Upstream {
        client: client()?,
        url: format!("http://{upstream}{}", super::arm::PATH),
    };
    let app = axum::Router::new()
        .route(super::arm::PATH, axum::routing::post(pass))
        .with_state(upstream);
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        // Without it an answer may wait for the one before it to be acknowledged.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await?;
    Ok(())
}

#[derive(Debug, Clone)]
struct Upstream {
    client: reqwest::Client,
    url: String,
}

async fn pass(State(upstream): State<Upstream>, body: Bytes) -> Response<Body> {
    let asked = upstream.client.post(&upstream.url).body(body);
    let asked = asked.header(header::CONTENT_TYPE, "application/json");
    let answered = asked
        .send()
        .await
        .and_then(reqwest::Response::error_for_status);
    let Ok(answered) = answered else {
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
