//! Which rails are offered, in which order, and to whom.

use super::{approve, charged, offer, pay};
use crate::harness::{Answer, Setup, Stack, chat};
use alloy::primitives::U256;
use groat::chain::dev::SETTLER;
use groat::protocol::x402::PaymentRequired;

async fn schemes(stack: &Stack, rail: Option<&str>) -> Vec<String> {
    let mut request = stack.payer.post(&chat("m", "hello", false));
    if let Some(rail) = rail {
        request = request.header("groat-rail", rail);
    }
    let answer = Answer::of(request).await.expect("an answer");
    assert_eq!(answer.status, 402, "{}", answer.body);
    let required = answer.header("payment-required").expect("offers");
    let required = PaymentRequired::from_header(required).expect("a challenge");
    let names = required.accepts.iter().map(|offer| {
        let method = offer.extra_text("assetTransferMethod").unwrap_or_default();
        format!("{} {method}", offer.scheme).trim_end().to_owned()
    });
    names.collect()
}

#[tokio::test]
async fn rails_stand_in_the_operators_order_and_a_caller_may_ask_for_one() {
    let stack = Stack::with(Setup {
        payment: "rails = [\"upto\", \"exact-permit2\", \"exact\"]",
        ..Setup::default()
    })
    .await;
    let all = ["upto permit2", "exact permit2", "exact"];
    assert_eq!(schemes(&stack, None).await, all);
    assert_eq!(schemes(&stack, Some("upto")).await, ["upto permit2"]);
    assert_eq!(schemes(&stack, Some("exact")).await, ["exact"]);
    let by_permit2 = schemes(&stack, Some("exact-permit2")).await;
    assert_eq!(by_permit2, ["exact permit2"]);
    for unknown in ["moon", "", "upto,exact"] {
        let request = stack.payer.post(&chat("m", "hello", false));
        let request = request.header("groat-rail", unknown);
        let answer = Answer::of(request).await.expect("an answer");
        assert_eq!(answer.status, 400, "{unknown:?}: {}", answer.body);
        assert_eq!(answer.json()["error"]["code"], "unknown_rail");
    }
}

#[tokio::test]
async fn a_rail_that_is_not_offered_takes_nothing() {
    let stack = Stack::usual().await;
    approve(&stack, U256::MAX).await;
    let body = chat("m", "hello", false);
    let payment = super::good(&stack.payer, &body).await;
    let mut stack = stack;
    stack.gateway.kill_9().await;
    stack
        .gateway
        .rewrite_config(|config| config.replace("[payment]", "[payment]\nrails = [\"exact\"]"));
    stack.gateway.start("").await;
    let answer = stack.payer.send(&body, &payment).await.expect("an answer");
    assert_eq!(answer.status, 402, "{}", answer.body);
    assert_eq!(stack.seen().await.total, 0);
    assert_eq!(schemes(&stack, None).await, ["exact"]);
}

#[tokio::test]
async fn a_settler_is_named_as_facilitator_and_captures() {
    let mut stack = Stack::usual().await;
    approve(&stack, U256::MAX).await;
    let relayer = stack.chain.relayer_key.address();
    stack.chain.settler(&[relayer]).await.expect("a settler");
    stack.gateway.kill_9().await;
    stack
        .gateway
        .rewrite_config(|config| format!("{config}\n[settler]\naddress = \"{SETTLER}\"\n"));
    stack.gateway.start("").await;
    let body = chat("m", "hello", true);
    let required = stack.payer.challenge(&body).await;
    let named = offer(&required).extra_text("facilitatorAddress");
    assert_eq!(named.and_then(|a| a.parse().ok()), Some(SETTLER));
    let payee = stack.chain.pay_to_key.address();
    let mut bills = 0;
    for n in 0..4 {
        let answer = pay(&stack.payer, &chat("m", &format!("hello {n}"), n % 2 == 0)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        bills += charged(&answer);
    }
    stack.reconcile().await;
    assert_eq!(super::balance(&stack, payee).await, U256::from(bills));
    assert_eq!(super::balance(&stack, SETTLER).await, U256::ZERO);
}
