//! What one payment buys, and buys again.

use crate::faults::holds;
use crate::harness::{Answer, Setup, Stack, chat, until};
use groat::protocol::payment_identifier::{KEY, PaymentId, echo_with_id};

/// A payment of a body that carries the caller's own name for it.
async fn named(stack: &Stack, body: &str, id: &str) -> String {
    let mut required = stack.payer.challenge(body).await;
    let id: PaymentId = id.parse().expect("an identifier");
    let extensions = required.extensions.as_mut().expect("extensions");
    let advertised = extensions.get_mut(KEY).expect("an advert");
    *advertised = echo_with_id(advertised, &id);
    let authorization = stack.payer.authorization(&required.accepts[0]);
    stack.payer.header_of(&required, &authorization)
}

async fn conflict(stack: &Stack, body: &str, payment: &str, why: &str) {
    let answer = stack.payer.send(body, payment).await.expect("an answer");
    assert_eq!(answer.status, 409, "{why}: {}", answer.body);
    assert_eq!(answer.code(), "payment_used_for_another_request", "{why}");
    assert_eq!(
        answer.header("payment-required"),
        None,
        "{why}: no fresh challenge for a taken payment"
    );
}

#[tokio::test]
async fn rule_2_a_payment_sent_again_gets_the_same_bytes() {
    let stack = Stack::usual().await;
    for stream in [false, true] {
        let body = chat("m", "hello", stream);
        let payment = stack.payer.payment(&body).await;
        let first = stack.payer.send(&body, &payment).await.expect("an answer");
        assert_eq!(first.status, 200, "{}", first.body);
        for _ in 0..3 {
            let again = stack.payer.send(&body, &payment).await.expect("an answer");
            assert_eq!(again.status, 200);
            assert_eq!(again.body, first.body);
            for name in [
                "groat-call-id",
                "payment-response",
                "content-type",
                "cache-control",
            ] {
                assert_eq!(again.header(name), first.header(name), "{name}");
            }
        }
    }
    assert_eq!(
        stack.seen().await.total,
        2,
        "one upstream call for each payment"
    );
    assert_eq!(stack.reconcile().await["calls"], 2);
}

#[tokio::test]
async fn rule_9_a_payment_for_this_body_buys_no_other() {
    let stack = Stack::with(Setup {
        models: vec![("n", "sim/small")],
        ..Setup::default()
    })
    .await;
    let body = chat("m", "hello", false);
    let payment = stack.payer.payment(&body).await;
    let first = stack.payer.send(&body, &payment).await.expect("an answer");
    assert_eq!(first.status, 200, "{}", first.body);
    let entries = stack.entries().await;
    for (why, other) in [
        ("as dear", chat("m", "jello", false)),
        ("cheaper", chat("m", "h", false)),
        ("dearer", chat("m", &"hello ".repeat(50), false)),
        ("another model", chat("n", "hello", false)),
        ("streamed", chat("m", "hello", true)),
        ("a space more", format!("{body} ")),
    ] {
        conflict(&stack, &other, &payment, why).await;
    }
    assert_eq!(stack.entries().await, entries, "nothing else is held");
    assert_eq!(stack.seen().await.total, 1);
}

#[tokio::test]
async fn rule_2_one_payment_identifier_buys_once_whatever_is_signed_for_it() {
    let stack = Stack::usual().await;
    let body = chat("m", "hello", false);
    let id = "an-identifier-of-the-tests";
    let first = stack
        .payer
        .send(&body, &named(&stack, &body, id).await)
        .await
        .expect("an answer");
    assert_eq!(first.status, 200, "{}", first.body);
    // A client that lost the answer signs anew: the same answer, and no second charge.
    let again = stack
        .payer
        .send(&body, &named(&stack, &body, id).await)
        .await
        .expect("an answer");
    assert_eq!(again.status, 200, "{}", again.body);
    assert_eq!(again.body, first.body);

    for other in [
        chat("m", "jello", false),
        chat("m", &"hello ".repeat(50), false),
    ] {
        conflict(&stack, &other, &named(&stack, &other, id).await, &other).await;
    }
    let report = stack.reconcile().await;
    assert_eq!(report["calls"], 1);
    assert_eq!(stack.seen().await.total, 1);

    // Another payer's identifier is another one.
    let key = groat::protocol::signature::Key::from_bytes(&rand::random()).expect("a key");
    let funds = alloy::primitives::U256::from(1_000_000);
    stack
        .chain
        .mint(stack.asset, key.address(), funds)
        .await
        .expect("tokens");
    let other = stack.payer.with_key(key);
    let mut required = other.challenge(&body).await;
    let advertised = required
        .extensions
        .as_mut()
        .and_then(|all| all.get_mut(KEY))
        .expect("an advert");
    *advertised = echo_with_id(advertised, &id.parse().expect("an identifier"));
    let authorization = other.authorization(&required.accepts[0]);
    let answer = other
        .send(&body, &other.header_of(&required, &authorization))
        .await
        .expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_ne!(answer.call(), first.call());
}

