//! The programs that make many calls in one process.

use crate::harness::{PATIENCE, Stack, tool};
use alloy::primitives::Address;
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;
use std::process::{Output, Stdio};
use tokio::process::Command;
use tokio::task::JoinHandle;

/// A program of `tests/clients` that calls in a loop.
#[derive(Debug, Clone, Copy)]
pub(super) enum Loop {
    Node,
    Python,
}

/// The line that it prints at its end.
#[derive(Debug, Deserialize)]
pub(super) struct Said {
    /// Their ids.
    pub(super) calls: Vec<String>,
    pub(super) failed: Vec<String>,
    pub(super) whole: u64,
    pub(super) streamed: u64,
    pub(super) refund: Value,
}

/// A process under way.
#[derive(Debug)]
pub(super) struct Running(JoinHandle<std::io::Result<Output>>);

/// What a program is to do.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    pub(super) scheme: &'static str,
    pub(super) model: &'static str,
    pub(super) count: u64,
    pub(super) at_once: u64,
    /// Whether it can ask the chain.
    pub(super) reads_chain: bool,
    /// Whether a call that failed is left at that.
    pub(super) gives_up: bool,
    /// Whether it asks its channel's rest back at the end.
    pub(super) refund: bool,
    /// A contract that pays in the key's place.
    pub(super) wallet: Option<Address>,
}

impl Calls {
    /// So many calls of the usual model, two at a time.
    pub(super) fn by(scheme: &'static str, count: u64) -> Self {
        Self {
            scheme,
            model: "m",
            count,
            at_once: 2,
            reads_chain: true,
            gives_up: false,
            refund: false,
            wallet: None,
        }
    }
}

impl Loop {
    pub(super) fn start(self, stack: &Stack, url: &str, calls: &Calls) -> Running {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
        let (program, file) = match self {
            Self::Node => ("node".into(), "ts/loop.mjs"),
            Self::Python => (tool("GROAT_PYTHON", "--clients"), "python/loop.py"),
        };
        let key = format!("{:#x}", stack.chain.payer_key.to_bytes());
        let flag = |on: bool| if on { "1" } else { "" };
        let mut command = Command::new(program);
        command
            .arg(folder.join(file))
            .args(["mixed", "What is a groat?"])
            .env("GATEWAY", url)
            .env("PAYER_KEY", key)
            .env("SCHEMES", calls.scheme)
            .env("MODEL", calls.model)
            .env("CALLS", calls.count.to_string())
            .env("AT_ONCE", calls.at_once.to_string())
            .env("GIVE_UP", flag(calls.gives_up))
            .env("REFUND", flag(calls.refund))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if calls.reads_chain {
            command.env("RPC", &stack.chain.rpc_url);
        }
        if let Some(wallet) = calls.wallet {
            command.env("WALLET", wallet.to_string());
        }
        Running(tokio::spawn(async move { command.output().await }))
    }
}

impl Said {
    /// So many calls were answered, each once, whole and streamed in about equal parts.
    pub(super) fn both_ways(&self, calls: u64) {
        assert_eq!(self.calls.len() as u64, calls, "{self:?}");
        assert_eq!(self.whole + self.streamed, calls, "{self:?}");
        assert!(
            self.whole * 3 > calls && self.streamed * 3 > calls,
            "{self:?}"
        );
    }
}

impl Running {
    /// Waits for the end, which has to be a good one.
    pub(super) async fn end(self) -> Said {
        let ended = tokio::time::timeout(PATIENCE * 3, self.0).await;
        let output = ended
            .expect("the calls end")
            .expect("no panic")
            .expect("the program starts; run ./scripts/setup --clients");
        let (said, complaint) = crate::harness::printed(&output);
        assert!(output.status.success(), "{complaint}");
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }
}
