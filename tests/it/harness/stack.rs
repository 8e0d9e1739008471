use super::{Gateway, Payer};
use alloy::primitives::{Address, U256};
use groat::chain::dev::DevChain;
use groat::protocol::signature::Key;
use groat::sim::{SimConfig, SimStats};
use serde_json::Value;
use std::net::TcpListener;
use tokio::task::JoinHandle;

/// The usual price row.
pub(crate) const PRICE: &str = r#"prompt = "0.28", completion = "0.40", cache_read = "0.028", cache_write_5m = "0.35", cache_write_1h = "0.56""#;

/// A chain, a scripted provider and the built gateway between them and a funded payer.
#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) chain: DevChain,
    /// The token that is paid in.
    pub(crate) asset: Address,
    pub(crate) gateway: Gateway,
    pub(crate) payer: Payer,
    pub(crate) sim: String,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) admin_token: String,
    provider: JoinHandle<std::io::Result<()>>,
}

/// What a test wants to be different from the usual.
#[derive(Debug, Default, Clone)]
pub(crate) struct Setup {
    /// Models by id: the name that the simulator is asked for (`sim/gpt?cut=3`).
    pub(crate) models: Vec<(&'static str, &'static str)>,
    /// Usage dialects of the models that are named like one.
    pub(crate) dialects: Vec<&'static str>,
    /// The price rows of models that have another than the usual.
    pub(crate) prices: Vec<(&'static str, &'static str)>,
    /// Whether the chain has Groat's settler, callable by the gateway's relayer.
    pub(crate) settler: bool,
    /// Lines for `[payment]`, `[gateway]` and `[chain]`.
    pub(crate) payment: &'static str,
    pub(crate) gateway: &'static str,
    pub(crate) chain: &'static str,
    /// Another RPC endpoint than the chain's own, such as a faulty proxy before it.
    pub(crate) rpc_url: Option<String>,
    /// Another upstream than the simulator.
    pub(crate) upstream_url: Option<String>,
    /// Lines for `[[upstream]]`.
    pub(crate) upstream: &'static str,
    /// More upstreams, as TOML.
    pub(crate) upstreams: String,
    /// The artifact of another token than the stand-in, to be paid in; the payer has as much of it.
    pub(crate) token: Option<&'static str>,
    /// More of the gateway's environment.
    pub(crate) environment: Vec<(&'static str, String)>,
    pub(crate) failpoints: &'static str,
    /// The simulator's configuration.
    pub(crate) sim: SimConfig,
}

impl Stack {
    /// The usual: model `m`, which is `sim/small`.
    pub(crate) async fn usual() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        // A second installation is refused and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let chain = DevChain::start()
            .await
            .expect("a local chain; run ./scripts/setup");
        let ether = U256::from(10_u64.pow(19));
        chain
            .fund(chain.pay_to_key.address(), ether)
            .await
            .expect("gas for the payee");
        let asset = token(&setup, &chain).await;
        if setup.settler {
            let relayer = chain.relayer_key.address();
            chain.settler(&[relayer]).await.expect("the settler");
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let sim = format!("http://{}", listener.local_addr().expect("an address"));
        let provider = tokio::spawn(groat::sim::serve(
            listener,
            setup.sim.clone(),
            std::future::pending(),
        ));
        let folder = tempfile::tempdir().expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a port")
            .port();
        let url = format!("http://127.0.0.1:{port}");
        let admin_token = "an admin token of the tests".to_owned();
        let secret =
            |key: &alloy::signers::local::PrivateKeySigner| format!("{:#x}", key.to_bytes());
        let mut environment = vec![
            ("IT_RELAYER_KEY".to_owned(), secret(&chain.relayer_key)),
            ("IT_PAYOUT_KEY".to_owned(), secret(&chain.pay_to_key)),
            (
                "IT_RECEIPT_KEY".to_owned(),
                secret(&alloy::signers::local::PrivateKeySigner::random()),
            ),
            ("IT_ADMIN_TOKEN".to_owned(), admin_token.clone()),
        ];
        environment.extend(
            setup
                .environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        let config = config(&setup, &chain, asset, &sim, port, folder.path());
        let mut gateway = Gateway::new(url.clone(), folder.path(), &config, environment);
        gateway.start(setup.failpoints).await;
        let key = Key::from_hex(&secret(&chain.payer_key)).expect("a key");
        let payer = Payer {
            key,
            url,
            client: super::http(),
        };
        Self {
            chain,
            asset,
            gateway,
            payer,
            sim,
            folder,
            admin_token,
            provider,
        }
    }

    /// What the provider saw.
    pub(crate) async fn seen(&self) -> SimStats {
        let answer = reqwest::get(format!("{}/sim/calls", self.sim))
            .await
            .expect("the simulator");
        answer.json().await.expect("its calls")
    }

    /// The ledger's report of a running gateway.
    pub(crate) async fn report(&self) -> Value {
        super::books::report(&self.payer.url, &self.admin_token).await
    }

    /// Waits until no call and no settlement is open, then holds the ledger against itself and the
    /// chain: zero difference.
    pub(crate) async fn reconcile(&self) -> Value {
        super::reconciled(&self.payer.url, &self.chain.rpc_url, &self.admin_token).await
    }
}

impl Drop for Stack {
    #[expect(
        clippy::print_stderr,
        reason = "a failed test shows the gateway's log beside its own words"
    )]
    fn drop(&mut self) {
        self.provider.abort();
        if std::thread::panicking() {
            eprintln!("--- the gateway's log ---\n{}", self.gateway.log());
        }
    }
}

