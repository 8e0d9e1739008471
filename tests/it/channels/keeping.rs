//! What is claimed, when, without anybody asking.

use super::client::{Client, units};
use super::setup;
use crate::harness::{Setup, Stack, chat, until};

#[tokio::test]
async fn charges_are_claimed_by_age_and_by_amount() {
    for lines in [
        "rails = [\"batch-settlement\"]\n[channels]\nclaim_after_seconds = 1\nwatch_every_ms = 50\n",
        "rails = [\"batch-settlement\"]\n[channels]\nclaim_above_usd = \"0.000001\"\nclaim_after_seconds = 4\nwatch_every_ms = 50\n",
    ] {
        let stack = Stack::with(Setup {
            payment: lines,
            ..setup()
        })
        .await;
        let mut client = Client::new(&stack);
        let bill = client.pay(&chat("m", "one", false)).await;
        let channel = client.channel().await;
        until("the charge is claimed", || async {
            let claimed = stack.on_chain(channel).await.total_claimed;
            (claimed == u128::from(bill)).then_some(())
        })
        .await;
        let next = client.pay(&chat("m", "two", false)).await;
        until("the next charge too", || async {
            let claimed = stack.on_chain(channel).await.total_claimed;
            (claimed == u128::from(bill + next)).then_some(())
        })
        .await;
        let metrics = stack
            .payer
            .client
            .get(format!("{}/metrics", stack.payer.url));
        let metrics = metrics
            .send()
            .await
            .expect("one")
            .text()
            .await
            .expect("text");
        let claims = "groat_operations_total{kind=\"claim\",outcome=\"confirmed\"}";
        assert!(metrics.contains(claims), "{metrics}");
    }
}

#[tokio::test]
async fn an_idle_channel_is_refunded_when_the_operator_wants_that() {
    let stack = Stack::with(Setup {
        payment: "rails = [\"batch-settlement\"]\n[channels]\nclaim_after_seconds = 2\nrefund_idle_after_seconds = 1\nwatch_every_ms = 50\n",
        ..setup()
    })
    .await;
    let payer = stack.payer.key.address();
    let funds = stack.balance(payer).await;
    let mut client = Client::new(&stack);
    let bill = client.pay(&chat("m", "one", false)).await;
    until("the rest is back", || async {
        (stack.balance(payer).await == funds - bill).then_some(())
    })
    .await;
    client.book = client.book.after_refund(None).unwrap_or_default();
    assert_eq!(client.book.balance, units(0));
}

#[tokio::test]
async fn an_operator_lists_claims_settles_and_refunds_by_command() {
    let stack = Stack::with(setup()).await;
    let (payer, payee) = (stack.payer.key.address(), stack.chain.pay_to_key.address());
    let (funds, before) = (stack.balance(payer).await, stack.balance(payee).await);
    let mut client = Client::new(&stack);
    let bill = client.pay(&chat("m", "one", false)).await;
    let run = |arguments: Vec<String>| {
        let url = stack.payer.url.clone();
        let token = stack.admin_token.clone();
        async move {
            let mut all = vec!["channels".to_owned()];
            all.extend(arguments);
            all.extend(["--url".to_owned(), url]);
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            let mut command = crate::harness::groat(&all);
            let output = crate::harness::ended(command.env("GROAT_ADMIN_TOKEN", token)).await;
            let (out, err) = crate::harness::printed(&output);
            assert!(output.status.success(), "{all:?}: {out}{err}");
            out
        }
    };
    let listed = run(vec!["list".to_owned()]).await;
    let id = format!("ch_{}", hex::encode(client.channel().await));
    assert!(listed.contains(&id) && listed.contains("1"), "{listed}");
    let claimed = run(vec!["claim".to_owned()]).await;
    assert!(claimed.contains("\"kind\": \"claim\""), "{claimed}");
    run(vec!["settle".to_owned()]).await;
    until("the payee is paid", || async {
        (stack.balance(payee).await == before + bill).then_some(())
    })
    .await;
    run(vec!["refund".to_owned(), id]).await;
    assert_eq!(stack.balance(payer).await, funds - bill);
}
