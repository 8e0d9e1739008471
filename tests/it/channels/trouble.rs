//! Channels while the chain is silent (rule 8), and payers that are contracts.

use super::client::{Client, units};
use super::setup;
use crate::chain_trouble::proxy::{Mood, Proxy};
use crate::harness::{Answer, Setup, Stack, chat, until};
use alloy::primitives::{Address, U256};
use alloy::sol_types::SolCall;
use groat::chain::bindings::IErc20;
use groat::protocol::addresses::PERMIT2;
use groat::protocol::permit2::eip2612::{self, Permit, TokenDomain};
use serde_json::json;

const CONTRACT_WALLET: &str = include_str!("../../../contracts/artifacts/ContractWallet.json");
const NO_WALLET: &str = include_str!("../../../contracts/artifacts/QuietToken.json");

alloy::sol! {
    function init(address firstOwner) external;
    function nonces(address owner) external view returns (uint256);
}

/// A gateway that sees the chain through a proxy.
pub(super) async fn behind_a_proxy(lines: &'static str) -> (Stack, Proxy) {
    let mut stack = Stack::with(Setup {
        payment: lines,
        chain: "rpc_timeout_ms = 300",
        ..setup()
    })
    .await;
    let node = stack.chain.rpc_url.clone();
    let proxy = Proxy::before(&node).await;
    stack.gateway.kill_9().await;
    let through = proxy.url.clone();
    stack
        .gateway
        .rewrite_config(|config| config.replace(&node, &through));
    stack.gateway.start("").await;
    (stack, proxy)
}

fn code(answer: &Answer) -> String {
    answer.json()["error"]["code"]
        .as_str()
        .unwrap_or("none")
        .to_owned()
}

