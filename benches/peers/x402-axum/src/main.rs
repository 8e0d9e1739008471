//! The published `x402-axum` before an upstream, with `x402-facilitator-local` in the same process: no hop between the two.
//!
//! `x402-axum-peer [before]`: settles after the answer as the crate does by default, or before the call.

mod facilitator;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderName, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::post,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use std::{env, error::Error, io, net::Ipv4Addr, process, thread};
use tokio::net::TcpListener;
use x402_axum::X402Middleware;
use x402_chain_eip155::{KnownNetworkEip155, V2Eip155Exact, chain::ChecksummedAddress};
use x402_types::networks::USDC;

const ROUTE: &str = "/v1/chat/completions";

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    leash();
    let port: u16 = variable("PORT")?.parse()?;
    let upstream: Uri = format!("{}{ROUTE}", variable("UPSTREAM_URL")?).parse()?;
    let pay_to: ChecksummedAddress = variable("PAY_TO")?.parse()?;
    let price: u64 = variable("PRICE_ATOMIC")?.parse()?;

    let mut payments = X402Middleware::from_facilitator(facilitator::local().await?)
        .with_base_url(format!("http://127.0.0.1:{port}").parse()?);
    if env::args().nth(1).as_deref() == Some("before") {
        payments = payments.settle_before_execution();
    }
    let price_tag = V2Eip155Exact::price_tag(pay_to, USDC::base_sepolia().amount(price));
    let client = Client::builder(TokioExecutor::new()).build_http();
    let app = Router::new()
        .route(
            ROUTE,
            post(forward).layer(payments.with_price_tag(price_tag)),
        )
        .with_state(Upstream { client, upstream });

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("ready");
    axum::serve(listener, app).await?;
    Ok(())
}

/// Ends the process with its owner, so that a killed harness leaves nothing behind.
fn leash() {
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        process::exit(0);
    });
}

fn variable(name: &str) -> Result<String, Failure> {
    env::var(name).map_err(|_| format!("{name} is not set").into())
}

#[derive(Clone)]
struct Upstream {
    client: Client<HttpConnector, Body>,
    upstream: Uri,
}

const NOT_FORWARDED: [HeaderName; 3] = [
    header::CONNECTION,
    header::HOST,
    HeaderName::from_static("payment-signature"),
];

/// Passes a call on by hyper's own client, as a stream both ways.
async fn forward(State(proxy): State<Upstream>, mut request: Request) -> Response {
    *request.uri_mut() = proxy.upstream;
    for name in NOT_FORWARDED {
        request.headers_mut().remove(name);
    }
    match proxy.client.request(request).await {
        Ok(answer) => answer.map(Body::new).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
