//! State that is lost: by the gateway, by a kill, by both sides.

use super::client::{Client, units};
use super::setup;
use crate::harness::{Setup, Stack, chat, until};

#[tokio::test]
async fn a_gateway_that_lost_its_ledger_believes_the_client_and_the_chain() {
    let mut stack = Stack::with(setup()).await;
    let mut client = Client::new(&stack);
    let first = client.pay(&chat("m", "one", false)).await;
    stack.gateway.kill_9().await;
    std::fs::remove_dir_all(stack.folder.path().join("data")).expect("the ledger is lost");
    stack.gateway.start("").await;
    let second = client.pay(&chat("m", "two", false)).await;
    assert_eq!(client.book.charged, units(u128::from(first + second)));
    stack.admin("/claim").await;
    let claimed = stack.on_chain(client.channel().await).await.total_claimed;
    assert_eq!(
        claimed,
        u128::from(first + second),
        "by the client's newest voucher"
    );
    // Both sides lose all: what the chain has is what they agree on.
    stack.gateway.kill_9().await;
    std::fs::remove_dir_all(stack.folder.path().join("data")).expect("the ledger is lost");
    stack.gateway.start("").await;
    client.book.charged = units(claimed);
    let third = client.pay(&chat("m", "three", false)).await;
    assert_eq!(
        client.book.charged,
        units(u128::from(first + second + third))
    );
    let payer = stack.payer.key.address();
    let before = stack.balance(payer).await;
    assert_eq!(client.refund(None).await.status, 200);
    let left = 1_000_000 - first - second - third;
    assert_eq!(stack.balance(payer).await, before + left);
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn rule_5_killed_while_a_deposit_is_on_its_way_it_is_made_once() {
    for place in ["settle_sent=return", "settle_confirmed=return"] {
        let mut stack = Stack::with(Setup {
            failpoints: place,
            ..setup()
        })
        .await;
        let payer = stack.payer.key.address();
        let funds = stack.balance(payer).await;
        let mut client = Client::new(&stack);
        let body = chat("m", "hello", false);
        let signed = client.sign(&body).await;
        let died = client.payer.send(&body, &signed.header).await;
        assert!(died.is_err(), "{place}: {died:?}");
        stack.gateway.wait().await;
        stack.gateway.start("").await;
        let answer = client.payer.send(&body, &signed.header).await.expect("one");
        assert_eq!(answer.status, 200, "{place}: {answer:?}");
        client.read(&signed, &answer);
        assert_eq!(stack.balance(payer).await, funds - 1_000_000, "{place}");
        let bills = super::client::bill(&answer) + client.pay(&chat("m", "more", true)).await;
        let heard = client.book.charged;
        assert!(heard < units(u128::from(bills)), "of the stream it has not");
        let refunded = client.refund(None).await;
        assert_eq!(refunded.status, 200, "{refunded:?}");
        assert_eq!(stack.balance(payer).await, funds - bills, "{place}");
    }
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn rule_5_killed_while_a_claim_or_a_refund_is_on_its_way_it_is_finished() {
    let mut stack = Stack::with(setup()).await;
    let (payer, payee) = (stack.payer.key.address(), stack.chain.pay_to_key.address());
    let funds = (stack.balance(payer).await, stack.balance(payee).await);
    let mut client = Client::new(&stack);
    let bill = client.pay(&chat("m", "hello", false)).await;
    let channel = client.channel().await;
    stack.gateway.kill_9().await;
    stack.gateway.start("settle_sent=return").await;
    let url = format!("{}/admin/channels/claim", stack.payer.url);
    let asked = stack.payer.client.post(url).bearer_auth(&stack.admin_token);
    assert!(asked.send().await.is_err(), "it dies with the claim sent");
    stack.gateway.wait().await;
    stack.gateway.start("").await;
    until("the claim is finished", || async {
        let claimed = stack.on_chain(channel).await.total_claimed;
        (claimed == u128::from(bill)).then_some(())
    })
    .await;
    until("the payee is paid", || async {
        (stack.balance(payee).await == funds.1 + bill).then_some(())
    })
    .await;
    stack.gateway.kill_9().await;
    stack.gateway.start("settle_sent=return").await;
    let url = format!(
        "{}/admin/channels/0x{}/refund",
        stack.payer.url,
        hex::encode(channel)
    );
    let asked = stack.payer.client.post(url).bearer_auth(&stack.admin_token);
    assert!(asked.send().await.is_err(), "it dies with the refund sent");
    stack.gateway.wait().await;
    stack.gateway.start("").await;
    until("the refund is finished", || async {
        (stack.balance(payer).await == funds.0 - bill).then_some(())
    })
    .await;
    stack.quiet().await;
    assert_eq!(
        stack.on_chain(channel).await.refund_nonce.to::<u64>(),
        1,
        "once"
    );
}
