//! x402 `erc20ApprovalGasSponsoring`: wallets with neither coin nor allowance pay by an approval that
//! they only signed, and nobody gets coin for one that will not buy anything.

use crate::harness::{Answer, PATIENCE, Payer, Setup, Stack, chat, encoded, tool};
use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Address, Bytes, TxKind, U64, U256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolCall;
use groat::chain::bindings::IErc20;
use groat::protocol::addresses::PERMIT2;
use groat::protocol::permit2::erc20_approval::KEY;
use groat::protocol::permit2::{Terms, eip2612, signed_payload};
use groat::protocol::signature::Key;
use groat::protocol::x402::PaymentRequired;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use std::sync::LazyLock;
use tokio::process::Command;

const ON: &str = "[contracts]\napproval_sponsoring = true\n";
const UPTO: &str = "rails = [\"upto\"]\n";
const NOTHING: [U256; 0] = [];

/// The stand-in without the read by which clients and Groat know EIP-2612: another selector is there.
static NO_EIP2612: LazyLock<String> = LazyLock::new(|| {
    let artifact = include_str!("../../contracts/artifacts/UsdcStandIn.json");
    assert!(artifact.contains("637ecebe00"), "nonces(address) is there");
    artifact.replace("637ecebe00", "637ecebe01")
});

#[tokio::test]
async fn the_published_client_pays_by_its_signed_approval_without_coin_or_allowance() {
    let stack = default_asset().await;
    let payer = stack.payer.key.address();
    let required = stack.payer.challenge(&chat("m", "Hello", false)).await;
    let advertised = advertised(&required);
    assert!(advertised.contains(&KEY), "{advertised:?}");
    assert!(
        !advertised.contains(&eip2612::KEY),
        "a client that is told of EIP-2612 fails with a token that has none"
    );
    for prompt in ["What is a groat?", "And a penny?"] {
        let said = published_client(&stack, prompt).await;
        assert_eq!(said["status"], 200, "{said}");
        assert_ne!(said["text"], "", "{said}");
    }
    assert_eq!(gifts(&stack, payer).await.len(), 1, "the approval stands");
    let report = stack.reconcile().await;
    assert_eq!(
        (&report["calls"], &report["operations"]),
        (&json!(2), &json!(1))
    );
}

#[tokio::test]
async fn without_the_switch_no_approval_is_advertised_or_carried() {
    let stack = stack("", "").await;
    let body = chat("m", "Hello", false);
    let required = stack.payer.challenge(&body).await;
    assert!(!advertised(&required).contains(&KEY));
    let approval = Approval::of(&stack);
    let payment = payment(&stack.payer, &required, &approval.signed());
    let refused = stack.payer.send(&body, &payment).await.expect("an answer");
    assert_eq!(reason(&refused), "permit2_allowance_required");
    assert_eq!(gifts(&stack, stack.payer.key.address()).await, NOTHING);
}

#[tokio::test]
async fn an_approval_that_will_not_do_is_refused_by_name_and_no_coin_is_given() {
    let stack = stack(ON, "").await;
    let body = chat("m", "Hello", false);
    let required = stack.payer.challenge(&body).await;
    let good = Approval::of(&stack);
    let stranger = PrivateKeySigner::random();
    let broadcast = "erc20_approval_broadcast_failed";
    for (name, approval, expected) in [
        (
            "too much gas",
            Approval {
                gas: 80_001,
                ..good.clone()
            },
            broadcast,
        ),
        (
            "too little gas",
            Approval {
                gas: 30_000,
                ..good.clone()
            },
            "erc20_approval_tx_failed",
        ),
        (
            "a fee far above the market",
            Approval {
                fee: 40_000_000_000,
                ..good.clone()
            },
            broadcast,
        ),
        (
            "a nonce ahead",
            Approval {
                nonce: 1,
                ..good.clone()
            },
            broadcast,
        ),
        (
            "another spender",
            Approval {
                spender: stranger.address(),
                ..good.clone()
            },
            "erc20_approval_tx_wrong_spender",
        ),
        (
            "another signer",
            Approval {
                key: stranger.clone(),
                ..good.clone()
            },
            "erc20_approval_tx_signer_mismatch",
        ),
        (
            "coin along",
            Approval {
                coin: 1,
                ..good.clone()
            },
            "erc20_approval_tx_invalid_calldata",
        ),
    ] {
        let payment = payment(&stack.payer, &required, &approval.signed());
        let refused = stack.payer.send(&body, &payment).await.expect("an answer");
        assert_eq!(reason(&refused), expected, "{name}");
    }
    // A payment that another key signed, and a payer without tokens.
    let forger = stack.payer.with_key(key(&stranger));
    let mut forged = unencoded(&forger, &required, &good.signed());
    forged["payload"]["permit2Authorization"]["from"] = json!(stack.payer.key.address());
    let refused = stack.payer.send(&body, &encoded(&forged)).await;
    assert_eq!(
        reason(&refused.expect("an answer")),
        "invalid_permit2_signature"
    );
    let poor = Approval {
        owner: stranger.address(),
        key: stranger.clone(),
        ..good.clone()
    };
    let payment = payment(&forger, &required, &poor.signed());
    let refused = forger.send(&body, &payment).await.expect("an answer");
    assert_eq!(reason(&refused), "permit2_insufficient_balance");

    for account in [stack.payer.key.address(), stranger.address()] {
        assert_eq!(gifts(&stack, account).await, NOTHING);
    }
    assert_eq!(stack.report().await["operations"], 0);
    assert_eq!(stack.seen().await.total, 0);
}