/// Puts the token in place that is paid in.
async fn token(setup: &Setup, chain: &DevChain) -> Address {
    let Some(artifact) = setup.token else {
        return chain.asset;
    };
    let asset = Address::repeat_byte(0xa5);
    chain
        .install(asset, artifact)
        .await
        .expect("the token's code");
    let funds = U256::from(groat::chain::dev::PAYER_FUNDS);
    chain
        .mint(asset, chain.payer_key.address(), funds)
        .await
        .expect("the payer's tokens");
    asset
}

fn config(
    setup: &Setup,
    chain: &DevChain,
    asset: Address,
    sim: &str,
    port: u16,
    folder: &std::path::Path,
) -> String {
    let rpc = setup.rpc_url.as_deref().unwrap_or(&chain.rpc_url);
    let upstream = setup.upstream_url.as_deref().unwrap_or(sim);
    let data = folder.join("data");
    let mut config = format!(
        r#"
[gateway]
listen = "127.0.0.1:{port}"
data_dir = "{data}"
admin_token = {{ env = "IT_ADMIN_TOKEN" }}
{gateway}
[chain]
rpc_url = "{rpc}"
chain_id = {chain_id}
{chain_lines}
[asset]
address = "{asset}"
name = "USDC"
version = "2"
decimals = 6
[payment]
pay_to = "{pay_to}"
relayer_key = {{ env = "IT_RELAYER_KEY" }}
payout_key = {{ env = "IT_PAYOUT_KEY" }}
receipt_key = {{ env = "IT_RECEIPT_KEY" }}
{payment}
[[upstream]]
name = "sim"
base_url = "{upstream}/v1"
{upstream_lines}
"#,
        data = data.display(),
        gateway = setup.gateway,
        chain_id = chain.chain_id,
        chain_lines = setup.chain,
        pay_to = chain.pay_to_key.address(),
        payment = setup.payment,
        upstream_lines = setup.upstream,
    );
    for (id, upstream_id) in [("m", "sim/small")].iter().chain(&setup.models) {
        let own = setup.prices.iter().find(|(model, _)| model == id);
        let price = own.map_or(PRICE, |(_, price)| price);
        config.push_str(&format!(
            r#"
[[upstream.model]]
id = "{id}"
upstream_id = "{upstream_id}"
output_cap = 256
price = {{ {price} }}
"#
        ));
        if setup.dialects.contains(id) {
            config.push_str(&format!("dialect = \"{id}\"\n"));
        }
    }
    config.push_str(&setup.upstreams);
    config
}
