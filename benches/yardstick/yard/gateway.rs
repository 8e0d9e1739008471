//! The built gateway, as it runs in production: a configuration file, keys in its environment, its
//! ledger on a disk.

use super::Outcome;
use super::child::{Program, answers, free_port};
use alloy::primitives::{Address, U256};
use alloy::signers::local::PrivateKeySigner;
use groat::chain::dev::{DevChain, SETTLER, leashed};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Coin for a key that sends transactions, in wei: 100 ETH.
const GAS_WEI: u128 = 100_000_000_000_000_000_000;

/// What a call costs at most of them, in US dollars a million tokens.
pub(crate) const PRICE: &str = r#"{ prompt = "0.28", completion = "0.40", cache_read = "0.028" }"#;

/// What differs from one gateway to the next.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    /// `before`, `on_first_byte` or `after`.
    pub(crate) settle: &'static str,
    /// Whether it settles many calls in one transaction.
    pub(crate) together: bool,
    /// Its upstream, up to `/v1`.
    pub(crate) upstream: String,
    /// Its models.
    pub(crate) models: Vec<String>,
    /// What each of them costs, as the configuration says it.
    pub(crate) price: &'static str,
}

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) pay_to: Address,
    pub(crate) admin_token: String,
    program: Program,
}

impl Gateway {
    /// Starts `groat serve` with keys of its own on a chain.
    pub(crate) async fn start(
        binary: &Path,
        folder: &Path,
        chain: &DevChain,
        spec: &Spec,
    ) -> Outcome<Self> {
        let keys: [PrivateKeySigner; 3] = std::array::from_fn(|_| PrivateKeySigner::random());
        let [relayer, payout, receipt] = &keys;
        for key in [relayer, payout] {
            chain.fund(key.address(), U256::from(GAS_WEI)).await?;
        }
        if spec.together {
            chain.settler(&[relayer.address()]).await?;
        }
        let folder = folder.join(spec.name);
        std::fs::create_dir_all(&folder)?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let pay_to = payout.address();
        let path = folder.join("groat.toml");
        std::fs::write(&path, configuration(&folder, address, chain, pay_to, spec))?;
        let admin_token = PrivateKeySigner::random().address().to_string();
        let secret = |key: &PrivateKeySigner| format!("{:#x}", key.to_bytes());
        let mut command = leashed(binary);
        command
            .args(["serve", "--config"])
            .arg(&path)
            .env("YARDSTICK_RELAYER_KEY", secret(relayer))
            .env("YARDSTICK_PAYOUT_KEY", secret(payout))
            .env("YARDSTICK_RECEIPT_KEY", secret(receipt))
            .env("YARDSTICK_ADMIN_TOKEN", &admin_token)
            .env("GROAT_LOG", "warn")
            .stderr(std::fs::File::create(log(&folder))?);
        let mut program = Program::start(&mut command)?;
        let ready = answers(&mut program, &format!("http://{address}/readyz")).await;
        if let Err(error) = ready {
            let said = std::fs::read_to_string(log(&folder)).unwrap_or_default();
            return Err(format!("the gateway {:?}: {error}: {said}", spec.name).into());
        }
        Ok(Self {
            address,
            pay_to,
            admin_token,
            program,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.program.pid()
    }

    pub(crate) async fn stop(self) {
        self.program.stop().await;
    }
}

fn log(folder: &Path) -> PathBuf {
    folder.join("groat.log")
}

/// The limits are wide: what is measured is how fast it is, not when it says no.
fn configuration(
    folder: &Path,
    address: SocketAddr,
    chain: &DevChain,
    pay_to: Address,
    spec: &Spec,
) -> String {
    let mut config = format!(
        r#"
[gateway]
listen = "{address}"
data_dir = "{data}"
admin_token = {{ env = "YARDSTICK_ADMIN_TOKEN" }}
calls_max = 100000
free_calls_max = 100000
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
rails = ["exact", "batch-settlement", "upto"]
settle = "{settle}"
relayer_key = {{ env = "YARDSTICK_RELAYER_KEY" }}
payout_key = {{ env = "YARDSTICK_PAYOUT_KEY" }}
receipt_key = {{ env = "YARDSTICK_RECEIPT_KEY" }}
[exposure]
payer_first_usd = "1000000.00"
payer_max_usd = "1000000.00"
payer_calls = 100000
total_usd = "10000000.00"
total_calls = 1000000
[[upstream]]
name = "null"
base_url = "{upstream}"
"#,
        data = folder.join("data").display(),
        rpc = chain.rpc_url,
        chain_id = chain.chain_id,
        asset = chain.asset,
        settle = spec.settle,
        upstream = spec.upstream,
    );
    for model in &spec.models {
        config.push_str(&format!(
            "[[upstream.model]]\nid = \"{model}\"\noutput_cap = 1024\nprice = {}\n",
            spec.price
        ));
    }
    if spec.together {
        config.push_str(&format!(
            "[settler]\naddress = \"{SETTLER}\"\nbatch_max = 50\nbatch_wait_ms = 100\n"
        ));
    }
    config
}