#[tokio::test]
async fn rule_13_an_approval_serves_once_and_a_payer_is_given_coin_thrice_a_day() {
    let mut stack = stack(ON, "").await;
    let payer = stack.payer.key.address();
    let mut last = None;
    for nonce in 0..3 {
        let body = chat("m", &format!("Call {nonce}"), false);
        let required = stack.payer.challenge(&body).await;
        let approval = Approval {
            nonce,
            value: amount(&required),
            ..Approval::of(&stack)
        };
        let payment = payment(&stack.payer, &required, &approval.signed());
        let paid = stack.payer.send(&body, &payment).await.expect("an answer");
        assert_eq!(paid.status, 200, "{}", paid.body);
        assert_eq!(gifts(&stack, payer).await.len() as u64, nonce + 1);
        stack.reconcile().await;
        last = Some(approval);
        // A restart begins no new count.
        stack.gateway.kill_9().await;
        stack.gateway.start("").await;
    }
    let body = chat("m", "Call 3", false);
    let required = stack.payer.challenge(&body).await;
    let again = last.expect("an approval");
    for (approval, expected) in [
        (again.clone(), "erc20_approval_broadcast_failed"),
        (Approval { nonce: 3, ..again }, "permit2_allowance_required"),
    ] {
        let payment = payment(&stack.payer, &required, &approval.signed());
        let refused = stack.payer.send(&body, &payment).await.expect("an answer");
        assert_eq!(reason(&refused), expected);
    }
    assert_eq!(gifts(&stack, payer).await.len(), 3);
}

#[tokio::test]
async fn two_payments_at_once_are_given_coin_for_one_approval() {
    let stack = stack(ON, "").await;
    let bodies = ["one", "two"].map(|prompt| chat("m", prompt, false));
    let approval = Approval::of(&stack).signed();
    let mut payments = Vec::new();
    for body in &bodies {
        let required = stack.payer.challenge(body).await;
        payments.push(payment(&stack.payer, &required, &approval));
    }
    let (one, two) = tokio::join!(
        stack.payer.send(&bodies[0], &payments[0]),
        stack.payer.send(&bodies[1], &payments[1]),
    );
    for answer in [one, two] {
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert_eq!(gifts(&stack, stack.payer.key.address()).await.len(), 1);
    assert_eq!(stack.reconcile().await["operations"], 1);
}

#[tokio::test]
async fn killed_before_or_after_the_coin_is_out_it_is_given_once() {
    for failpoint in ["settle_sent=return", "settle_confirmed=return"] {
        let mut stack = stack(ON, failpoint).await;
        let body = chat("m", "Hello", false);
        let required = stack.payer.challenge(&body).await;
        let approval = Approval::of(&stack).signed();
        let payment = payment(&stack.payer, &required, &approval);
        let cut = stack.payer.send(&body, &payment).await;
        assert!(cut.is_err(), "{failpoint}: the gateway dies on the way");
        stack.gateway.wait().await;
        stack.gateway.start("").await;
        // The first call may have been held before the end came; the approval is the same in any case.
        let again = self::payment(&stack.payer, &required, &approval);
        let paid = stack.payer.send(&body, &again).await.expect("an answer");
        assert_eq!(paid.status, 200, "{failpoint}: {}", paid.body);
        let given = gifts(&stack, stack.payer.key.address()).await;
        assert_eq!(given.len(), 1, "{failpoint}");
        assert_eq!(stack.reconcile().await["operations"], 1);
    }
}

/// A gateway that offers `upto` alone, for a token without EIP-2612, to a payer without coin.
async fn stack(contracts: &'static str, failpoints: &'static str) -> Stack {
    let stack = Stack::with(Setup {
        payment: UPTO,
        chain: contracts,
        token: Some(NO_EIP2612.as_str()),
        failpoints,
        ..Setup::default()
    })
    .await;
    let coin = coin_of(&stack, stack.payer.key.address()).await;
    assert_eq!(coin, U256::ZERO, "the payer has no coin");
    stack
}

/// The same with the token at the address that the published client pays in unasked.
async fn default_asset() -> Stack {
    let mut stack = Stack::with(Setup {
        payment: UPTO,
        chain: ON,
        ..Setup::default()
    })
    .await;
    stack.gateway.kill_9().await;
    let installed = stack.chain.install(stack.asset, &NO_EIP2612).await;
    installed.expect("the token's code");
    stack.gateway.start("").await;
    stack
}

async fn coin_of(stack: &Stack, account: Address) -> U256 {
    let asked = stack
        .chain
        .rpc
        .request("eth_getBalance", (account, "latest"));
    asked.await.expect("a balance")
}

/// Every sum of coin that the chain's blocks send to an account by a transaction of somebody else.
async fn gifts(stack: &Stack, to: Address) -> Vec<U256> {
    let rpc = &stack.chain.rpc;
    let head = rpc.latest_block().await.expect("a block").number();
    let mut found = Vec::new();
    for number in 0..=head {
        let block: Value = rpc
            .request("eth_getBlockByNumber", (U64::from(number), true))
            .await
            .expect("a block");
        for transaction in block["transactions"].as_array().into_iter().flatten() {
            let value: U256 = serde_json::from_value(transaction["value"].clone()).expect("wei");
            let receiver: Option<Address> =
                serde_json::from_value(transaction["to"].clone()).expect("a receiver");
            if receiver == Some(to) && !value.is_zero() {
                found.push(value);
            }
        }
    }
    found
}

/// What is signed to let Permit2 take tokens, and what a test bends of it.
#[derive(Debug, Clone)]
struct Approval {
    key: PrivateKeySigner,
    owner: Address,
    chain_id: u64,
    asset: Address,
    spender: Address,
    value: U256,
    nonce: u64,
    gas: u64,
    fee: u128,
    coin: u64,
}

impl Approval {
    /// As the published client signs it.
    fn of(stack: &Stack) -> Self {
        Self {
            key: stack.chain.payer_key.clone(),
            owner: stack.chain.payer_key.address(),
            chain_id: stack.chain.chain_id,
            asset: stack.asset,
            spender: PERMIT2,
            value: U256::MAX,
            nonce: 0,
            gas: 70_000,
            fee: 2_000_000_000,
            coin: 0,
        }
    }

    /// What goes into the extension's `info`.
    fn signed(&self) -> Value {
        let call = IErc20::approveCall {
            spender: self.spender,
            value: self.value,
        };
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce: self.nonce,
            gas_limit: self.gas,
            max_fee_per_gas: self.fee,
            max_priority_fee_per_gas: 100_000_000,
            to: TxKind::Call(self.asset),
            value: U256::from(self.coin),
            input: call.abi_encode().into(),
            ..TxEip1559::default()
        };
        let signature = self
            .key
            .sign_hash_sync(&transaction.signature_hash())
            .expect("a signature");
        let raw: Bytes = TxEnvelope::from(transaction.into_signed(signature))
            .encoded_2718()
            .into();
        json!({
            "from": self.owner,
            "asset": self.asset,
            "spender": PERMIT2,
            "amount": self.value.to_string(),
            "signedTransaction": raw,
        })
    }
}

