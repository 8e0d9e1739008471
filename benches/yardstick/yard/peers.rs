//! What does the same work: published servers, each as `benches/peers/peers.json` says.

use super::Outcome;
use super::arm::Arm;
use super::child::{Program, free_port, seen_from};
use super::purse::Purse;
use super::session::Session;
use super::stage::Stage;
use alloy::primitives::U256;
use alloy::signers::local::PrivateKeySigner;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use tokio::process::Command;

/// What a call costs at a peer, in atomic units.
const PRICE_ATOMIC: u64 = 1000;

/// Coin for a peer's relayer, in wei: 100 ETH.
const GAS_WEI: u128 = 100_000_000_000_000_000_000;

/// A peer, as the list has it; paths are below the list's folder.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Peer {
    pub(crate) name: String,
    /// How it is paid; not at all when there is none.
    pub(crate) rail: Option<String>,
    command: Vec<String>,
    cwd: String,
    /// What signs for it, when it speaks a protocol that we do not.
    presign: Option<Vec<String>>,
    /// What every call to it carries.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// What is there when it is installed.
    setup: Option<String>,
    pub(crate) note: String,
}

/// Reads the list.
pub(crate) fn read(path: &Path) -> Outcome<Vec<Peer>> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

/// Starts those peers that are installed, and takes them in as arms; they end with what is returned.
pub(crate) async fn take(
    session: &mut Session,
    list: &Path,
    wanted: &dyn Fn(&str) -> bool,
) -> Outcome<Vec<Program>> {
    let folder = list.parent().ok_or("a list without a folder")?;
    let mut running = Vec::new();
    let peers = read(list)?.into_iter();
    for peer in peers.filter(|peer| wanted(&peer.name)) {
        match start(&session.stage, folder, &peer).await {
            Ok((program, arm)) => {
                running.push(program);
                session.arms.push(arm);
            }
            Err(error) => session.miss(&peer.name, &error),
        }
    }
    Ok(running)
}

async fn start(stage: &Stage, folder: &Path, peer: &Peer) -> Outcome<(Program, Arm)> {
    let missing = peer
        .setup
        .as_ref()
        .filter(|file| !folder.join(file).exists());
    if missing.is_some() {
        return Err("not installed: scripts/setup --peers".into());
    }
    let (relayer, payee) = (PrivateKeySigner::random(), PrivateKeySigner::random());
    let chain = &stage.chain;
    chain.fund(relayer.address(), U256::from(GAS_WEI)).await?;
    let cwd = folder.join(&peer.cwd);
    let upstream = format!("http://{}", stage.null.address);
    let port = free_port()?;
    let environment = vec![
        ("PORT", port.to_string()),
        ("UPSTREAM_URL", upstream.clone()),
        ("RPC_URL", chain.rpc_url.clone()),
        ("CHAIN_ID", chain.chain_id.to_string()),
        ("ASSET", chain.asset.to_string()),
        ("PAY_TO", payee.address().to_string()),
        ("RELAYER_KEY", format!("{:#x}", relayer.to_bytes())),
        ("PRICE_ATOMIC", PRICE_ATOMIC.to_string()),
    ];
    let (program, arguments) = peer.command.split_first().ok_or("an empty command")?;
    let mut command = Command::new(seen_from(&cwd, program));
    command
        .args(arguments)
        .current_dir(&cwd)
        .envs(environment.iter().cloned())
        // They end when this closes, so they need no leash.
        .stdin(std::process::Stdio::piped())
        .stderr(std::fs::File::create(
            stage.folder.path().join(format!("{}.log", peer.name)),
        )?)
        .process_group(0)
        .kill_on_drop(true);
    let started = Program::ready(&mut command).await;
    let (program, _) = started.map_err(|error| {
        let log = stage.folder.path().join(format!("{}.log", peer.name));
        let said = std::fs::read_to_string(log).unwrap_or_default();
        format!("{error}: {}", said.chars().take(400).collect::<String>())
    })?;
    let purse = match (&peer.rail, &peer.presign) {
        (None, _) => Purse::Empty,
        (Some(_), Some(command)) => Purse::Signer {
            command: command.clone(),
            folder: cwd,
            environment,
        },
        (Some(rail), None) if rail == "exact" => Purse::Wallets { scheme: "exact" },
        (Some(rail), None) => return Err(format!("{rail} is a rail we cannot pay by").into()),
    };
    let arm = Arm {
        purse,
        payee: peer.rail.as_ref().map(|_| payee.address()),
        headers: peer
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.replace("$UPSTREAM_URL", &upstream)))
            .collect(),
        ..Arm::plain(
            &peer.name,
            SocketAddr::from(([127, 0, 0, 1], port)),
            Some(program.pid()),
        )
    };
    Ok((program, arm))
}
