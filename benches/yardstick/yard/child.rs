//! Programs that are measured, each a process of its own that ends with this one.

use super::Outcome;
use groat::chain::dev::leashed;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

/// How long a program may take until it is ready.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A running program; it is killed, with all below it, when this is dropped.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    /// Its process id, and that of its group.
    pid: u32,
}

impl Program {
    /// Starts a leashed command that says nothing of use.
    pub(crate) fn start(command: &mut Command) -> Outcome<Self> {
        let child = command.stdout(std::process::Stdio::null()).spawn()?;
        Self::of(child)
    }

    /// Starts a leashed command, and waits for its line that begins with `ready`; gives the rest of it.
    pub(crate) async fn ready(command: &mut Command) -> Outcome<(Self, String)> {
        let mut child = command.stdout(std::process::Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let program = Self::of(child)?;
        let mut lines = BufReader::new(stdout).lines();
        let said = async {
            while let Some(line) = lines.next_line().await? {
                if let Some(rest) = line.strip_prefix("ready") {
                    return Ok(rest.trim().to_owned());
                }
            }
            Err("it ended before it was ready".into())
        };
        let said: Outcome<String> = match tokio::time::timeout(START_TIMEOUT, said).await {
            Ok(said) => said,
            Err(_) => Err("it is not ready within two minutes".into()),
        };
        let said = said?;
        // It would block or die if nobody read what more it says.
        tokio::spawn(async move {
            let mut rest = lines.into_inner();
            let mut scrap = [0; 8192];
            while matches!(rest.read(&mut scrap).await, Ok(1..)) {}
        });
        Ok((program, said))
    }

    fn of(child: Child) -> Outcome<Self> {
        let pid = child.id().ok_or("it ended at once")?;
        Ok(Self { child, pid })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(status.to_string())
    }

    /// Asks it to end in order, and waits for that.
    pub(crate) async fn stop(mut self) {
        // To wait for it is to close its standard input, which is its leash.
        let leash = self.child.stdin.take();
        let pid = self.pid.to_string();
        let asked = Command::new("kill").args(["-s", "TERM", &pid]).status();
        let _ = asked.await;
        let _ = tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await;
        drop(leash);
    }
}

impl Drop for Program {
    /// Workers may outlive who started them, and would run beside everything that is measured next.
    fn drop(&mut self) {
        let mut kill = std::process::Command::new("kill");
        kill.args(["-s", "KILL", "--", &format!("-{}", self.pid)]);
        let _ = kill.stderr(std::process::Stdio::null()).status();
    }
}

/// Waits until a URL answers with success, unless its program ends before.
pub(crate) async fn answers(program: &mut Program, url: &str) -> Outcome<()> {
    let client = client()?;
    let asked = async {
        loop {
            if let Some(status) = program.ended() {
                return Err(format!("it ended: {status}"));
            }
            let answer = client.get(url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(START_TIMEOUT, asked).await {
        Ok(answered) => Ok(answered?),
        Err(_) => Err(format!("{url} does not answer").into()),
    }
}

/// A leashed command whose program and arguments are as seen from a folder.
pub(crate) fn leashed_in(words: &[String], folder: &Path) -> Outcome<Command> {
    let (program, arguments) = words.split_first().ok_or("an empty command")?;
    let mut command = leashed(&seen_from(folder, program));
    command.args(arguments).current_dir(folder);
    Ok(command)
}

/// A program as it is to be started from elsewhere than the folder that it is named from.
pub(crate) fn seen_from(folder: &Path, program: &str) -> PathBuf {
    match program.contains('/') {
        true => folder.join(program),
        false => program.into(),
    }
}

/// A client for everything that is not measured.
pub(crate) fn client() -> Outcome<reqwest::Client> {
    // A second installation is refused and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().timeout(START_TIMEOUT).build()?)
}

/// A port that is free now.
pub(crate) fn free_port() -> Outcome<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.port())
}

/// Where a program lies that the system may have.
pub(crate) fn which(name: &str) -> Option<std::path::PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    let mut found = folders.iter().map(|folder| Path::new(folder).join(name));
    found.find(|path| path.exists())
}