#[tokio::test]
async fn an_answer_is_kept_for_its_time_and_its_receipt_for_longer() {
    let stack = Stack::with(Setup {
        gateway: "answer_ttl_seconds = 1",
        ..Setup::default()
    })
    .await;
    let body = chat("m", "hello", false);
    let payment = stack.payer.payment(&body).await;
    let first = stack.payer.send(&body, &payment).await.expect("an answer");
    assert_eq!(first.status, 200, "{}", first.body);
    let gone = until("the answer is forgotten", || async {
        let answer = stack.payer.send(&body, &payment).await.ok()?;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_eq!(gone.status, 409, "{}", gone.body);
    assert_eq!(gone.code(), "answer_expired");
    assert_eq!(gone.header("payment-required"), None);
    assert_eq!(stack.seen().await.total, 1);
    holds(&stack.receipt(&first.call()).await);
}

#[tokio::test]
async fn a_payment_of_a_voided_call_is_not_taken_again() {
    let stack = Stack::with(Setup {
        models: vec![("once", "sim/once?fail=500&times=2")],
        ..Setup::default()
    })
    .await;
    let body = chat("once", "hello", false);
    let payment = stack.payer.payment(&body).await;
    let failed = stack.payer.send(&body, &payment).await.expect("an answer");
    assert_eq!(failed.status, 502, "{}", failed.body);
    let again = stack.payer.send(&body, &payment).await.expect("an answer");
    assert_eq!(
        (again.status.as_u16(), again.code().as_str()),
        (409, "call_voided")
    );
    assert_eq!(stack.seen().await.total, 2, "it was asked once more");
    // A new payment buys it.
    assert_eq!(stack.payer.pay(&body).await.status, 200);
}

#[tokio::test]
async fn rule_4_the_bill_follows_from_the_receipt_and_passes_the_cache_discount_on() {
    let stack = Stack::usual().await;
    let prompt = "the same long beginning ".repeat(60);
    let cold = stack.payer.pay(&chat("m", &prompt, false)).await.receipt();
    let warm = stack.payer.pay(&chat("m", &prompt, false)).await.receipt();
    for receipt in [&cold, &warm] {
        holds(receipt);
        assert_eq!(receipt["usage_source"], "reported");
    }
    let seen = stack.seen().await;
    let cached = seen.calls.last().expect("a call").cached_tokens;
    assert!(cached > 200, "{cached}");
    assert_eq!(cold["usage"]["cache_read"], 0);
    assert_eq!(warm["usage"]["cache_read"], cached);
    // 0.28 against 0.028 dollars a million tokens, in 10⁻¹² dollars a token.
    let saved = u128::from(cached) * (280_000 - 28_000);
    assert_eq!(warm["cache_saving_pusd"], saved.to_string());
    let total = |receipt: &serde_json::Value| {
        receipt["total_pusd"]
            .as_str()
            .and_then(|text| text.parse::<u128>().ok())
    };
    assert_eq!(
        total(&cold)
            .zip(total(&warm))
            .map(|(cold, warm)| cold - warm),
        Some(saved)
    );
}

#[tokio::test]
async fn rule_13_calls_beyond_the_limit_are_told_to_come_back() {
    let models = vec![("late", "sim/late?head=700")];
    let stack = Stack::with(Setup {
        models,
        gateway: "calls_max = 1",
        ..Setup::default()
    })
    .await;
    let (first, second) = (chat("late", "one", false), chat("late", "two", false));
    let payment = stack.payer.payment(&second).await;
    let refused = async {
        until("the first call runs", || async {
            (stack.seen().await.total == 1).then_some(())
        })
        .await;
        stack
            .payer
            .send(&second, &payment)
            .await
            .expect("an answer")
    };
    let (answer, refused): (Answer, Answer) = tokio::join!(stack.payer.pay(&first), refused);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (503, "busy")
    );
    assert!(refused.header("retry-after").is_some());
    // The payment was not taken: it still buys its call.
    until("there is room", || async {
        let answer = stack.payer.send(&second, &payment).await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await;
}
