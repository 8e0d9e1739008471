//! `groat pay` and `groat wallet` against the built gateway: what they refuse, what they remember.

use crate::harness::{Setup, Stack, ended, groat, printed, until};
use alloy::primitives::{Address, U256};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Output;

/// A wallet in a folder of its own.
struct Wallet<'a> {
    stack: &'a Stack,
    folder: tempfile::TempDir,
}

impl<'a> Wallet<'a> {
    fn of(stack: &'a Stack) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { stack, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("wallet.json")
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let key = format!("{:#x}", self.stack.chain.payer_key.to_bytes());
        let mut command = groat(arguments);
        ended(command.env("GROAT_WALLET_KEY", key)).await
    }

    /// A command that pays.
    async fn paying(&self, arguments: &[&str]) -> Output {
        let file = self.file();
        let file = file.to_str().expect("a path");
        let mut all = arguments.to_vec();
        all.extend(["--url", &self.stack.payer.url, "--state", file]);
        self.run(&all).await
    }

    async fn pay(&self, arguments: &[&str]) -> Output {
        let mut all = vec!["pay", "-m", "m"];
        all.extend(arguments);
        all.push("hello");
        self.paying(&all).await
    }

    fn state(&self) -> Value {
        let text = std::fs::read_to_string(self.file()).expect("the wallet's file");
        serde_json::from_str(&text).expect("JSON")
    }

    fn change(&self, pointer: &str, value: Value) {
        let mut state = self.state();
        *state.pointer_mut(pointer).expect("a member") = value;
        std::fs::write(self.file(), state.to_string()).expect("the wallet's file");
    }

    fn rpc(&self) -> &str {
        &self.stack.chain.rpc_url
    }
}

fn succeeded(output: &Output) -> (String, String) {
    let (said, complaints) = printed(output);
    assert!(output.status.success(), "{said}{complaints}");
    (said, complaints)
}

fn failed(output: &Output, why: &str) {
    let (said, complaints) = printed(output);
    assert!(!output.status.success(), "{said}");
    assert!(complaints.contains(why), "no {why:?} in {complaints}");
}

#[tokio::test]
async fn the_wallet_remembers_whom_it_paid_and_who_signed_and_takes_no_other() {
    let stack = Stack::usual().await;
    let wallet = Wallet::of(&stack);
    let (_, complaints) = succeeded(&wallet.pay(&["--rail", "exact"]).await);
    assert!(
        complaints.contains("paying by exact: it was asked for"),
        "{complaints}"
    );
    let peer = wallet.state()["peers"][0].clone();
    assert_eq!(peer["payee"], json!(stack.chain.pay_to_key.address()));
    assert_eq!(peer["origin"], json!(stack.payer.url));
    assert!(peer["receipt_signer"].is_string(), "{peer}");
    let text = wallet.state().to_string();
    let secret = hex::encode(stack.chain.payer_key.to_bytes());
    assert!(!text.contains(&secret), "the key is not in the file");

    let other = json!(Address::repeat_byte(7));
    wallet.change("/peers/0/payee", other.clone());
    failed(
        &wallet.pay(&[]).await,
        "but was 0x0707070707070707070707070707070707070707 so far",
    );
    wallet.change("/peers/0/payee", peer["payee"].clone());
    wallet.change("/peers/0/receipt_signer", other);
    failed(
        &wallet.pay(&["--rail", "exact"]).await,
        "receipts were signed by 0x07",
    );
    succeeded(&wallet.pay(&["--rail", "exact", "--accept-payee"]).await);
    assert_eq!(
        wallet.state()["peers"][0],
        peer,
        "the new ones are remembered"
    );
    let report = stack.reconcile().await;
    assert_eq!(
        report["calls"], 3,
        "nothing was signed for the changed payee"
    );
}

#[tokio::test]
async fn an_answer_in_one_piece_is_paid_and_receipted_as_well() {
    let stack = Stack::usual().await;
    let wallet = Wallet::of(&stack);
    let (streamed, _) = succeeded(&wallet.pay(&["--rail", "exact"]).await);
    let (whole, _) = succeeded(&wallet.pay(&["--rail", "exact", "--whole"]).await);
    let text = |said: &str| said.lines().nth(1).map(str::to_owned);
    assert!(text(&whole).is_some_and(|text| !text.is_empty()), "{whole}");
    assert_eq!(text(&whole), text(&streamed));
}

#[tokio::test]
async fn an_unknown_asset_is_refused_until_it_is_allowed() {
    let artifact = include_str!("../../contracts/artifacts/UsdcStandIn.json");
    let stack = Stack::with(Setup {
        token: Some(artifact),
        ..Setup::default()
    })
    .await;
    let wallet = Wallet::of(&stack);
    failed(&wallet.pay(&[]).await, "is not one this wallet knows");
    assert!(!wallet.file().exists(), "nothing was begun");
    let asset = stack.asset.to_string();
    let allowed = ["--rail", "exact", "--asset", &asset];
    let (said, _) = succeeded(&wallet.pay(&allowed).await);
    assert!(said.contains(" tokens on eip155:84532, to "), "{said}");
}

