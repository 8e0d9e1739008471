use crate::harness::{PATIENCE, chat, ended, groat, http, printed};
use serde_json::Value;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

#[tokio::test]
async fn every_command_explains_itself() {
    let mut commands = vec![vec![]];
    let mut explained = 0;
    while let Some(command) = commands.pop() {
        let output = ended(groat(&command).arg("--help")).await;
        let (said, complaints) = printed(&output);
        assert_eq!(output.status.code(), Some(0), "{command:?}: {complaints}");
        assert!(said.contains("Usage: groat"), "{command:?}: {said}");
        commands.extend(below(&said).map(|name| [command.as_slice(), &[name]].concat()));
        explained += 1;
    }
    assert!(
        explained >= 12,
        "serve, check, dev, pay, sim, receipt verify, ledger verify and export: {explained}"
    );
    let version = ended(&mut groat(&["--version"])).await;
    assert_eq!(
        printed(&version).0.trim(),
        concat!("groat ", env!("CARGO_PKG_VERSION"))
    );
}

/// The subcommands that a help text lists; leaked, as there are a dozen short names.
fn below(help: &str) -> impl Iterator<Item = &'static str> {
    let listed = help
        .split_once("Commands:\n")
        .map_or("", |(_, listed)| listed);
    let lines = listed.lines().take_while(|line| !line.is_empty());
    let names = lines
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    let names: Vec<&'static str> = names
        .filter(|name| *name != "help")
        .map(|name| &*name.to_owned().leak())
        .collect();
    names.into_iter()
}

#[tokio::test]
async fn the_simulator_serves_by_itself() {
    let mut child = groat(&["sim", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("start groat sim");
    let stdout = child.stdout.take().expect("its standard output");
    let line = BufReader::new(stdout)
        .lines()
        .next_line()
        .await
        .expect("its output")
        .expect("a line");
    let url = line
        .split_whitespace()
        .last()
        .expect("an address")
        .to_owned();
    let client = http();
    let request = client
        .post(format!("{url}/chat/completions"))
        .header("content-type", "application/json");
    let answer = request
        .body(chat("sim/echo", "four pence", false))
        .send()
        .await
        .expect("an answer");
    let answer: Value = serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON");
    assert_eq!(answer["choices"][0]["message"]["content"], "four pence");
    let pid = child.id().expect("a running simulator").to_string();
    assert!(
        Command::new("kill")
            .args(["-s", "TERM", &pid])
            .status()
            .await
            .expect("run kill")
            .success()
    );
    let status = tokio::time::timeout(PATIENCE, child.wait())
        .await
        .expect("it ends")
        .expect("its status");
    assert_eq!(status.code(), Some(0));
}
