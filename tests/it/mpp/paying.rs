use super::wallet::{ARRAY, PACKED, answering, asked, nothing_happened};
use super::{challenges, credential, pay};
use crate::harness::{Answer, Setup, Stack, chat, total};
use groat::protocol::mpp::{Problem, Receipt};
use serde_json::{Value, json};

/// Everything a 402 carries, as it goes over the wire.
fn size(answer: &Answer) -> usize {
    let headers = answer.headers.iter();
    let headers = headers.map(|(name, value)| name.as_str().len() + value.len() + 4);
    headers.sum::<usize>() + answer.body.len()
}

#[tokio::test]
async fn one_402_speaks_both_protocols_within_eight_kilobytes_and_changes_nothing() {
    let setup = Setup {
        payment: r#"rails = ["exact", "batch-settlement", "upto", "exact-permit2"]"#,
        ..Setup::default()
    };
    let stack = Stack::with(setup).await;
    let body = chat("m", "What is a groat?", false);
    let answer = Answer::of(stack.payer.post(&body))
        .await
        .expect("an answer");
    assert_eq!(answer.status, 402);
    assert!(size(&answer) < 8 << 10, "{} bytes", size(&answer));
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    let said = answer.json();
    let problem = Problem::PaymentRequired.members(402, said["detail"].as_str().expect("a text"));
    for (member, value) in problem {
        assert_eq!(said[&member], value);
    }
    let required = stack.payer.challenge(&body).await;
    let amount = json!(required.accepts[0].amount);
    assert_eq!(said["x402Version"], 1);
    assert_eq!(said["accepts"][0]["maxAmountRequired"], amount);

    let challenges = challenges(&answer);
    let [challenge] = challenges.as_slice() else {
        panic!("{challenges:?}");
    };
    assert_eq!(
        (challenge.realm.as_str(), challenge.method.as_str()),
        ("127.0.0.1", "evm")
    );
    let request = base64_json(&challenge.request);
    let expected = json!({
        "amount": amount,
        "currency": stack.asset.to_string(),
        "recipient": stack.chain.pay_to_key.address().to_string(),
        "methodDetails": {
            "chainId": stack.chain.chain_id, "credentialTypes": ["authorization"], "decimals": 6,
        },
    });
    assert_eq!(request, expected);
    nothing_happened(&stack).await;
}

fn base64_json(text: &str) -> Value {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    serde_json::from_slice(&engine.decode(text).expect("base64url")).expect("JSON")
}

#[tokio::test]
async fn a_charge_is_taken_by_both_nonces_whole_and_streamed_and_its_change_is_credit() {
    let stack = Stack::usual().await;
    let mut moved = 0;
    for (stream, derivation) in [
        (false, PACKED),
        (false, ARRAY),
        (true, PACKED),
        (true, ARRAY),
    ] {
        let body = chat("m", &format!("{stream} {derivation}"), stream);
        let challenge = asked(&stack.payer, &body).await;
        let credential = answering(&stack.payer, challenge.clone(), derivation);
        let answer = pay(
            &stack.payer,
            &body,
            &credential.to_header().expect("a header"),
        )
        .await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.header("payment-response"), None);
        assert_eq!(answer.header("www-authenticate"), None);
        let cached = answer.header("cache-control").expect("a rule");
        assert!(cached.contains("private"), "{cached}");

        let told = answer.header("payment-receipt").expect("a receipt");
        let told = json!(Receipt::from_header(told).expect("a receipt"));
        let receipt = answer.receipt();
        assert_eq!(told["method"], "evm");
        assert_eq!(told["challengeId"], json!(challenge.id));
        assert_eq!(told["externalId"], json!(answer.call()));
        assert_eq!(told["reference"], receipt["settlement"]["transaction"]);
        assert_eq!(told["paid"], receipt["held"]);
        if !stream {
            assert_eq!(told["charged"], receipt["charged"]);
            let number = |value: &Value| value.as_str().and_then(|n| n.parse::<u64>().ok());
            let credit = number(&told["paid"]).zip(number(&told["charged"]));
            assert_eq!(
                number(&told["credit"]),
                credit.map(|(paid, charged)| paid - charged)
            );
        }
        let held = receipt["held"]
            .as_str()
            .and_then(|text| text.parse::<i64>().ok());
        moved += held.expect("an amount");
    }
    let report = stack.reconcile().await;
    assert_eq!(report["calls"], 4);
    assert_eq!(total(&report, "settled"), moved);
}

#[tokio::test]
async fn what_settles_afterwards_is_named_by_its_call() {
    let setup = Setup {
        payment: r#"settle = "after""#,
        ..Setup::default()
    };
    let stack = Stack::with(setup).await;
    let body = chat("m", "hello", false);
    let answer = pay(&stack.payer, &body, &credential(&stack.payer, &body).await).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let told = answer.header("payment-receipt").expect("a receipt");
    let told = Receipt::from_header(told).expect("a receipt");
    assert_eq!(told.reference, answer.call());
    stack.reconcile().await;
}