#[tokio::test]
async fn the_node_must_be_of_the_chain_that_is_paid_on() {
    let stack = Stack::usual().await;
    let wallet = Wallet::of(&stack);
    let answer = |body: String| async move {
        let id = serde_json::from_str::<Value>(&body).expect("JSON")["id"].clone();
        json!({"jsonrpc": "2.0", "id": id, "result": "0x1"}).to_string()
    };
    let node = axum::Router::new().route("/", axum::routing::post(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let node = tokio::spawn(async move { axum::serve(listener, node).await });
    let refused = wallet.pay(&["--rpc-url", &url]).await;
    failed(&refused, "the node serves chain 1, not 84532");
    node.abort();
    succeeded(
        &wallet
            .pay(&["--rail", "exact", "--rpc-url", wallet.rpc()])
            .await,
    );
    assert_eq!(stack.reconcile().await["calls"], 1);
}

#[tokio::test]
async fn the_wallet_shows_what_it_has_and_approves_permit2() {
    let stack = Stack::usual().await;
    let wallet = Wallet::of(&stack);
    let payer = stack.chain.payer_key.address();
    let (said, _) = succeeded(&wallet.run(&["wallet", "address"]).await);
    assert_eq!(said.trim(), payer.to_string());
    let balance = ["wallet", "balance", "--rpc-url", wallet.rpc()];
    let (said, _) = succeeded(&wallet.run(&balance).await);
    assert!(
        said.contains("10000, of which Permit2 may move 0"),
        "{said}"
    );
    let approve = ["wallet", "approve", "--rpc-url", wallet.rpc()];
    failed(&wallet.run(&approve).await, "funds");
    let ether = U256::from(10_u64.pow(18));
    stack
        .chain
        .fund(payer, ether)
        .await
        .expect("gas for the payer");
    let (said, _) = succeeded(&wallet.run(&approve).await);
    assert!(said.starts_with("approved in 0x"), "{said}");
    let (said, _) = succeeded(&wallet.run(&balance).await);
    assert!(
        said.contains("10000, of which Permit2 may move 10000"),
        "{said}"
    );
    let (said, _) = succeeded(&wallet.paying(&["wallet", "channels"]).await);
    assert!(said.contains("no channels"), "{said}");
    failed(
        &wallet.paying(&["wallet", "close"]).await,
        "knows no such channel",
    );
}

#[tokio::test]
async fn a_rail_that_is_not_offered_is_not_replaced_by_another() {
    let stack = Stack::usual().await;
    let wallet = Wallet::of(&stack);
    failed(
        &wallet.pay(&["--rail", "exact-permit2"]).await,
        "exact-permit2 is not offered",
    );
    failed(
        &wallet.pay(&["--rail", "cash"]).await,
        "the rails are exact, upto",
    );
    failed(
        &wallet.pay(&["--deposit", "1"]).await,
        "--deposit goes with",
    );
    assert_eq!(stack.reconcile().await["calls"], 0);
}

#[tokio::test]
async fn with_a_node_to_ask_it_pays_by_upto_and_only_the_bill() {
    let stack = Stack::usual().await;
    let wallet = Wallet::of(&stack);
    let payer = stack.chain.payer_key.address();
    let tokens = || stack.chain.balance_of(stack.asset, payer);
    let before = tokens().await.expect("a balance");
    let receipt = wallet.folder.path().join("receipt.json");
    let to_file = receipt.to_str().expect("a path");
    let mut charged = 0;
    for more in [&[][..], &["--whole"][..]] {
        let mut arguments = vec!["--rpc-url", wallet.rpc(), "--receipt", to_file];
        arguments.extend(more);
        let (_, complaints) = succeeded(&wallet.pay(&arguments).await);
        assert!(
            complaints.contains("paying by upto: only the bill is taken"),
            "{complaints}"
        );
        let text = std::fs::read_to_string(&receipt).expect("a receipt");
        let receipt: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(receipt["rail"], "x402-upto");
        charged += receipt["charged"]
            .as_str()
            .expect("text")
            .parse::<u64>()
            .expect("a number");
    }
    until("both calls are settled", || async {
        let report = stack.report().await;
        assert_eq!(report["faults"], json!([]), "{report}");
        (report["calls"] == 2 && report["calls_open"] == 0).then_some(())
    })
    .await;
    let spent = before - tokens().await.expect("a balance");
    assert_eq!(spent, U256::from(charged), "the bills and nothing else");
}

#[tokio::test]
async fn a_channel_is_opened_used_listed_topped_up_and_closed_and_what_left_is_the_bills() {
    let stack = Stack::usual().await;
    let wallet = Wallet::of(&stack);
    let payer = stack.chain.payer_key.address();
    let tokens = || stack.chain.balance_of(stack.asset, payer);
    let before = tokens().await.expect("a balance");
    let open = ["wallet", "open", "-m", "m", "--deposit", "0.5"];
    failed(
        &wallet
            .paying(&["wallet", "top-up", "-m", "m", "--deposit", "0.5"])
            .await,
        "no open channel",
    );
    succeeded(&wallet.paying(&open).await);
    failed(&wallet.paying(&open).await, "there is an open channel");
    failed(
        &wallet
            .paying(&["wallet", "top-up", "-m", "m", "--deposit", "1.5"])
            .await,
        "at most --max 1",
    );
    for more in [&[][..], &["--whole"][..], &["--rpc-url", wallet.rpc()][..]] {
        let (_, complaints) = succeeded(&wallet.pay(more).await);
        assert!(
            complaints.contains("an open channel has room"),
            "{complaints}"
        );
    }
    succeeded(
        &wallet
            .paying(&["wallet", "top-up", "-m", "m", "--deposit", "0.25"])
            .await,
    );
    let (said, _) = succeeded(
        &wallet
            .paying(&["wallet", "channels", "--rpc-url", wallet.rpc()])
            .await,
    );
    assert!(said.contains("0.75 deposited"), "{said}");
    let channel = wallet.state()["peers"][0]["channels"][0].clone();
    assert_eq!(channel["open_call"], Value::Null);
    succeeded(&wallet.paying(&["wallet", "close"]).await);
    let charged = channel["book"]["charged"]
        .as_str()
        .expect("text")
        .parse::<u64>()
        .expect("a number");
    let after = tokens().await.expect("a balance");
    assert_eq!(
        before - after,
        U256::from(charged),
        "the bills and nothing else"
    );
}
