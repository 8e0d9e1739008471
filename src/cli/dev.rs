//! `groat dev`: a local chain, a provider, a funded payer and the gateway, on loopback.

use super::llama::Llama;
use super::signals::Shutdown;
use super::start::Gateway;
use super::{Failure, logging};
use crate::chain::dev::DevChain;
use crate::config::{Config, from_environment, overlay, read_table};
use crate::metering::Dialect;
use crate::sim::SimConfig;
use alloy::primitives::U256;
use alloy::signers::local::PrivateKeySigner;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use toml::Table;

/// The port that is taken when none is asked for and it is free.
const PORT: u16 = 4021;

/// What the payee starts with, in wei: it pays the gas of withdrawals.
const PAYOUT_GAS_WEI: u64 = 10_000_000_000_000_000_000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print one line of JSON when all of it answers, and nothing else
    #[arg(long)]
    json: bool,
    /// The gateway's port (4021, or any free one when that is taken)
    #[arg(long)]
    port: Option<u16>,
    /// The provider: the simulator, or llama.cpp's server with SmolLM2
    #[arg(long, value_enum, default_value = "sim")]
    model: Provider,
    /// A configuration laid over the built-in one: adds or replaces upstreams, prices and rails
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep the ledger in this folder instead of a temporary one
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Provider {
    Sim,
    Llama,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    logging::start(if args.json { "warn" } else { "groat=info,warn" });
    let mut shutdown = Shutdown::listen()?;
    let mut started = Started::default();
    let outcome = tokio::select! {
        outcome = start(&args, &mut started) => outcome,
        () = shutdown.asked() => Ok(()),
    };
    let outcome = match (outcome, &mut started.gateway) {
        (Ok(()), Some(gateway)) => tokio::select! {
            () = shutdown.asked() => Ok(()),
            failure = gateway.ended() => Err(failure),
        },
        (outcome, _) => outcome,
    };
    started.stop().await;
    outcome
}

/// Everything that must be stopped again, in the order it was started.
#[derive(Default)]
struct Started {
    folder: Option<tempfile::TempDir>,
    chain: Option<DevChain>,
    sim: Option<JoinHandle<std::io::Result<()>>>,
    llama: Option<Llama>,
    gateway: Option<Gateway>,
}

impl Started {
    async fn stop(self) {
        if let Some(gateway) = self.gateway {
            gateway.stop().await;
        }
        if let Some(llama) = self.llama {
            llama.stop().await;
        }
        if let Some(sim) = self.sim {
            sim.abort();
        }
        if let Some(chain) = self.chain
            && let Err(error) = chain.stop().await
        {
            tracing::warn!(%error, "the local chain did not stop in order");
        }
        drop(self.folder);
    }
}

async fn start(args: &Args, started: &mut Started) -> Result<(), Failure> {
    let chain = DevChain::start().await.map_err(Failure::other)?;
    let chain = started.chain.insert(chain);
    let pay_to = chain.pay_to_key.address();
    chain
        .fund(pay_to, U256::from(PAYOUT_GAS_WEI))
        .await
        .map_err(Failure::other)?;
    let mut base = chain_table(chain)?;
    let upstream = match args.model {
        Provider::Sim => sim_upstream(started).await?,
        Provider::Llama => {
            let llama = Llama::start().await?;
            let table = llama_upstream(&llama.base_url);
            started.llama = Some(llama);
            table
        }
    };
    overlay(&mut base, parse(&upstream)?);
    overlay(&mut base, parse(&gateway_table(args, started)?)?);
    if let Some(path) = &args.config {
        overlay(&mut base, read_table(path)?);
    }
    let secrets = Secrets::of(started.chain.as_ref());
    let config = Config::from_table(base, &|name| secrets.get(name))?;
    let usual = SocketAddr::from(([127, 0, 0, 1], PORT));
    let gateway = if args.port.is_none() && config.gateway.listen == usual {
        // Nobody asked for this port: when another has it, any will do.
        Gateway::start_on(free_listener(usual).await?, &config).await?
    } else {
        Gateway::start(&config).await?
    };
    let gateway = started.gateway.insert(gateway);
    let ready = ready(&config, gateway, started.chain.as_ref(), &secrets);
    if args.json {
        println!("{ready}");
    } else {
        print_for_people(&ready);
    }
    Ok(())
}

/// The secrets of one development run: made at its start, gone at its end.
struct Secrets {
    relayer: String,
    payout: String,
    payer: String,
    receipt: String,
    admin: String,
}

impl Secrets {
    fn of(chain: Option<&DevChain>) -> Self {
        let hex = |key: Option<&PrivateKeySigner>| {
            key.map(|key| format!("{:#x}", key.to_bytes()))
                .unwrap_or_default()
        };
        Self {
            relayer: hex(chain.map(|chain| &chain.relayer_key)),
            payout: hex(chain.map(|chain| &chain.pay_to_key)),
            payer: hex(chain.map(|chain| &chain.payer_key)),
            receipt: format!("{:#x}", PrivateKeySigner::random().to_bytes()),
            admin: hex::encode(rand::random::<[u8; 16]>()),
        }
    }

    /// As the configuration asks for them; everything else comes from the process environment.
    fn get(&self, name: &str) -> Option<String> {
        match name {
            "GROAT_DEV_RELAYER_KEY" => Some(self.relayer.clone()),
            "GROAT_DEV_PAYOUT_KEY" => Some(self.payout.clone()),
            "GROAT_DEV_RECEIPT_KEY" => Some(self.receipt.clone()),
            "GROAT_DEV_ADMIN_TOKEN" => Some(self.admin.clone()),
            name => from_environment(name),
        }
    }
}

