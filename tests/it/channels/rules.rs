//! Conservation, to the last unit: what the payee gains is the sum of the bills, what the payer has
//! left is the deposit less that sum.

use super::client::{Client, bill, challenge, offer, told, units};
use super::setup;
use crate::harness::{Setup, Stack, chat};
use futures::future::join_all;
use groat::protocol::channel::Book;
use serde_json::json;

#[tokio::test]
async fn rule_1_a_channel_pays_for_whole_and_streamed_calls_to_the_last_unit() {
    let stack = Stack::with(setup()).await;
    let (payer, payee) = (stack.payer.key.address(), stack.chain.pay_to_key.address());
    let funds = (stack.balance(payer).await, stack.balance(payee).await);
    let mut client = Client::new(&stack);
    let mut bills = 0;
    for round in 0..8 {
        let body = chat("m", &format!("round {round}"), round % 2 == 1);
        bills += client.pay(&body).await;
    }
    assert_eq!(
        stack.balance(payer).await,
        funds.0 - 1_000_000,
        "one deposit"
    );

    // An answer whose header is lost: the next one tells its charge as well.
    let signed = client.sign(&chat("m", "lost", false)).await;
    let lost = client
        .payer
        .send(&chat("m", "lost", false), &signed.header)
        .await;
    bills += bill(&lost.expect("an answer"));
    // Calls side by side are signed on the same base.
    for round in 0..4 {
        let bodies = [
            chat("m", &format!("left {round}"), true),
            chat("m", &format!("right {round}"), false),
        ];
        let required = client.payer.challenge(&bodies[0]).await;
        assert_eq!(offer(&required).scheme, "batch-settlement");
        let signed = join_all(bodies.iter().map(|body| client.sign(body))).await;
        let sent = bodies.iter().zip(&signed);
        let sent = sent.map(|(body, signed)| client.payer.send(body, &signed.header));
        for (answer, signed) in join_all(sent).await.into_iter().zip(&signed) {
            let answer = answer.expect("an answer");
            assert_eq!(answer.status, 200, "{answer:?}");
            bills += bill(&answer);
            client.read(signed, &answer);
        }
    }
    bills += client.pay(&chat("m", "the last", false)).await;
    assert_eq!(
        client.book.charged,
        units(u128::from(bills)),
        "it heard of all charges"
    );

    let refunded = client.refund(None).await;
    assert_eq!(refunded.status, 200, "{refunded:?}");
    let response = told(&refunded);
    assert!(response.success && response.transaction.starts_with("0x"));
    assert_eq!(response.amount, Some(units(u128::from(1_000_000 - bills))));
    assert!(!response.extra.expect("one").contains_key("chargedAmount"));
    let channel = client.channel().await;
    let acknowledged = json!({"message": "Refund acknowledged", "channelId": channel});
    assert_eq!(refunded.json(), acknowledged);
    stack.admin("/settle").await;
    assert_eq!(
        stack.balance(payer).await,
        funds.0 - bills,
        "the payer's rest"
    );
    assert_eq!(
        stack.balance(payee).await,
        funds.1 + bills,
        "the payee's gain"
    );
    let books = stack.books().await;
    assert_eq!(
        (&books["charged"], &books["claimed"]),
        (&json!(bills.to_string()), &json!(bills.to_string()))
    );
    stack.reconcile().await;
}

#[tokio::test]
async fn a_refund_of_a_part_leaves_a_channel_that_pays() {
    let stack = Stack::with(setup()).await;
    let payer = stack.payer.key.address();
    let funds = stack.balance(payer).await;
    let mut client = Client::new(&stack);
    let mut bills = client.pay(&chat("m", "one", false)).await;
    let refunded = client.refund(Some(units(400_000))).await;
    assert_eq!(refunded.status, 200, "{refunded:?}");
    client.book = client
        .book
        .after_refund(Some(units(400_000)))
        .expect("more");
    assert_eq!(stack.balance(payer).await, funds - 600_000);
    bills += client.pay(&chat("m", "two", false)).await;
    assert_eq!(
        stack.balance(payer).await,
        funds - 600_000,
        "no new deposit"
    );
    let refunded = client.refund(None).await;
    assert_eq!(refunded.status, 200, "{refunded:?}");
    assert_eq!(stack.balance(payer).await, funds - bills);
    let again = client.refund(None).await;
    assert_eq!(
        again.reason(),
        "invalid_batch_settlement_evm_refund_no_balance"
    );
}