#[tokio::test]
async fn vouchers_need_no_node_while_the_channel_was_seen_lately() {
    let (stack, proxy) = behind_a_proxy("rails = [\"batch-settlement\"]\n").await;
    let mut client = Client::new(&stack);
    client.pay(&chat("m", "one", false)).await;
    proxy.turn(Mood::Down);
    for round in 0..6 {
        client
            .pay(&chat("m", &format!("{round}"), round % 2 == 0))
            .await;
    }
    let heard = client.book.charged;
    proxy.turn(Mood::Honest);
    assert_eq!(client.refund(None).await.status, 200);
    assert!(heard > units(0));
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn rule_8_a_deposit_that_the_node_shows_a_moment_late_pays_all_the_same() {
    let (mut stack, proxy) = behind_a_proxy("rails = [\"batch-settlement\"]\n").await;
    stack.gateway.kill_9().await;
    stack.gateway.start("settle_confirmed=return").await;
    let mut client = Client::new(&stack);
    let body = chat("m", "hello", false);
    let signed = client.sign(&body).await;
    let died = client.payer.send(&body, &signed.header).await;
    assert!(died.is_err(), "{died:?}");
    stack.gateway.wait().await;
    stack.gateway.start("").await;
    // Unspent, says the node of one block, and in the next the simulation reverts.
    proxy.turn(Mood::UnspentOnce);
    let answer = client.payer.send(&body, &signed.header).await.expect("one");
    assert_eq!(answer.status, 200, "{answer:?}");
    proxy.turned(Mood::Honest).await;
    client.read(&signed, &answer);
    client.pay(&chat("m", "more", false)).await;
    assert_eq!(stack.books().await["balance"], "1000000");
}

#[tokio::test]
async fn rule_8_a_deposit_into_silence_is_pending_and_is_made_once() {
    let lines = "settlement_patience_ms = 500\nrails = [\"batch-settlement\"]\n";
    for mood in [
        Mood::Down,
        Mood::Slow,
        Mood::DownAfterBroadcast,
        Mood::SlowBroadcasts,
    ] {
        let (stack, proxy) = behind_a_proxy(lines).await;
        let payer = stack.payer.key.address();
        let funds = stack.balance(payer).await;
        let mut client = Client::new(&stack);
        let body = chat("m", "hello", false);
        let signed = client.sign(&body).await;
        proxy.turn(mood);
        let first = client.payer.send(&body, &signed.header).await.expect("one");
        if first.status != 200 {
            assert_eq!(
                first.status, 503,
                "{mood:?}: never a fresh challenge: {first:?}"
            );
            let known = ["chain_unavailable", "settlement_pending"];
            assert!(
                known.contains(&code(&first).as_str()),
                "{mood:?}: {first:?}"
            );
        }
        proxy.turn(Mood::Honest);
        let answer = until("the same payment is answered", || async {
            let answer = client.payer.send(&body, &signed.header).await.expect("one");
            match answer.status.as_u16() {
                200 => Some(answer),
                503 => None,
                _ => panic!("{mood:?}: {answer:?}"),
            }
        })
        .await;
        client.read(&signed, &answer);
        let bill = super::client::bill(&answer);
        assert_eq!(stack.balance(payer).await, funds - 1_000_000, "{mood:?}");
        assert_eq!(client.refund(None).await.status, 200);
        assert_eq!(stack.balance(payer).await, funds - bill, "{mood:?}");
    }
}

/// A wallet that is a contract of the payer's, with tokens.
pub(crate) async fn wallet(stack: &Stack) -> Address {
    let wallet = Address::repeat_byte(0xc7);
    let owner = stack.payer.key.address();
    let chain = &stack.chain;
    chain.install(wallet, CONTRACT_WALLET).await.expect("code");
    let init = initCall { firstOwner: owner }.abi_encode();
    chain
        .send_as(owner, wallet, init.into())
        .await
        .expect("an owner");
    let funds = U256::from(5_000_000);
    chain
        .mint(stack.asset, wallet, funds)
        .await
        .expect("tokens");
    wallet
}

#[tokio::test]
async fn a_wallet_that_is_a_contract_pays_by_vouchers_that_it_judges_itself() {
    let stack = Stack::with(setup()).await;
    let wallet = wallet(&stack).await;
    let mut client = Client::new(&stack);
    client.account = Some(wallet);
    let mut bills = client.pay(&chat("m", "one", false)).await;
    bills += client.pay(&chat("m", "two", true)).await;
    bills += client.pay(&chat("m", "three", false)).await;
    let mut stranger = client.clone();
    stranger.payer.key = groat::protocol::signature::Key::from_bytes(&[9; 32]).expect("a key");
    let body = chat("m", "four", false);
    let signed = stranger.sign(&body).await;
    let refused = client.payer.send(&body, &signed.header).await.expect("one");
    assert_eq!(
        refused.reason(),
        "invalid_batch_settlement_evm_voucher_signature"
    );
    assert_eq!(client.refund(None).await.status, 200);
    assert_eq!(stack.balance(wallet).await, 5_000_000 - bills);
    stack.admin("/settle").await;
    stack.reconcile().await;
}

#[tokio::test]
async fn a_voucher_that_went_bad_costs_the_other_channels_nothing() {
    let stack = Stack::with(setup()).await;
    let wallet = wallet(&stack).await;
    let mut good = Client::new(&stack);
    let bill = good.pay(&chat("m", "one", false)).await;
    let mut bad = Client::new(&stack);
    bad.account = Some(wallet);
    bad.pay(&chat("m", "two", false)).await;
    stack
        .chain
        .install(wallet, NO_WALLET)
        .await
        .expect("other code");
    let claimed = stack.admin("/claim").await;
    let outcomes: Vec<&str> = claimed["operations"]
        .as_array()
        .expect("operations")
        .iter()
        .filter_map(|operation| operation["settlement"].as_str())
        .collect();
    assert!(
        outcomes.contains(&"confirmed") && outcomes.contains(&"failed"),
        "{claimed}"
    );
    let state = stack.on_chain(good.channel().await).await;
    assert_eq!(state.total_claimed, u128::from(bill));
    let state = stack.on_chain(bad.channel().await).await;
    assert_eq!(state.total_claimed, 0);
}

#[tokio::test]
async fn deposits_by_permit2_need_an_allowance_or_a_permit_that_comes_along() {
    let stack = Stack::with(Setup {
        payment: "rails = [\"batch-settlement\"]\n[channels]\ndeposit_by = \"permit2\"\n",
        ..setup()
    })
    .await;
    let payer = stack.payer.key.address();
    let funds = stack.balance(payer).await;
    let mut client = Client::new(&stack);
    let body = chat("m", "one", false);
    let refused = client
        .payer
        .send(&body, &client.sign(&body).await.header)
        .await;
    let reason = refused.expect("an answer").reason();
    assert_eq!(
        reason,
        "invalid_batch_settlement_evm_permit2_allowance_required"
    );

    let required = client.payer.challenge(&body).await;
    let offer = super::client::offer(&required).clone();
    let ask = noncesCall { owner: payer }.abi_encode();
    let nonce = stack
        .chain
        .rpc
        .call(stack.asset, &ask.into())
        .await
        .expect("one");
    let permit = Permit {
        from: payer,
        asset: stack.asset,
        spender: PERMIT2,
        amount: U256::from(1_000_000),
        nonce: U256::from_be_slice(&nonce),
        deadline: U256::from(groat::clock::now_ms() / 1000 + 300),
    };
    let token = TokenDomain::of(&offer).expect("a token's domain");
    let permit = eip2612::sign(&stack.payer.key, permit, &token);
    let mut with_permit = required.clone();
    let extensions = with_permit.extensions.as_mut().expect("extensions");
    let advertised = extensions
        .get(eip2612::KEY)
        .expect("it is advertised")
        .clone();
    let echoed = eip2612::echo_with_permit(&advertised, &permit);
    extensions.insert(eip2612::KEY.to_owned(), echoed);
    let signed = client.sign_for(&with_permit);
    let answer = client.payer.send(&body, &signed.header).await.expect("one");
    assert_eq!(answer.status, 200, "{answer:?}");
    client.read(&signed, &answer);
    let mut bills = super::client::bill(&answer);
    assert_eq!(stack.balance(payer).await, funds - 1_000_000);

    // A top-up under an allowance that stands.
    let approve = IErc20::approveCall {
        spender: PERMIT2,
        value: U256::MAX,
    };
    let approve = approve.abi_encode().into();
    stack
        .chain
        .send_as(payer, stack.asset, approve)
        .await
        .expect("an allowance");
    let signed = client.sign_this(
        &client.payer.challenge(&body).await,
        client.book.charged.plus(offer.amount).expect("a sum"),
        Some(units(500_000)),
    );
    let answer = client.payer.send(&body, &signed.header).await.expect("one");
    assert_eq!(answer.status, 200, "{answer:?}");
    client.read(&signed, &answer);
    bills += super::client::bill(&answer);
    assert_eq!(stack.balance(payer).await, funds - 1_500_000);
    assert_eq!(client.refund(None).await.status, 200);
    assert_eq!(stack.balance(payer).await, funds - bills);
    let report = stack.reconcile().await;
    assert_eq!(report["faults"], json!([]));
}
