use crate::harness::{Gateway, Payer, Setup, Stack, http, reconciled};
use alloy::primitives::U256;
use alloy::signers::local::PrivateKeySigner;
use serde_json::Value;
use std::net::TcpListener;

/// The near gateway's prices, in US dollars per million tokens: dearer than the far one's.
pub(super) const PRICE: &str = r#"prompt = "0.40", completion = "0.50", cache_read = "0.04", cache_write_5m = "0.40", cache_write_1h = "0.60""#;

/// Two gateways on one chain: a payer pays the near one, and that pays the far one.
#[derive(Debug)]
pub(super) struct Hops {
    pub(super) far: Stack,
    pub(super) near: Gateway,
    /// Pays at the near gateway.
    pub(super) payer: Payer,
    /// What the near gateway pays with.
    pub(super) wallet: PrivateKeySigner,
    folder: tempfile::TempDir,
}

/// What a test wants to be different at the near gateway.
#[derive(Debug)]
pub(super) struct Near {
    /// Lines of `[upstream.pay]` beside the key.
    pub(super) pay: &'static str,
    pub(super) price: &'static str,
    /// Another place than the far gateway, such as a liar before it.
    pub(super) url: Option<String>,
    /// More endpoints, as TOML.
    pub(super) more: String,
    /// What the wallet has, in atomic units.
    pub(super) funds: u64,
}

impl Default for Near {
    fn default() -> Self {
        Self {
            pay: "budget_usd = \"1.00\"",
            price: PRICE,
            url: None,
            more: String::new(),
            funds: 100_000_000,
        }
    }
}

impl Hops {
    pub(super) async fn usual() -> Self {
        Self::with(Stack::usual().await, Near::default()).await
    }

    pub(super) async fn of(setup: Setup, near: Near) -> Self {
        Self::with(Stack::with(setup).await, near).await
    }

    pub(super) async fn with(far: Stack, near: Near) -> Self {
        let [relayer, pay_to, wallet] = std::array::from_fn(|_| PrivateKeySigner::random());
        let ether = U256::from(10_u64.pow(19));
        for account in [relayer.address(), pay_to.address()] {
            far.chain.fund(account, ether).await.expect("gas");
        }
        let funds = U256::from(near.funds);
        let minted = far.chain.mint(far.asset, wallet.address(), funds);
        minted.await.expect("the wallet's tokens");
        let folder = tempfile::tempdir().expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let port = port.expect("a port").port();
        let url = format!("http://127.0.0.1:{port}");
        let secret = |key: &PrivateKeySigner| format!("{:#x}", key.to_bytes());
        let environment = [
            ("IT_RELAYER_KEY", secret(&relayer)),
            ("IT_PAYOUT_KEY", secret(&pay_to)),
            ("IT_RECEIPT_KEY", secret(&PrivateKeySigner::random())),
            ("IT_WALLET_KEY", secret(&wallet)),
            ("IT_ADMIN_TOKEN", far.admin_token.clone()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value));
        let config = format!(
            r#"
[gateway]
listen = "127.0.0.1:{port}"
data_dir = "{data}"
admin_token = {{ env = "IT_ADMIN_TOKEN" }}
[chain]
rpc_url = "{rpc}"
chain_id = {chain_id}
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
[[upstream]]
name = "far"
base_url = "{upstream}/v1"
routes = ["chat", "messages", "responses"]
[upstream.pay]
key = {{ env = "IT_WALLET_KEY" }}
{pay}
[[upstream.model]]
id = "near/m"
upstream_id = "m"
output_cap = 256
price = {{ {price} }}
{more}
"#,
            data = folder.path().join("data").display(),
            rpc = far.chain.rpc_url,
            chain_id = far.chain.chain_id,
            asset = far.asset,
            pay_to = pay_to.address(),
            upstream = near.url.as_deref().unwrap_or(&far.payer.url),
            pay = near.pay,
            price = near.price,
            more = near.more,
        );
        let mut gateway = Gateway::new(url.clone(), folder.path(), &config, environment.into());
        gateway.start("").await;
        let payer = Payer {
            url,
            client: http(),
            ..far.payer.clone()
        };
        Self {
            far,
            near: gateway,
            payer,
            wallet,
            folder,
        }
    }

    /// The ledger's report of the near gateway, with every call finished, and held against the chain.
    pub(super) async fn reconcile(&self) -> Value {
        let (rpc, token) = (&self.far.chain.rpc_url, &self.far.admin_token);
        reconciled(&self.payer.url, rpc, token).await
    }

    /// A gauge or counter of the near gateway, by the beginning of its line.
    pub(super) async fn metric(&self, name: &str) -> u128 {
        let url = format!("{}/metrics", self.payer.url);
        let asked = self
            .payer
            .client
            .get(url)
            .bearer_auth(&self.far.admin_token);
        let text = asked.send().await.expect("metrics").text().await;
        let text = text.expect("metrics");
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// What may have been paid to the far gateway, in atomic units.
    pub(super) async fn paid(&self) -> u128 {
        self.metric("groat_bought_paid_pusd{upstream=\"far\"}")
            .await
            / 1_000_000
    }

    /// What left the wallet on chain, in atomic units.
    pub(super) async fn moved(&self, funds: u64) -> u128 {
        let left = self
            .far
            .chain
            .balance_of(self.far.asset, self.wallet.address());
        let left: u128 = left.await.expect("a balance").to();
        u128::from(funds) - left
    }

    pub(super) fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for Hops {
    #[expect(
        clippy::print_stderr,
        reason = "a failed test shows the gateway's log beside its own words"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the near gateway's log ---\n{}", self.near.log());
        }
    }
}
