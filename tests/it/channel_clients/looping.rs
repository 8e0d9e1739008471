//! The programs that make many calls in one process.

use crate::harness::{PATIENCE, Stack, tool};
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

impl Loop {
    pub(super) fn start(self, stack: &Stack, url: &str, calls: u64, refund: bool) -> Running {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
        let (program, file) = match self {
            Self::Node => ("node".into(), "ts/channel-loop.mjs"),
            Self::Python => (tool("GROAT_PYTHON", "--clients"), "python/channel_loop.py"),
        };
        let key = format!("{:#x}", stack.chain.payer_key.to_bytes());
        let mut command = Command::new(program);
        command
            .arg(folder.join(file))
            .args(["mixed", "What is a groat?"])
            .env("GATEWAY", url)
            .env("PAYER_KEY", key)
            .env("MODEL", "m")
            .env("RPC", &stack.chain.rpc_url)
            .env("CALLS", calls.to_string())
            .env("REFUND", if refund { "1" } else { "" })
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Running(tokio::spawn(async move { command.output().await }))
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
