//! JSON-RPC over HTTP, bounded and silent.
//!
//! alloy's own HTTP transport writes the node's URL into a tracing span, and a node's URL holds its
//! key in the path or the user part; it also reads answers of any length. So this is our own.

use super::ChainError;
use alloy::rpc::json_rpc::{RequestPacket, ResponsePacket};
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use std::task::{Context, Poll};
use std::time::Duration;
use tower::Service;

/// Longest answer read from a node; a page of logs is far below.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One node behind one URL.
#[derive(Clone)]
pub(super) struct Http {
    client: reqwest::Client,
    url: reqwest::Url,
}

impl Http {
    /// Fails when the URL is not one of HTTP, or TLS cannot be set up.
    pub(super) fn new(url: &str, timeout: Duration) -> Result<Self, ChainError> {
        // reqwest panics without a process-wide provider; a later install by the process is a no-op.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let url = reqwest::Url::parse(url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| ChainError::Unreachable("not an http(s) URL".to_owned()))?;
        let mut builder = reqwest::Client::builder()
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&url) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| fault(&error))?;
        Ok(Self { client, url })
    }

    async fn exchange(self, request: RequestPacket) -> Result<ResponsePacket, ChainError> {
        let body = serde_json::to_vec(&request).map_err(ChainError::malformed)?;
        let mut response = self
            .client
            .post(self.url)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body)
            .send()
            .await
            .map_err(|error| fault(&error))?;
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| fault(&error))? {
            if answer.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(ChainError::Malformed("answer too long".to_owned()));
            }
            answer.extend_from_slice(&chunk);
        }
        let status = response.status();
        // Some nodes wrap JSON-RPC errors in a 4xx or 5xx: what parses is an answer all the same.
        match serde_json::from_slice(&answer) {
            Ok(packet) => Ok(packet),
            Err(_) if !status.is_success() => {
                Err(ChainError::Unreachable(format!("HTTP {}", status.as_u16())))
            }
            Err(error) => Err(ChainError::malformed(error)),
        }
    }
}

impl Service<RequestPacket> for Http {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        let exchange = self.clone().exchange(request);
        Box::pin(async move { exchange.await.map_err(TransportErrorKind::custom) })
    }
}

/// Never prints the URL: reqwest's own message would.
fn fault(error: &reqwest::Error) -> ChainError {
    if error.is_timeout() {
        return ChainError::TimedOut;
    }
    let what = if error.is_connect() {
        "connection refused or failed"
    } else if error.is_builder() {
        "the HTTP client cannot be built"
    } else {
        "the connection broke"
    };
    ChainError::Unreachable(what.to_owned())
}

fn is_loopback(url: &reqwest::Url) -> bool {
    match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback()),
        None => false,
    }
}
