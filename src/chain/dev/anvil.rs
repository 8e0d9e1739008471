//! Finding and running anvil, Foundry's local node.

use super::leash::leashed;
use crate::chain::ChainError;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Child;
use tokio::time::timeout;

/// How long the node may take to listen: a loaded two-core machine is slow.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Lines of its banner read while looking for the address; it prints about 60.
const BANNER_LINES_MAX: usize = 500;

/// Old states that it keeps on the disk besides the hundreds in its memory: it would keep all of them, which
/// is tens of gigabytes for some ten thousand blocks, and nothing here looks so far back.
const STATES_MAX: &str = "64";

/// Why there is no local chain.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// There is no anvil where it is looked for.
    #[error(
        "anvil is not found (GROAT_ANVIL, PATH, the tools directory): run ./scripts/setup, which installs it"
    )]
    NoAnvil,
    /// The node did not start, or did not stop.
    #[error("anvil: {0}")]
    Node(String),
    /// A compiled contract is not readable.
    #[error("contract artifact: {0}")]
    Artifact(String),
    /// The chain could not be set up.
    #[error("setting up the local chain: {0}")]
    Setup(String),
    /// The node did not answer.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

#[expect(
    clippy::disallowed_methods,
    reason = "where a tool lies is no setting of the gateway"
)]
/// Finds anvil: `GROAT_ANVIL`, then `PATH`, then where `./scripts/setup` puts it.
pub fn locate_anvil() -> Result<PathBuf, DevError> {
    locate(&|name| std::env::var_os(name)).ok_or(DevError::NoAnvil)
}

pub(super) fn locate(env: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    if let Some(named) = set("GROAT_ANVIL") {
        // A named one that is missing is a mistake to report, not to paper over with another.
        return Some(PathBuf::from(named)).filter(|path| path.is_file());
    }
    let on_path = set("PATH").and_then(|path| {
        std::env::split_paths(&path)
            .map(|dir| dir.join("anvil"))
            .find(|file| file.is_file())
    });
    let tools = set("GROAT_TOOLS").map(PathBuf::from).or_else(|| {
        set("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| set("HOME").map(|home| Path::new(&home).join(".cache")))
            .map(|cache| cache.join("groat/tools"))
    });
    on_path.or_else(|| in_tools(&tools?))
}

/// `<tools>/contracts-*/node_modules/@foundry-rs/anvil-linux-*/bin/anvil`, the last by name.
fn in_tools(tools: &Path) -> Option<PathBuf> {
    children(tools, "contracts-")
        .iter()
        .rev()
        .flat_map(|dir| children(&dir.join("node_modules/@foundry-rs"), "anvil-linux-"))
        .map(|package| package.join("bin/anvil"))
        .find(|file| file.is_file())
}

fn children(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// A child process that is killed with its owner.
#[derive(Debug)]
pub(super) struct Anvil {
    child: Child,
    listening: String,
    /// Where it keeps old states, which it never removes itself.
    _states: TempDir,
}

impl Anvil {
    /// Starts the node on a free port of its own choice, and reads from its banner which; `rules` are
    /// the options that say what kind of a chain it is.
    pub(super) async fn spawn(
        program: &Path,
        chain_id: u64,
        rules: &[&str],
    ) -> Result<Self, DevError> {
        let states = TempDir::new().map_err(|error| node(&error.to_string()))?;
        let mut child = leashed(program)
            .args(["--host", "127.0.0.1", "--port", "0"])
            .args(["--chain-id", &chain_id.to_string()])
            .arg("--cache-path")
            .arg(states.path())
            .args(["--max-persisted-states", STATES_MAX])
            .args(rules)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| DevError::Node(error.to_string()))?;
        let stdout = child.stdout.take();
        let mut stdout = BufReader::new(stdout.ok_or_else(|| node("no standard output"))?);
        let listening = timeout(START_TIMEOUT, read_listening(&mut stdout))
            .await
            .map_err(|_| node("it does not listen in time"))??;
        // It logs every request, and would block or die if nobody read.
        tokio::spawn(async move {
            let mut scrap = [0; 8192];
            while matches!(stdout.read(&mut scrap).await, Ok(1..)) {}
        });
        Ok(Self {
            child,
            listening,
            _states: states,
        })
    }

    pub(super) fn rpc_url(&self) -> String {
        format!("http://{}", self.listening)
    }

    pub(super) async fn stop(mut self) -> Result<(), DevError> {
        self.child.kill().await.map_err(|e| node(&e.to_string()))
    }
}

async fn read_listening(
    stdout: &mut BufReader<tokio::process::ChildStdout>,
) -> Result<String, DevError> {
    let mut lines = stdout.lines();
    for _ in 0..BANNER_LINES_MAX {
        match lines.next_line().await {
            Ok(Some(line)) => {
                if let Some(address) = line.strip_prefix("Listening on ") {
                    return Ok(address.trim().to_owned());
                }
            }
            _ => return Err(node("it ended before it listened")),
        }
    }
    Err(node("it does not say where it listens"))
}

fn node(what: &str) -> DevError {
    DevError::Node(what.to_owned())
}

#[cfg(test)]
mod tests;
