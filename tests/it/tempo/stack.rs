//! A gateway on a local Tempo, and the published clients that pay it there.

use crate::harness::{Gateway, PATIENCE, PRICE, reconciled, tool};
use groat::chain::dev::TempoChain;
use groat::sim::{SimConfig, SimStats};
use serde_json::Value;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;
use tokio::task::JoinHandle;

/// A running gateway on Tempo, with a simulated provider behind it.
pub(super) struct Tempo {
    pub(super) chain: TempoChain,
    pub(super) gateway: Gateway,
    pub(super) url: String,
    sim: String,
    admin_token: &'static str,
    provider: JoinHandle<std::io::Result<()>>,
    _folder: tempfile::TempDir,
}

/// What a test wants of it.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Setup<'s> {
    /// The rails that are offered, as TOML has them.
    pub(super) rails: &'s str,
    /// More of the configuration.
    pub(super) more: &'s str,
    /// Models beside `m`: the name that the simulator is asked for.
    pub(super) models: &'s [(&'s str, &'s str)],
    /// Lines for `[[upstream]]`.
    pub(super) upstream: &'s str,
    /// Where the gateway dies.
    pub(super) failpoints: &'s str,
    /// How loud its log is.
    pub(super) log: Option<&'s str>,
}

/// A program of `tests/clients` that pays on Tempo.
#[derive(Debug, Clone, Copy)]
pub(super) enum Client {
    MppRs,
    Mppx,
    Pympp,
}

impl Tempo {
    /// One that offers these rails; `more` is more of its configuration.
    pub(super) async fn with(rails: &str, more: &str) -> Self {
        let usual = Setup::default();
        Self::of(Setup {
            rails,
            more,
            ..usual
        })
        .await
    }

    pub(super) async fn of(setup: Setup<'_>) -> Self {
        let chain = TempoChain::start().await;
        let chain = chain.expect("a local Tempo; run ./scripts/setup");
        // A second installation is refused and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let sim = format!("http://{}", listener.local_addr().expect("an address"));
        let provider = tokio::spawn(groat::sim::serve(
            listener,
            SimConfig::default(),
            std::future::pending(),
        ));
        let folder = tempfile::tempdir().expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let url = format!("http://127.0.0.1:{}", port.expect("a port").port());
        let admin_token = "an admin token of the tests";
        let secret =
            |key: &alloy::signers::local::PrivateKeySigner| format!("{:#x}", key.to_bytes());
        let receipts = alloy::signers::local::PrivateKeySigner::random();
        let mut environment = vec![
            ("IT_RELAYER_KEY".to_owned(), secret(&chain.relayer_key)),
            ("IT_PAYOUT_KEY".to_owned(), secret(&chain.pay_to_key)),
            ("IT_RECEIPT_KEY".to_owned(), secret(&receipts)),
            ("IT_ADMIN_TOKEN".to_owned(), admin_token.to_owned()),
        ];
        let loud = setup
            .log
            .map(|log| ("GROAT_LOG".to_owned(), log.to_owned()));
        environment.extend(loud);
        let config = config(&chain, (&url, &sim), folder.path(), setup);
        let mut gateway = Gateway::new(url.clone(), folder.path(), &config, environment);
        gateway.start(setup.failpoints).await;
        Self {
            chain,
            gateway,
            url,
            sim,
            admin_token,
            provider,
            _folder: folder,
        }
    }

    /// Runs a program; its one line of JSON.
    pub(super) async fn run(
        &self,
        client: Client,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Value, String> {
        let mut command = command(client);
        let key = format!("{:#x}", self.chain.payer_key.to_bytes());
        command
            .args(arguments)
            .env("GATEWAY", &self.url)
            .env("PAYER_KEY", key)
            .env("MODEL", "m")
            .env("RPC", &self.chain.rpc_url)
            .env("ESCROW", self.chain.escrow.to_string())
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let ended = tokio::time::timeout(PATIENCE * 2, command.output()).await;
        let output = ended.expect("it ends").expect("it starts");
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if !output.status.success() {
            return Err(said(&output.stderr));
        }
        let line = said(&output.stdout);
        serde_json::from_str(&line).map_err(|error| format!("{error}: {line:?}"))
    }

    /// What the provider saw.
    pub(super) async fn seen(&self) -> SimStats {
        let answer = reqwest::get(format!("{}/sim/calls", self.sim)).await;
        let answer = answer.expect("the simulator").json().await;
        answer.expect("its calls")
    }

    /// Waits until no call is open, then holds the ledger against itself and the chain.
    pub(super) async fn reconcile(&self) -> Value {
        reconciled(&self.url, &self.chain.rpc_url, self.admin_token).await
    }
}

impl Drop for Tempo {
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

fn command(client: Client) -> Command {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let running = |program: std::path::PathBuf, file: &str| {
        let mut command = Command::new(program);
        command.arg(folder.join(file));
        command
    };
    match client {
        Client::MppRs => Command::new(tool("GROAT_MPP_RUST_CLIENT", "--clients")),
        Client::Mppx => running("node".into(), "mpp/mppx-tempo.mjs"),
        Client::Pympp => running(
            tool("GROAT_PYTHON_TEMPO", "--clients"),
            "python-tempo/mpp_tempo.py",
        ),
    }
}

fn config(chain: &TempoChain, (url, sim): (&str, &str), folder: &Path, setup: Setup<'_>) -> String {
    let Setup {
        rails,
        more,
        upstream,
        ..
    } = setup;
    let model = |(id, name): &(&str, &str)| {
        format!(
            "[[upstream.model]]\nid = {id:?}\nupstream_id = {name:?}\noutput_cap = 256\nprice = {{ {PRICE} }}\n"
        )
    };
    let models: String = setup.models.iter().map(model).collect();
    format!(
        r#"
[gateway]
listen = "{listen}"
data_dir = "{data}"
admin_token = {{ env = "IT_ADMIN_TOKEN" }}
[chain]
rpc_url = "{rpc}"
chain_id = {chain_id}
[asset]
address = "{asset}"
name = "pathUSD"
version = "1"
decimals = 6
[payment]
pay_to = "{pay_to}"
relayer_key = {{ env = "IT_RELAYER_KEY" }}
payout_key = {{ env = "IT_PAYOUT_KEY" }}
receipt_key = {{ env = "IT_RECEIPT_KEY" }}
rails = [{rails}]
{more}
[[upstream]]
name = "sim"
base_url = "{sim}/v1"
{upstream}
[[upstream.model]]
id = "m"
upstream_id = "sim/small"
output_cap = 256
price = {{ {PRICE} }}
{models}
"#,
        listen = url.trim_start_matches("http://"),
        data = folder.join("data").display(),
        rpc = chain.rpc_url,
        chain_id = chain.chain_id,
        asset = chain.asset,
        pay_to = chain.pay_to_key.address(),
    )
}
