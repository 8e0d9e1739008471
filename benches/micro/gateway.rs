//! A whole gateway inside the process: no port, no disk for its ledger, a chain that only says its id.

use axum::Json;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use groat::call::{Desk, DeskParts, PriceBook, Receipts};
use groat::chain::{LanePolicy, Relayer, Rpc};
use groat::config::Config;
use groat::gateway::App;
use groat::ledger::{Ledger, MemoryDisk};
use groat::payment::{LedgerOutbox, Operations, Rails, Settlements, Sponsoring, Targets};
use groat::protocol::signature::Key;
use groat::protocol::x402::{PAYMENT_REQUIRED, PaymentRequired};
use groat::router::Buyers;
use groat::stats::Metrics;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tower::ServiceExt;

/// The model that is asked for; the upstream knows it by another id.
pub(crate) const MODEL: &str = "deepseek/deepseek-chat";

/// The first keys of the well-known test mnemonic.
const RELAYER: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const RECEIPTS: &str = "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a";

const CONFIG: &str = r#"
[gateway]
public_url = "https://llm.example.com"

[chain]
rpc_url = "http://NODE"
chain_id = 84532

[asset]
address = "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
name = "USDC"
version = "2"

[payment]
pay_to = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
rails = ["exact", "batch-settlement", "upto", "exact-permit2"]
relayer_key = { env = "RELAYER" }
receipt_key = { env = "RECEIPTS" }

[[upstream]]
name = "deepseek"
base_url = "https://api.deepseek.com/v1"
dialect = "deepseek"

[[upstream.model]]
id = "deepseek/deepseek-chat"
upstream_id = "deepseek-chat"
context_tokens = 131072
output_cap = 4096
price = { prompt = "0.28", completion = "0.42", cache_read = "0.028" }

[[upstream.model]]
id = "counted"
output_cap = 4096
tokenizer = "o200k_base"
price = { prompt = "0.28", completion = "0.42", cache_read = "0.028" }
"#;

/// A gateway that is asked without HTTP's bytes.
pub(crate) struct Gateway {
    pub(crate) app: App,
    pub(crate) desk: Desk,
    runtime: Runtime,
    routes: axum::Router,
}

impl Gateway {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let (app, desk) = runtime.block_on(open());
        let routes = app.clone().routes();
        Self {
            app,
            desk,
            runtime,
            routes,
        }
    }

    /// The key that signs receipts.
    pub(crate) fn receipt_key() -> Key {
        key(RECEIPTS)
    }

    /// The answer to a request without a payment, as the server's connections ask for it.
    pub(crate) fn unpaid(&self, body: Bytes) -> (Response<()>, Bytes) {
        let request = Request::post("/v1/chat/completions")
            .header("content-type", "application/json")
            .body(Body::from(body))
            .expect("a request");
        self.runtime.block_on(async {
            let answer = self.routes.clone().oneshot(request).await;
            let (head, body) = answer.expect("an answer").into_parts();
            let body = to_bytes(body, usize::MAX).await.expect("its body");
            (Response::from_parts(head, ()), body)
        })
    }

    /// What a request without a payment is offered.
    pub(crate) fn challenge(&self, body: Bytes) -> PaymentRequired {
        let (head, _) = self.unpaid(body);
        assert_eq!(head.status(), StatusCode::PAYMENT_REQUIRED);
        let header = head.headers()[PAYMENT_REQUIRED].to_str().expect("ASCII");
        PaymentRequired::from_header(header).expect("a challenge")
    }
}

/// As `groat serve` does it.
async fn open() -> (App, Desk) {
    // A second installation is refused and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let node = node().await.to_string();
    let secrets = |name: &str| match name {
        "RELAYER" => Some(RELAYER.to_owned()),
        "RECEIPTS" => Some(RECEIPTS.to_owned()),
        _ => None,
    };
    let table = CONFIG.replace("NODE", &node).parse().expect("TOML");
    let config = Config::from_table(table, &secrets).expect("a configuration");
    let rpc = Rpc::connect(&format!("http://{node}"), config.chain.chain_id).await;
    let rpc = rpc.expect("the chain");
    let (ledger, _) = Ledger::open(MemoryDisk::new().open()).expect("a ledger");
    let metrics = Arc::new(Metrics::default());
    let signer = RELAYER.parse().expect("a key");
    let outbox = Arc::new(LedgerOutbox(ledger.clone()));
    let (relayer, events) = Relayer::spawn(rpc.clone(), signer, LanePolicy::default(), outbox);
    let sponsoring = Sponsoring::of(&config, &rpc, &ledger, &relayer).await;
    let address = relayer.address();
    let (settled, _) = mpsc::channel(1);
    let targets = Targets {
        asset: config.asset.address,
        settler: config.settler,
        settlers: config.settler.address.into_iter().collect(),
        settle_margin: config.payment.settle_margin,
        confirmations: config.chain.confirmations,
    };
    let settlements = Settlements::new(
        &ledger,
        (&rpc, targets),
        (relayer, events),
        None,
        &metrics,
        &settled,
    );
    let operations = Operations::new(&ledger, &settlements, &metrics);
    let sponsoring = sponsoring.expect("an asset");
    let rails = Rails::new(&config, &rpc, &ledger, operations, address, sponsoring);
    let folder = tempfile::tempdir().expect("a folder");
    let grace = config.payment.quote_grace;
    let prices = PriceBook::open(&config.upstreams, Buyers::default(), grace, folder.path());
    let parts = DeskParts {
        ledger: ledger.clone(),
        rails: rails.expect("the rails"),
        settlements: settlements.clone(),
        receipts: Receipts::new(key(RECEIPTS), ledger.clone()),
        metrics: Arc::clone(&metrics),
    };
    let desk = Desk::new(&config, prices.expect("the prices"), parts);
    let app = App::new(&config, "", desk.clone(), ledger, settlements, metrics);
    (app, desk)
}

fn key(text: &str) -> Key {
    Key::from_hex(text).expect("a key")
}

/// A node that knows its chain's id and answers every call with one word of zeros.
async fn node() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let routes = axum::Router::new().fallback(|Json(asked): Json<Value>| async move {
        Json(match asked.as_array() {
            Some(batch) => batch.iter().map(answer).collect(),
            None => answer(&asked),
        })
    });
    tokio::spawn(async { axum::serve(listener, routes).await });
    address
}

fn answer(asked: &Value) -> Value {
    let result = match asked["method"].as_str() {
        Some("eth_chainId") => json!("0x14a34"),
        Some("eth_call") => json!(format!("0x{:064x}", 0)),
        _ => Value::Null,
    };
    json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result })
}
