use super::{PATIENCE, Payer, until};
use groat::protocol::signature::Key;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::{ExitStatus, Output, Stdio};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// The built binary; killed with its owner.
pub(crate) fn groat(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_groat"));
    command
        .args(arguments)
        // The wallet's file of whoever runs the tests is none of theirs.
        .env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs a command to its end.
pub(crate) async fn ended(command: &mut Command) -> Output {
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    output
        .expect("the command ends")
        .expect("the command starts")
}

/// What a command printed on standard output and standard error.
pub(crate) fn printed(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// A client that gives up on what never answers.
pub(crate) fn http() -> reqwest::Client {
    // A second installation is refused and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(PATIENCE)
        .build()
        .expect("an HTTP client")
}

/// A running `groat dev --json`.
#[derive(Debug)]
pub(crate) struct Dev {
    /// The line that it printed.
    pub(crate) ready: Value,
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Dev {
    /// Starts it, and waits for its line; what goes wrong stands on standard error.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let mut child = groat(&["dev", "--json"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("start groat dev");
        let stdout = child.stdout.take().expect("its standard output");
        let mut stdout = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(PATIENCE, stdout.next_line())
            .await
            .expect("it becomes ready");
        let line = line
            .expect("its output can be read")
            .expect("it prints a line before it ends");
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Self {
            ready,
            child,
            stdout,
        }
    }

    /// A member of its line that is a text.
    pub(crate) fn says(&self, key: &str) -> &str {
        self.ready[key]
            .as_str()
            .unwrap_or_else(|| panic!("{key} is no text in {}", self.ready))
    }

    pub(crate) fn payer(&self) -> Payer {
        let key = Key::from_hex(self.says("payer_private_key")).expect("a private key");
        Payer {
            key,
            url: self.says("gateway").to_owned(),
            client: http(),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("a running groat dev")
    }

    /// The result of a JSON-RPC request to its chain.
    pub(crate) async fn rpc(&self, method: &str, parameters: Value) -> Value {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters});
        let request = http()
            .post(self.says("rpc"))
            .header("content-type", "application/json")
            .body(request.to_string());
        let answer = request
            .send()
            .await
            .expect("the chain answers")
            .text()
            .await
            .expect("an answer");
        serde_json::from_str::<Value>(&answer).expect("JSON")["result"].clone()
    }

    /// The ledger's report, with every call finished.
    pub(crate) async fn report(&self) -> Value {
        let client = http();
        until("every call is finished and settled", || async {
            let url = format!("{}/admin/ledger/verify", self.says("gateway"));
            let answer = client
                .get(url)
                .bearer_auth(self.says("admin_token"))
                .send()
                .await
                .ok()?;
            let report: Value = serde_json::from_str(&answer.text().await.ok()?).ok()?;
            (report["calls_open"] == 0).then_some(report)
        })
        .await
    }

    /// Sends a signal, waits for the end, and gives the lines that it printed after the first.
    pub(crate) async fn end_by(mut self, signal: &str) -> (ExitStatus, Vec<String>) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill")
            .args(["-s", signal, &pid])
            .status()
            .await
            .expect("run kill");
        assert!(sent.success());
        let status = tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .expect("it ends")
            .expect("its status");
        let mut lines = Vec::new();
        while let Ok(Some(line)) = self.stdout.next_line().await {
            lines.push(line);
        }
        (status, lines)
    }
}

/// The processes below a process, as `/proc` knows them now.
pub(crate) fn descendants(of: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        if let Some((_, parent)) = state_and_parent(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![of];
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    found.split_off(1)
}

/// Waits until none of these processes runs.
pub(crate) async fn gone(pids: &[u32]) {
    until("no process is left running", || async {
        let running = |pid: &&u32| state_and_parent(**pid).is_some_and(|(state, _)| state != "Z");
        pids.iter().find(running).is_none().then_some(())
    })
    .await;
}

fn state_and_parent(pid: u32) -> Option<(String, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces and parentheses itself.
    let mut after_name = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    Some((
        after_name.next()?.to_owned(),
        after_name.next()?.parse().ok()?,
    ))
}
