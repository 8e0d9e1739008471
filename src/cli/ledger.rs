use super::audit::{Audit, audit};
use super::{Failure, emit, http::client, logging};
use crate::config::{Secret, from_environment};
use crate::ledger::{Ledger, LogEntry, SledStore};
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Check the chain of hashes, conservation and, with --rpc, every settlement and channel against the chain
    Verify {
        #[command(flatten)]
        source: Source,
        /// A JSON-RPC endpoint of the chain that the ledger settles on
        #[arg(long, value_name = "URL")]
        rpc: Option<String>,
    },
    /// Print every event as a line of JSON
    Export {
        #[command(flatten)]
        source: Source,
    },
}

/// A ledger: the folder of a stopped gateway, or a running gateway.
#[derive(Debug, clap::Args)]
pub(super) struct Source {
    /// The data folder of a stopped gateway
    #[arg(long, value_name = "DIR", default_value = "groat-data")]
    data_dir: PathBuf,
    /// A running gateway, asked with the admin token in GROAT_ADMIN_TOKEN
    #[arg(long, value_name = "URL", conflicts_with = "data_dir")]
    url: Option<String>,
}

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    logging::start("warn");
    match command {
        Command::Export { source } => emit(&source.export().await?),
        Command::Verify { source, rpc } => verify(&source, rpc.as_deref()).await,
    }
}

async fn verify(source: &Source, rpc: Option<&str>) -> Result<(), Failure> {
    let report = source.report().await?;
    println!(
        "{}",
        serde_json::to_string_pretty(&report).map_err(Failure::other)?
    );
    let faults = report
        .get("faults")
        .and_then(|faults| faults.as_array())
        .map_or(0, Vec::len);
    let mut wrong = faults;
    if let Some(rpc) = rpc {
        let entries = async { read_entries(&source.export().await?) };
        let found = audit(rpc, entries).await?;
        tell(&found);
        wrong = wrong.saturating_add(found.faults.len());
    }
    if wrong == 0 {
        println!("sound");
        Ok(())
    } else {
        Err(Failure::other(format!("{wrong} things do not agree")))
    }
}

fn tell(found: &Audit) {
    let Audit {
        transfers,
        foreign,
        channels,
        notes,
        faults,
    } = found;
    println!(
        "chain: {transfers} transfers of the ledger looked up, {} faults, {foreign} transfers to the payee that are not the ledger's",
        faults.len()
    );
    for channels in channels {
        println!("channels: {channels}");
    }
    for note in notes {
        println!("  note: {note}");
    }
    for fault in faults {
        println!("  {fault}");
    }
}

fn read_entries(lines: &str) -> Result<Vec<LogEntry>, Failure> {
    let entries = lines.lines().map(serde_json::from_str);
    entries
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::other(format!("the export cannot be read: {error}")))
}

impl Source {
    async fn report(&self) -> Result<serde_json::Value, Failure> {
        if let Some(url) = &self.url {
            let text = ask(url, "/admin/ledger/verify").await?;
            return serde_json::from_str(&text).map_err(Failure::other);
        }
        let ledger = self.open()?;
        let report = ledger.verify().await.map_err(Failure::other)?;
        ledger.shutdown().await;
        serde_json::to_value(report).map_err(Failure::other)
    }

    pub(super) async fn export(&self) -> Result<String, Failure> {
        if let Some(url) = &self.url {
            return ask(url, "/admin/ledger/export").await;
        }
        let ledger = self.open()?;
        let mut lines = Vec::new();
        ledger.export(&mut lines).await.map_err(Failure::other)?;
        ledger.shutdown().await;
        String::from_utf8(lines).map_err(Failure::other)
    }

    fn open(&self) -> Result<Ledger, Failure> {
        let path = self.data_dir.join("ledger");
        if !path.is_dir() {
            return Err(Failure::other(format!(
                "there is no ledger at {}",
                path.display()
            )));
        }
        let store = SledStore::open(&path).map_err(|error| {
            Failure::other(format!(
                "{error}; while a gateway runs, ask it with --url instead"
            ))
        })?;
        Ok(Ledger::open(store).map_err(Failure::other)?.0)
    }
}

async fn ask(url: &str, path: &str) -> Result<String, Failure> {
    let token = from_environment("GROAT_ADMIN_TOKEN").map(Secret::new);
    let token = token
        .ok_or_else(|| Failure::other("set GROAT_ADMIN_TOKEN to the gateway's admin token"))?;
    let url = format!("{}{path}", url.trim_end_matches('/'));
    let answer = client()?
        .get(&url)
        .bearer_auth(token.reveal())
        .send()
        .await
        .map_err(Failure::other)?;
    let status = answer.status();
    let text = answer.text().await.map_err(Failure::other)?;
    if status.is_success() {
        Ok(text)
    } else {
        Err(Failure::other(format!("{url} answered {status}: {text}")))
    }
}