#[tokio::test]
async fn a_credential_that_was_spent_is_answered_by_what_it_bought_and_never_by_a_challenge() {
    let stack = Stack::usual().await;
    let body = chat("m", "hello", false);
    let spent = credential(&stack.payer, &body).await;
    let first = pay(&stack.payer, &body, &spent).await;
    assert_eq!(first.status, 200, "{}", first.body);

    let again = pay(&stack.payer, &body, &spent).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(
        again.header("payment-receipt"),
        first.header("payment-receipt")
    );

    let other = pay(&stack.payer, &chat("m", "hello, too", false), &spent).await;
    assert_eq!(other.status, 403, "{}", other.body);
    assert_eq!(other.header("www-authenticate"), None);
    assert_eq!(other.header("payment-required"), None);
    let said = other.json();
    assert_eq!(
        said["type"],
        "https://paymentauth.org/problems/verification-failed"
    );
    assert_eq!(said["error"]["code"], "payment_used_for_another_request");

    assert_eq!(stack.seen().await.total, 1);
    assert_eq!(stack.reconcile().await["calls"], 1);
}

#[tokio::test]
async fn an_idempotency_key_gets_the_answer_that_it_paid_for() {
    let stack = Stack::usual().await;
    let body = chat("m", "hello", false);
    let keyed = async |body: &str, credential: String| {
        let request = stack.payer.post(body);
        let request = request.header("authorization", credential);
        let request = request.header("idempotency-key", "order 7");
        Answer::of(request).await.expect("an answer")
    };
    let first = keyed(&body, credential(&stack.payer, &body).await).await;
    assert_eq!(first.status, 200, "{}", first.body);
    // The answer was lost, and its caller signed anew.
    let again = keyed(&body, credential(&stack.payer, &body).await).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    let longer = chat("m", "hello, too", false);
    let other = keyed(&longer, credential(&stack.payer, &longer).await).await;
    assert_eq!(other.status, 403, "{}", other.body);
    assert_eq!(other.header("www-authenticate"), None);
    assert_eq!(stack.seen().await.total, 1);
    assert_eq!(stack.reconcile().await["calls"], 1);
}

#[tokio::test]
async fn a_failure_after_the_payment_is_no_402() {
    let setup = Setup {
        models: vec![
            ("broken", "sim/broken?fail_status=500"),
            ("unpaid", "sim/unpaid?status_402=true"),
        ],
        ..Setup::default()
    };
    let stack = Stack::with(setup).await;
    for (model, status) in [("broken", 502), ("unpaid", 503)] {
        let body = chat(model, "hello", false);
        let answer = pay(&stack.payer, &body, &credential(&stack.payer, &body).await).await;
        assert_eq!(answer.status, status, "{model}: {}", answer.body);
        assert_eq!(answer.header("www-authenticate"), None, "{model}");
        assert_eq!(answer.header("payment-receipt"), None, "{model}");
    }
    assert_eq!(total(&stack.reconcile().await, "captured"), 0);
}

#[tokio::test]
async fn the_same_request_asked_twice_at_once_is_bought_twice() {
    let stack = Stack::usual().await;
    let body = chat("m", "hello", false);
    let payer = &stack.payer;
    let (one, two) = tokio::join!(credential(payer, &body), credential(payer, &body));
    let (one, two) = tokio::join!(pay(payer, &body, &one), pay(payer, &body, &two));
    assert_eq!((one.status.as_u16(), two.status.as_u16()), (200, 200));
    assert_ne!(one.call(), two.call());
    assert_eq!(stack.reconcile().await["calls"], 2);
}

#[tokio::test]
async fn a_settlement_that_fails_is_forbidden_and_charges_nothing() {
    let setup = Setup {
        models: vec![("late", "sim/late?head=1500")],
        ..Setup::default()
    };
    let stack = Stack::with(setup).await;
    let body = chat("late", "hello", false);
    let credential = credential(&stack.payer, &body).await;
    let paid = pay(&stack.payer, &body, &credential);
    let (answer, ()) = tokio::join!(paid, stack.drain_payer_late());
    assert_eq!(answer.status, 403, "{}", answer.body);
    assert_eq!(answer.header("www-authenticate"), None);
    let said = answer.json();
    assert_eq!(
        said["type"],
        "https://paymentauth.org/problems/verification-failed"
    );
    assert_eq!(said["error"]["code"], "settlement_failed");
    assert_eq!(total(&stack.reconcile().await, "captured"), 0);
}
