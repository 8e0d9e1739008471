//! What all arms stand on: one chain, one null upstream, wallets with money.

use super::body::Body;
use super::child::{Program, client};
use super::gateway::{Gateway, Spec};
use super::job::{Job, Tally};
use super::{Outcome, load, null};
use alloy::primitives::{Address, Bytes, U256};
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolCall;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use groat::chain::bindings::IErc20;
use groat::chain::dev::{DevChain, leashed};
use groat::protocol::addresses::PERMIT2;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

/// Wallets that sign authorizations in turn.
const PAYERS: usize = 8;

/// What each wallet has, in atomic units: enough never to matter.
const FUNDS: u64 = 1_000_000_000_000_000;

/// How long a load process may take for signing and for what it was asked.
const JOB_TIMEOUT: Duration = Duration::from_secs(900);

/// Where the null upstream and the load run.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// Each in a process of its own, which is this program.
    Processes(PathBuf),
    /// In this process: for tests, which measure nothing.
    Here,
}

/// One chain, one null upstream, wallets with money.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) place: Place,
    /// The gateway's program.
    pub(crate) binary: PathBuf,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) chain: DevChain,
    pub(crate) null: Helper,
    /// Private keys of wallets that have money and have approved Permit2.
    pub(crate) payers: Vec<String>,
    pub(crate) http: reqwest::Client,
    jobs: AtomicUsize,
}

impl Stage {
    /// Sets it up, its files in a folder below `folder`, which should be on a real disk.
    pub(crate) async fn set(place: Place, binary: PathBuf, folder: &Path) -> Outcome<Self> {
        let http = client()?;
        std::fs::create_dir_all(folder)?;
        let folder = tempfile::tempdir_in(folder)?;
        let chain = DevChain::start().await?;
        let null = Helper::start(&place, &["null"], null::serve).await?;
        let mut stage = Self {
            place,
            binary,
            folder,
            chain,
            null,
            payers: Vec::new(),
            http,
            jobs: AtomicUsize::new(0),
        };
        for _ in 0..PAYERS {
            let payer = stage.wallet().await?;
            stage.payers.push(payer);
        }
        Ok(stage)
    }

    /// A new wallet with money, which has approved Permit2: its private key.
    pub(crate) async fn wallet(&self) -> Outcome<String> {
        let key = PrivateKeySigner::random();
        let (chain, owner) = (&self.chain, key.address());
        chain.mint(chain.asset, owner, U256::from(FUNDS)).await?;
        let approval = IErc20::approveCall {
            spender: PERMIT2,
            value: U256::MAX,
        };
        let approval: Bytes = approval.abi_encode().into();
        chain.send_as(owner, chain.asset, approval).await?;
        Ok(format!("{:#x}", key.to_bytes()))
    }

    pub(crate) async fn gateway(&self, spec: &Spec) -> Outcome<Gateway> {
        Gateway::start(&self.binary, self.folder.path(), &self.chain, spec).await
    }

    /// The null upstream's base URL.
    pub(crate) fn upstream(&self) -> String {
        format!("http://{}/v1", self.null.address)
    }

    /// Has a job done.
    pub(crate) async fn load(&self, job: Job) -> Outcome<Tally> {
        let Place::Processes(program) = &self.place else {
            return load::run(job).await;
        };
        let number = self.jobs.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.path().join(format!("job-{number}.json"));
        std::fs::write(&path, serde_json::to_vec(&job)?)?;
        let mut command = leashed(program);
        command
            .arg("load")
            .arg(&path)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let mut child = command.spawn()?;
        // Its end would be the end of the leash, and `wait_with_output` closes it.
        let leash = child.stdin.take();
        let done = tokio::time::timeout(JOB_TIMEOUT, child.wait_with_output()).await;
        let done = done.map_err(|_| "the load does not end")??;
        drop(leash);
        std::fs::remove_file(&path)?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
            return Err(format!("the load: {said}").into());
        }
        Ok(serde_json::from_slice(&done.stdout)?)
    }

    /// What an account has of the token.
    pub(crate) async fn balance(&self, account: Address) -> Outcome<u128> {
        let balance = self.chain.balance_of(self.chain.asset, account).await?;
        Ok(balance.saturating_to())
    }

    /// The challenge that an unpaid request gets, and the value of its header.
    pub(crate) async fn challenge(
        &self,
        url: &str,
        body: &Body,
        rail: Option<&str>,
    ) -> Outcome<(Value, Challenged)> {
        let mut asked = self.http.post(url).body(body.text());
        asked = asked.header("content-type", "application/json");
        if let Some(rail) = rail {
            asked = asked.header("groat-rail", rail);
        }
        let answer = asked.send().await?;
        let status = answer.status().as_u16();
        let header = answer.headers().get("payment-required");
        let header = header
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let body = answer.text().await?;
        let Some(header) = header else {
            return Err(format!("no challenge: status {status}: {body}").into());
        };
        let challenge = serde_json::from_slice(&STANDARD.decode(header.trim())?)?;
        let challenged = Challenged {
            status,
            header,
            body,
        };
        Ok((challenge, challenged))
    }
}

/// A challenge as it came.
#[derive(Debug, Clone)]
pub(crate) struct Challenged {
    pub(crate) status: u16,
    pub(crate) header: String,
    pub(crate) body: String,
}

/// A server that is this program once more, or a task of it.
#[derive(Debug)]
pub(crate) struct Helper {
    pub(crate) address: SocketAddr,
    process: Option<Program>,
}

impl Helper {
    /// Starts it: by these arguments, or by what they have the program do.
    pub(crate) async fn start<F>(
        place: &Place,
        arguments: &[&str],
        serve: impl FnOnce(TcpListener) -> F,
    ) -> Outcome<Self>
    where
        F: Future<Output = Outcome<()>> + Send + 'static,
    {
        match place {
            Place::Processes(program) => {
                let mut command = leashed(program);
                command.args(arguments);
                let (program, said) = Program::ready(&mut command).await?;
                Ok(Self {
                    address: said.parse()?,
                    process: Some(program),
                })
            }
            Place::Here => {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
                let address = listener.local_addr()?;
                tokio::spawn(serve(listener));
                Ok(Self {
                    address,
                    process: None,
                })
            }
        }
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Program::pid)
    }
}