fn advertised(required: &PaymentRequired) -> Vec<&str> {
    let extensions = required.extensions.iter().flatten();
    extensions.map(|(key, _)| key.as_str()).collect()
}

fn amount(required: &PaymentRequired) -> U256 {
    U256::from(required.accepts[0].amount.atomic())
}

fn key(signer: &PrivateKeySigner) -> Key {
    Key::from_hex(&format!("{:#x}", signer.to_bytes())).expect("a key")
}

fn payment(payer: &Payer, required: &PaymentRequired, approval: &Value) -> String {
    encoded(&unencoded(payer, required, approval))
}

/// A payment of the first offer by Permit2, with the members of an approval in its extension.
fn unencoded(payer: &Payer, required: &PaymentRequired, approval: &Value) -> Value {
    let offer = &required.accepts[0];
    let terms = Terms::of(offer).expect("terms");
    let deadline = groat::clock::now_ms() / 1000 + offer.max_timeout_seconds;
    let nonce = U256::from_be_bytes(rand::random::<[u8; 32]>());
    let authorization = terms.authorization(payer.key.address(), nonce, deadline);
    let mut extensions = json!(required.extensions);
    for (member, value) in approval.as_object().into_iter().flatten() {
        extensions[KEY]["info"][member] = value.clone();
    }
    extensions[KEY]["info"]["version"] = json!("1");
    json!({
        "x402Version": 2,
        "resource": required.resource,
        "accepted": offer,
        "payload": signed_payload(&payer.key, &authorization, &terms),
        "extensions": extensions,
    })
}

/// The reason of a refused payment.
fn reason(answer: &Answer) -> String {
    assert_eq!(answer.status, 402, "{}", answer.body);
    answer.reason()
}

/// Runs the published client with the chain as its RPC; its one line of JSON.
async fn published_client(stack: &Stack, prompt: &str) -> Value {
    tool("GROAT_TS_CLIENTS", "--clients");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/ts/x402-fetch-v2.mjs");
    let secret = format!("{:#x}", stack.chain.payer_key.to_bytes());
    let ran = Command::new("node")
        .arg(program)
        .args(["whole", prompt])
        .env("GATEWAY", &stack.payer.url)
        .env("PAYER_KEY", secret)
        .env("MODEL", "m")
        .env("RPC", &stack.chain.rpc_url)
        .env("SCHEMES", "upto")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, ran).await;
    let output = output.expect("it ends").expect("node");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_str(&text(&output.stdout)).expect("a line of JSON")
}