#[tokio::test]
async fn a_client_that_lost_count_is_set_right_by_its_own_voucher() {
    let stack = Stack::with(setup()).await;
    let mut client = Client::new(&stack);
    client.pay(&chat("m", "one", false)).await;
    let charged = client.book.charged;
    // It believes to have been charged more than it was: the gateway must not take that.
    client.book.charged = charged.plus(units(1)).expect("a sum");
    let signed = client.sign(&chat("m", "two", false)).await;
    let refused = client
        .payer
        .send(&chat("m", "two", false), &signed.header)
        .await;
    let refused = refused.expect("an answer");
    assert_eq!(
        refused.reason(),
        "invalid_batch_settlement_evm_cumulative_amount_mismatch"
    );
    let required = challenge(&refused);
    let extra = offer(&required).extra.clone().expect("an extra");
    let terms = super::client::terms(offer(&required));
    let config = client.config(&terms);
    let (balance, claimed) = (units(1_000_000), units(0));
    let book = Book::corrected(&extra, &config, terms.domain(), balance, claimed);
    client.book = book.expect("a correction that proves itself");
    assert_eq!(client.book.charged, charged);
    let signed = client.sign_for(&required);
    let paid = client
        .payer
        .send(&chat("m", "two", false), &signed.header)
        .await;
    assert_eq!(
        paid.expect("an answer").status,
        200,
        "the corrected offer is taken"
    );
}

#[tokio::test]
async fn by_the_letter_one_call_runs_at_a_time_and_the_base_is_the_charge() {
    let stack = Stack::with(Setup {
        payment: "rails = [\"batch-settlement\"]\n[channels]\nstrict = true\n",
        models: vec![("slow", "sim/small?delay=1500")],
        ..Setup::default()
    })
    .await;
    let mut client = Client::new(&stack);
    let body = chat("m", "one", false);
    client.pay(&body).await;
    let required = client.payer.challenge(&body).await;
    let ceiling = offer(&required).amount;
    let more = ceiling.plus(units(1)).expect("a sum");
    let stale = client.sign_this(&required, more, None);
    let refused = client.payer.send(&body, &stale.header).await.expect("one");
    assert_eq!(
        refused.reason(),
        "invalid_batch_settlement_evm_cumulative_amount_mismatch"
    );
    let slow = chat("slow", "two", false);
    let signed = client.sign(&slow).await;
    let running = tokio::spawn({
        let (payer, slow, header) = (client.payer.clone(), slow.clone(), signed.header.clone());
        async move { payer.send(&slow, &header).await }
    });
    crate::harness::until("the slow call runs", || async {
        (stack.books().await["running"] == 1).then_some(())
    })
    .await;
    let other = client.sign(&body).await;
    let busy = client.payer.send(&body, &other.header).await.expect("one");
    assert_eq!(busy.reason(), "invalid_batch_settlement_evm_channel_busy");
    let answer = running.await.expect("it ends").expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    client.read(&signed, &answer);
    client.pay(&body).await;
}

#[tokio::test]
async fn copies_of_a_deposit_fill_the_channel_once() {
    let stack = Stack::with(setup()).await;
    let payer = stack.payer.key.address();
    let funds = stack.balance(payer).await;
    let client = Client::new(&stack);
    let body = chat("m", "hello", false);
    let signed = client.sign(&body).await;
    let copies = (0..4).map(|_| client.payer.send(&body, &signed.header));
    for answer in join_all(copies).await {
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let later = client.payer.send(&body, &signed.header).await.expect("one");
    assert_eq!(later.status, 200, "{later:?}");
    assert_eq!(stack.balance(payer).await, funds - 1_000_000);
    assert_eq!(
        stack.on_chain(client.channel().await).await.balance,
        1_000_000
    );
    let other = chat("m", "world", false);
    let bought = client
        .payer
        .send(&other, &signed.header)
        .await
        .expect("one");
    assert_eq!(
        bought.status, 200,
        "the voucher covers it, without a deposit: {bought:?}"
    );
    assert_eq!(stack.balance(payer).await, funds - 1_000_000);
}

#[tokio::test]
async fn bad_channel_payments_are_refused_by_name_and_move_nothing() {
    let stack = Stack::with(setup()).await;
    let payer = stack.payer.key.address();
    let funds = stack.balance(payer).await;
    let client = Client::new(&stack);
    let body = chat("m", "hello", false);
    let required = client.payer.challenge(&body).await;
    let amount = offer(&required).amount;
    let more = amount.plus(units(2_000_000)).expect("a sum");
    let tiny = Some(units(1));
    let rich = Some(units(u128::from(funds) + 1));
    for (signed, reason) in [
        (
            client.sign_this(&required, amount, None),
            "channel_not_found",
        ),
        (
            client.sign_this(&required, amount, tiny),
            "deposit_below_min_deposit",
        ),
        (
            client.sign_this(&required, more, Some(units(1_000_000))),
            "cumulative_exceeds_balance",
        ),
        (
            client.sign_this(&required, amount, rich),
            "insufficient_balance",
        ),
        (
            client.sign_this(&required, units(1), Some(units(1_000_000))),
            "cumulative_amount_mismatch",
        ),
    ] {
        let refused = client.payer.send(&body, &signed.header).await.expect("one");
        assert_eq!(refused.status, 402, "{reason}: {refused:?}");
        assert_eq!(
            refused.reason(),
            format!("invalid_batch_settlement_evm_{reason}")
        );
    }
    assert_eq!(stack.balance(payer).await, funds);
    assert_eq!(
        stack.seen().await.calls.len(),
        0,
        "the upstream saw nothing"
    );
}
