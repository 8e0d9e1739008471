//! `groat ledger verify --rpc` over the whole life of channels.

use super::client::Client;
use super::leaving::{bound, finalize, pass, withdraw};
use super::setup;
use crate::harness::{Stack, chat, ended, groat, printed, until};
use alloy::primitives::Address;
use alloy::sol_types::SolCall;
use groat::chain::bindings::{ChannelConfig, IBatchSettlement};
use groat::protocol::addresses::BATCH_SETTLEMENT;
use serde_json::Value;

/// What a deposit of the test client brings.
const DEPOSIT: u64 = 1_000_000;

/// Whether the command is content, and what it prints.
async fn verify(stack: &Stack, source: [&str; 2]) -> (bool, String) {
    let arguments = [
        &["ledger", "verify", "--rpc", &stack.chain.rpc_url],
        &source[..],
    ]
    .concat();
    let mut command = groat(&arguments);
    let output = ended(command.env("GROAT_ADMIN_TOKEN", &stack.admin_token)).await;
    let (out, err) = printed(&output);
    (output.status.success(), format!("{out}{err}"))
}

/// The command's words on a running gateway, which it finds sound.
async fn sound(stack: &Stack) -> String {
    let (sound, said) = verify(stack, ["--url", &stack.payer.url]).await;
    assert!(sound && said.ends_with("sound\n"), "{said}");
    let known = "0 faults, 0 transfers to the payee that are not the ledger's";
    assert!(said.contains(known), "{said}");
    said
}

/// The same on the ledger of a gateway that is gone.
async fn verify_folder(stack: &Stack) -> (bool, String) {
    let folder = stack.folder.path().join("data");
    verify(stack, ["--data-dir", folder.to_str().expect("a path")]).await
}

/// The payer takes what it withdraws, once the chain's clock has come to it.
async fn take_back(stack: &Stack, config: ChannelConfig) {
    pass(stack, config.withdrawDelay.to::<u64>() + 1).await;
    finalize(stack, config).await.expect("it is due");
}

fn says(said: &str, what: &str) {
    assert!(said.contains(what), "{what}\n{said}");
}

#[tokio::test]
async fn rule_1_the_books_of_a_channel_agree_with_the_chain_all_its_life() {
    let stack = Stack::with(setup()).await;
    let mut client = Client::new(&stack);
    let mut bills = 0;
    for round in 0..3 {
        bills += client
            .pay(&chat("m", &format!("{round}"), round == 1))
            .await;
    }
    let said = sound(&stack).await;
    says(
        &said,
        &format!("{bills} charged = 0 claimed + {bills} claimable + 0 lost; 0 paid out, 0 due"),
    );

    stack.admin("/claim").await;
    let said = sound(&stack).await;
    says(&said, "1 looked up and 2 operations on them");
    says(&said, &format!("0 paid out, {bills} due"));
    let settle = IBatchSettlement::settleCall {
        receiver: stack.chain.pay_to_key.address(),
        token: stack.asset,
    };
    let stranger = Address::repeat_byte(0x57);
    let settled = stack
        .chain
        .send_as(stranger, BATCH_SETTLEMENT, settle.abi_encode().into())
        .await;
    settled.expect("anybody may have the receiver paid");
    says(&sound(&stack).await, &format!("{bills} paid out, 0 due"));

    bills += client.pay(&chat("m", "one more", false)).await;
    let refunded = client.refund(None).await;
    assert_eq!(refunded.status, 200, "{refunded:?}");
    stack.admin("/settle").await;
    let back = DEPOSIT - bills;
    let said = sound(&stack).await;
    says(&said, "1 looked up and 4 operations on them");
    says(
        &said,
        &format!("{DEPOSIT} put in = {bills} claimed + {back} refunded + 0 withdrawn + 0 left"),
    );
    says(&said, &format!("{bills} paid out, 0 due"));

    // The channel is filled anew, and its payer takes the rest itself.
    client.book.balance = client.book.charged;
    let last = client.pay(&chat("m", "the last", false)).await;
    bills += last;
    let config = bound(&client).await;
    withdraw(&stack, config.clone(), u128::from(DEPOSIT)).await;
    let channel = client.channel().await;
    until("the last charge is claimed", || async {
        let claimed = stack.on_chain(channel).await.total_claimed;
        (claimed == u128::from(bills)).then_some(())
    })
    .await;
    take_back(&stack, config).await;
    let put = 2 * DEPOSIT;
    let taken = DEPOSIT - last;
    let said = sound(&stack).await;
    says(
        &said,
        &format!("{put} put in = {bills} claimed + {back} refunded + {taken} withdrawn + 0 left"),
    );
    says(
        &said,
        &format!("{bills} charged = {bills} claimed + 0 claimable + 0 lost;"),
    );
    assert!(!said.contains("note:"), "{said}");
}

#[tokio::test]
async fn a_claim_that_is_missing_on_chain_is_named() {
    let mut stack = Stack::with(setup()).await;
    let mut client = Client::new(&stack);
    let bill = client.pay(&chat("m", "one", false)).await;
    let rpc = &stack.chain.rpc;
    let channel = hex::encode(client.channel().await);
    let before: Value = rpc.request("evm_snapshot", ()).await.expect("a snapshot");
    let claimed = stack.admin("/claim").await;
    sound(&stack).await;
    stack.gateway.kill_9().await;
    let undone: bool = rpc
        .request("evm_revert", (before,))
        .await
        .expect("a revert");
    assert!(undone);
    let (sound, said) = verify_folder(&stack).await;
    assert!(!sound, "{said}");
    let text = |name: &str| claimed["operations"][0][name].as_str().expect("a text");
    let (operation, transaction) = (text("operation"), text("transaction"));
    says(
        &said,
        &format!(
            "{operation}: {transaction} does not bring what is claimed of ch_{channel} to {bill}"
        ),
    );
}

#[tokio::test]
async fn what_a_withdrawal_took_unclaimed_is_told_as_lost() {
    let mut stack = Stack::with(setup()).await;
    let mut client = Client::new(&stack);
    let bill = client.pay(&chat("m", "one", false)).await;
    let (config, channel) = (bound(&client).await, client.channel().await);
    stack.gateway.kill_9().await;
    withdraw(&stack, config.clone(), u128::from(DEPOSIT)).await;
    take_back(&stack, config).await;
    let (sound_still, said) = verify_folder(&stack).await;
    assert!(sound_still, "nothing disagrees: {said}");
    let lost = format!(
        "note: ch_{}: {bill} that it was charged went back to its payer unclaimed: lost",
        hex::encode(channel)
    );
    says(&said, &lost);
    stack.gateway.start("").await;
    let said = sound(&stack).await;
    says(&said, &lost);
    says(
        &said,
        &format!("{bill} charged = 0 claimed + 0 claimable + {bill} lost; 0 paid out, 0 due"),
    );
}