fn chain_table(chain: &DevChain) -> Result<Table, Failure> {
    parse(&format!(
        r#"
        [chain]
        rpc_url = "{}"
        chain_id = {}
        [asset]
        address = "{}"
        name = "USDC"
        version = "2"
        decimals = 6
        [payment]
        pay_to = "{}"
        relayer_key = {{ env = "GROAT_DEV_RELAYER_KEY" }}
        payout_key = {{ env = "GROAT_DEV_PAYOUT_KEY" }}
        receipt_key = {{ env = "GROAT_DEV_RECEIPT_KEY" }}
        "#,
        chain.rpc_url,
        chain.chain_id,
        chain.asset,
        chain.pay_to_key.address(),
    ))
}

fn gateway_table(args: &Args, started: &mut Started) -> Result<String, Failure> {
    let data_dir = match &args.data_dir {
        Some(dir) => dir.clone(),
        None => {
            let folder = tempfile::tempdir().map_err(Failure::other)?;
            started.folder.insert(folder).path().to_owned()
        }
    };
    let port = args.port.unwrap_or(PORT);
    let data_dir = toml::Value::String(data_dir.display().to_string());
    Ok(format!(
        r#"
        [gateway]
        listen = "127.0.0.1:{port}"
        data_dir = {data_dir}
        drain_seconds = 10
        admin_token = {{ env = "GROAT_DEV_ADMIN_TOKEN" }}
        "#
    ))
}

/// The usual port, or any: held from now on, since one that was only looked at may be taken by then.
async fn free_listener(usual: SocketAddr) -> Result<TcpListener, Failure> {
    match TcpListener::bind(usual).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind((usual.ip(), 0))
            .await
            .map_err(Failure::other),
    }
}

/// The simulator with a model in every usage dialect, priced like a mid-size open model.
async fn sim_upstream(started: &mut Started) -> Result<String, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .map_err(Failure::other)?;
    let address = listener.local_addr().map_err(Failure::other)?;
    started.sim = Some(tokio::spawn(crate::sim::serve(
        listener,
        SimConfig::default(),
        std::future::pending(),
    )));
    let mut table = format!("[[upstream]]\nname = \"sim\"\nbase_url = \"http://{address}/v1\"\n");
    let by_dialect = Dialect::ALL
        .iter()
        .map(|dialect| (format!("sim/{dialect}"), *dialect));
    for (id, dialect) in [("sim/small".to_owned(), Dialect::OpenAi)]
        .into_iter()
        .chain(by_dialect)
    {
        table.push_str(&format!(
            r#"
            [[upstream.model]]
            id = "{id}"
            dialect = "{dialect}"
            context_tokens = 163840
            output_cap = 1024
            output_max = 8192
            price = {{ prompt = "0.28", completion = "0.40", cache_read = "0.028", cache_write_5m = "0.35", cache_write_1h = "0.56" }}
            "#
        ));
    }
    Ok(table)
}

fn llama_upstream(base_url: &str) -> String {
    format!(
        r#"
        [[upstream]]
        name = "llama.cpp"
        base_url = "{base_url}"
        dialect = "openai"
        [[upstream.model]]
        id = "smollm2-135m-instruct"
        context_tokens = 8192
        output_cap = 256
        output_max = 4096
        price = {{ prompt = "0.10", completion = "0.20", cache_read = "0.01" }}
        "#
    )
}

fn parse(text: &str) -> Result<Table, Failure> {
    text.parse().map_err(|error: toml::de::Error| {
        Failure::other(format!("the built-in configuration: {error}"))
    })
}

fn ready(
    config: &Config,
    gateway: &Gateway,
    chain: Option<&DevChain>,
    secrets: &Secrets,
) -> serde_json::Value {
    let models: Vec<&str> = config
        .upstreams
        .iter()
        .flat_map(|upstream| upstream.models.iter().map(|model| model.id.as_str()))
        .collect();
    serde_json::json!({
        "gateway": format!("http://{}", gateway.address),
        "rpc": config.chain.rpc_url.reveal(),
        "chain_id": config.chain.chain_id,
        "asset": config.asset.address,
        "asset_decimals": config.asset.decimals,
        "pay_to": config.payment.pay_to,
        "payer_private_key": secrets.payer,
        "models": models,
        "admin_token": secrets.admin,
        "receipt_signer": gateway.receipt_signer,
        "payer": chain.map(|chain| chain.payer_key.address()),
    })
}

fn print_for_people(ready: &serde_json::Value) {
    let text = |key: &str| ready[key].as_str().unwrap_or_default().to_owned();
    println!("gateway   {}", text("gateway"));
    println!(
        "chain     {} (anvil, chain id {}, USDC stand-in {})",
        text("rpc"),
        ready["chain_id"],
        text("asset")
    );
    println!("payer     {} with 10,000 USDC", text("payer"));
    println!("key       {}", text("payer_private_key"));
    let models = ready["models"].as_array().map_or(0, Vec::len);
    println!(
        "models    {} and {} more: {}/v1/models",
        ready["models"][0].as_str().unwrap_or_default(),
        models.saturating_sub(1),
        text("gateway")
    );
    println!();
    println!("Pay for a prompt from another terminal:");
    println!(
        "  GROAT_WALLET_KEY={} groat pay --url {} -m {} \"Hello\"",
        text("payer_private_key"),
        text("gateway"),
        ready["models"][0].as_str().unwrap_or_default()
    );
    println!("Ctrl-C stops everything.");
}
