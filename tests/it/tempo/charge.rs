//! `tempo/charge`: one transfer a call, by the published clients, its gas paid by them or by us.

use super::stack::{Client, Tempo};
use crate::harness::{PATIENCE, chat, tool, total};
use alloy::primitives::U256;
use serde_json::Value;
use std::process::Stdio;
use tokio::process::Command;

const CHARGE: &str = "\"tempo-charge\"";

/// What a call held, and what it was charged, by its receipt.
fn paid(receipt: &Value) -> (u64, u64) {
    let units = |member: &str| {
        let text = receipt[member].as_str().unwrap_or_default();
        text.parse()
            .unwrap_or_else(|_| panic!("{member}: {receipt}"))
    };
    (units("held"), units("charged"))
}

/// A client, its mode, and more of its environment.
type Call = (
    Client,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// Every client pays, whole and streamed; answers what was held and charged in all.
async fn all_pay(tempo: &Tempo, calls: &[Call]) -> (u64, u64) {
    let mut sums = (0, 0);
    for (client, mode, environment) in calls {
        let arguments: Vec<&str> = match client {
            Client::MppRs => vec!["charge", mode, "What is a groat?"],
            Client::Mppx | Client::Pympp => vec![mode, "What is a groat?"],
        };
        let said = tempo.run(*client, &arguments, environment).await;
        let said = said.unwrap_or_else(|problem| panic!("{client:?} {mode}: {problem}"));
        let what = format!("{client:?} {mode}: {said}");
        assert_eq!(said["status"], 200, "{what}");
        let text = said["text"].as_str();
        assert!(text.is_some_and(|text| !text.is_empty()), "{what}");
        let receipt = &said["usage"]["receipt"];
        assert_eq!(receipt["settlement"]["status"], "settled", "{what}");
        let told = &said["payment_receipt"];
        assert_eq!(told["method"], "tempo", "{what}");
        assert_eq!(
            told["reference"], receipt["settlement"]["transaction"],
            "{what}"
        );
        let (held, charged) = paid(receipt);
        assert!(0 < charged && charged <= held, "{what}");
        sums = (sums.0 + held, sums.1 + charged);
    }
    sums
}

#[tokio::test]
async fn published_clients_pay_by_one_transfer_and_its_change_is_credit() {
    let tempo = Tempo::with(CHARGE, "").await;
    let payee = tempo.chain.pay_to_key.address();
    let before = tempo.chain.balance_of(payee).await.expect("a balance");
    let push: &[_] = &[("MODE", "push")];
    let calls: [Call; 6] = [
        (Client::MppRs, "whole", &[]),
        (Client::MppRs, "stream", &[]),
        (Client::Mppx, "whole", &[]),
        (Client::Mppx, "stream", push),
        (Client::Pympp, "whole", &[]),
        (Client::Pympp, "stream", &[]),
    ];
    let (held, charged) = all_pay(&tempo, &calls).await;
    let after = tempo.chain.balance_of(payee).await.expect("a balance");
    assert_eq!(
        after - before,
        U256::from(held),
        "the chain moved the ceilings"
    );
    assert_eq!(tempo.seen().await.total, calls.len() as u64);
    let report = tempo.reconcile().await;
    assert_eq!(report["calls"], calls.len());
    assert_eq!(total(&report, "settled"), held as i64);
    assert_eq!(total(&report, "captured"), charged as i64);
    assert_eq!(total(&report, "available"), (held - charged) as i64);
}

#[tokio::test]
async fn gas_is_paid_for_where_the_operator_wants_that() {
    let sponsor = alloy::signers::local::PrivateKeySigner::random();
    let key = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(key.path(), format!("{:#x}", sponsor.to_bytes())).expect("a key");
    let more = format!(
        "[tempo]\nfee_payer_key = {{ file = \"{}\" }}\n",
        key.path().display()
    );
    let tempo = Tempo::with(CHARGE, &more).await;
    let funds = U256::from(1_000_000);
    let given = tempo.chain.give(sponsor.address(), funds).await;
    given.expect("money for gas");
    let payer = tempo.chain.payer_key.address();
    let before = tempo.chain.balance_of(payer).await.expect("a balance");
    let calls: [Call; 3] = [
        (Client::MppRs, "whole", &[]),
        (Client::Mppx, "stream", &[]),
        (Client::Pympp, "whole", &[]),
    ];
    let (held, _) = all_pay(&tempo, &calls).await;
    let after = tempo.chain.balance_of(payer).await.expect("a balance");
    assert_eq!(before - after, U256::from(held), "payers pay no gas");
    let left = tempo.chain.balance_of(sponsor.address()).await;
    assert!(left.expect("a balance") < funds, "we do");
    tempo.reconcile().await;
}

/// mppx's own command.
async fn mppx(tempo: &Tempo, arguments: &[&str]) -> (bool, String) {
    let key = format!("{:#x}", tempo.chain.payer_key.to_bytes());
    let ran = Command::new("node")
        .arg(tool("GROAT_MPP_CLIENT", "--clients").join(".bin/mppx"))
        .args(arguments)
        .env("MPPX_PRIVATE_KEY", key)
        .env("MPPX_RPC_URL", &tempo.chain.rpc_url)
        .env("NO_UPDATE_NOTIFIER", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ran = tokio::time::timeout(PATIENCE * 2, ran).await;
    let ran = ran.expect("mppx ends").expect("mppx starts");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    (ran.status.success(), said)
}

#[tokio::test]
async fn the_command_of_mppx_pays_on_tempo_and_finds_nothing_wrong() {
    let tempo = Tempo::with(CHARGE, "").await;
    let url = format!("{}/v1/chat/completions", tempo.url);
    let body = chat("m", "What is a groat?", false);
    let (paid, said) = mppx(&tempo, &[&url, "--json-body", &body, "--silent"]).await;
    assert!(paid && said.contains("receipt"), "{said}");
    assert_eq!(tempo.reconcile().await["calls"], 1);
    let (_, said) = mppx(&tempo, &["validate", &tempo.url, "-j", "-y"]).await;
    let report: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
    // It pays itself only with money of a public faucet, which is not here.
    assert_eq!(report["summary"]["failed"], 1, "{said}");
    assert!(
        said.contains("Failed to create and fund testnet wallet"),
        "{said}"
    );
    assert!(report["summary"]["passed"].as_u64() > Some(10), "{said}");
}
