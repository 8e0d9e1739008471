use crate::harness::{PATIENCE, Stack, tool};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use tokio::process::Command;

/// Calls of one stack at a time: the machines that run this have two cores.
pub(crate) const AT_ONCE: usize = 2;

/// A program of `tests/clients`, named after the published package that it leaves the paying to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Program {
    Node(&'static str),
    Mppx(&'static str),
    Python(&'static str),
    Rust,
}

pub(super) const TYPESCRIPT: [Program; 4] = [
    Program::Node("x402-fetch-v2"),
    Program::Node("x402-fetch-v1"),
    Program::Node("x402-axios"),
    Program::Node("openai-sdk"),
];

pub(super) const PYTHON: [Program; 3] = [
    Program::Python("x402_httpx"),
    Program::Python("x402_requests"),
    Program::Python("openai_sdk"),
];

impl Program {
    /// Runs it against a gateway; its one line of JSON, or what it said on standard error.
    pub(crate) async fn run(
        self,
        stack: &Stack,
        model: &str,
        arguments: &[&str],
    ) -> Result<Value, String> {
        self.run_with(stack, model, arguments, &[]).await
    }

    /// The same with more of an environment, such as the schemes that it registers.
    pub(crate) async fn run_with(
        self,
        stack: &Stack,
        model: &str,
        arguments: &[&str],
        environment: &[(&'static str, String)],
    ) -> Result<Value, String> {
        let output = self.output(stack, model, arguments, environment).await;
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if !output.status.success() {
            return Err(said(&output.stderr));
        }
        let line = said(&output.stdout);
        serde_json::from_str(&line).map_err(|error| format!("{error}: {line:?}"))
    }

    async fn output(
        self,
        stack: &Stack,
        model: &str,
        arguments: &[&str],
        environment: &[(&'static str, String)],
    ) -> Output {
        let mut command = self.command();
        command
            .args(arguments)
            .envs(environment.iter().cloned())
            .env("GATEWAY", &stack.payer.url)
            .env(
                "PAYER_KEY",
                format!("{:#x}", stack.chain.payer_key.to_bytes()),
            )
            .env("MODEL", model)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let ended = tokio::time::timeout(PATIENCE * 2, command.output()).await;
        let ended = ended.unwrap_or_else(|_| panic!("{self:?} {arguments:?} does not end"));
        ended.unwrap_or_else(|error| {
            panic!("{self:?} cannot be started: {error}; run ./scripts/setup --clients")
        })
    }

    fn command(self) -> Command {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
        let running = |program: PathBuf, file: PathBuf| {
            let mut command = Command::new(program);
            command.arg(file);
            command
        };
        match self {
            Self::Node(name) => {
                let file = folder.join(format!("ts/{name}.mjs"));
                linked(&folder.join("ts"), "GROAT_TS_CLIENTS");
                running(PathBuf::from("node"), file)
            }
            Self::Mppx(name) => {
                let file = folder.join(format!("mpp/{name}.mjs"));
                linked(&folder.join("ts"), "GROAT_TS_CLIENTS");
                linked(&folder.join("mpp"), "GROAT_MPP_CLIENT");
                running(PathBuf::from("node"), file)
            }
            Self::Python(name) => running(
                tool("GROAT_PYTHON", "--clients"),
                folder.join(format!("python/{name}.py")),
            ),
            Self::Rust => Command::new(tool("GROAT_RUST_CLIENT", "--clients")),
        }
    }
}

/// Node finds packages beside its programs alone.
fn linked(folder: &Path, packages: &str) {
    let installed = tool(packages, "--clients").canonicalize().ok();
    let linked = folder.join("node_modules").canonicalize().ok();
    let same = linked.is_some() && linked == installed;
    assert!(
        same,
        "{}/node_modules is not {packages}: run ./scripts/setup --clients",
        folder.display()
    );
}
