//! Behaviours that the published flows ask of a server (`docs/mpp-conformance.md`) and no other test has.

use super::flows::refused;
use super::wallet::{ARRAY, answering, asked, challenges, nothing_happened};
use super::{credential, pay};
use crate::harness::{Answer, Payer, Setup, Stack, chat, until};
use groat::metering::Route;
use groat::protocol::mpp::{Challenge, Keys};

const SECRET: &str = "a secret of the tests, and more than 32 bytes";

/// A POST to the chat route with this behind its path.
async fn post(payer: &Payer, query: &str, body: &str, credential: Option<&str>) -> Answer {
    let url = format!("{}{}{query}", payer.url, Route::Chat.path());
    let request = payer.client.post(url).body(body.to_owned());
    let request = request.header("content-type", "application/json");
    let request = match credential {
        Some(credential) => request.header("authorization", credential),
        None => request,
    };
    Answer::of(request).await.expect("an answer")
}

/// A good credential for this query and body.
async fn credential_for(payer: &Payer, query: &str, body: &str) -> String {
    let unpaid = post(payer, query, body, None).await;
    assert_eq!(unpaid.status, 402, "{}", unpaid.body);
    let challenge = challenges(&unpaid).pop().expect("a challenge");
    let credential = answering(payer, challenge, ARRAY);
    credential.to_header().expect("a header")
}

#[tokio::test]
async fn rule_9_a_credential_for_one_query_buys_no_other() {
    let stack = Stack::usual().await;
    let payer = &stack.payer;
    let body = chat("m", "hello", false);
    let basic = credential_for(payer, "?tier=basic", &body).await;
    for query in ["?tier=premium", "?tier=basic&more", "", "?"] {
        let answer = post(payer, query, &body, Some(&basic)).await;
        refused(&answer, "verification-failed", query);
    }
    let none = credential_for(payer, "", &body).await;
    let answer = post(payer, "?tier=basic", &body, Some(&none)).await;
    refused(&answer, "verification-failed", "one for no query");
    nothing_happened(&stack).await;

    let first = post(payer, "?tier=basic", &body, Some(&basic)).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let again = post(payer, "?tier=basic", &body, Some(&basic)).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    // It is spent: what it does not buy is answered by no fresh challenge now.
    let other = post(payer, "?tier=premium", &body, Some(&basic)).await;
    assert_eq!(other.status, 403, "{}", other.body);
    assert_eq!(other.header("www-authenticate"), None);
    // Nothing behind the question mark is nothing at all.
    assert_eq!(post(payer, "?", &body, Some(&none)).await.status, 200);
    assert_eq!(stack.reconcile().await["calls"], 2);
}

#[tokio::test]
async fn a_long_query_makes_no_long_402() {
    let stack = Stack::usual().await;
    let body = chat("m", "hello", false);
    let query = format!("?q={}", "x".repeat(4 << 10));
    let challenge = post(&stack.payer, &query, &body, None).await;
    let line = challenge.header("www-authenticate").expect("a challenge");
    assert!(line.len() < 2 << 10, "{} bytes", line.len());
    let credential = credential_for(&stack.payer, &query, &body).await;
    let paid = post(&stack.payer, &query, &body, Some(&credential)).await;
    assert_eq!(paid.status, 200, "{}", paid.body);
    stack.reconcile().await;
}

#[tokio::test]
async fn a_challenge_of_ours_that_is_over_or_has_no_end_buys_nothing() {
    let stack = Stack::with(Setup {
        payment: "[mpp]\nsecret = { env = \"IT_MPP_SECRET\" }",
        environment: vec![("IT_MPP_SECRET", SECRET.to_owned())],
        ..Setup::default()
    })
    .await;
    let payer = &stack.payer;
    let body = chat("m", "hello", false);
    let challenge = asked(payer, &body).await;
    let keys = Keys::new(SECRET.as_bytes(), []).expect("keys");
    let sealed = |expires: Option<&str>| {
        let changed = Challenge {
            expires: expires.map(str::to_owned),
            ..challenge.clone()
        };
        Challenge {
            id: keys.id_of(&changed),
            ..changed
        }
    };
    let over = sealed(Some("2020-01-01T00:00:00Z"));
    let over = answering(payer, over, ARRAY).to_header().expect("a header");
    let answer = pay(payer, &body, &over).await;
    refused(&answer, "payment-expired", "over");
    let fresh = challenges(&answer).pop().expect("a challenge");
    assert_ne!(fresh.id, challenge.id);

    // Signed for a challenge that has an end, echoed without one.
    let mut endless = answering(payer, challenge.clone(), ARRAY);
    endless.challenge = sealed(None);
    let endless = endless.to_header().expect("a header");
    refused(
        &pay(payer, &body, &endless).await,
        "invalid-challenge",
        "no end",
    );
    let unreadable = sealed(Some("tomorrow"));
    let mut never = answering(payer, challenge.clone(), ARRAY);
    never.challenge = unreadable;
    let never = pay(payer, &body, &never.to_header().expect("a header")).await;
    assert_eq!(never.status, 402, "{}", never.body);
    nothing_happened(&stack).await;

    let good = answering(payer, challenge, ARRAY);
    let paid = pay(payer, &body, &good.to_header().expect("a header")).await;
    assert_eq!(paid.status, 200, "{}", paid.body);
    stack.reconcile().await;
}

#[tokio::test]
async fn who_pays_while_we_are_busy_is_told_when_to_come_back_and_by_no_402() {
    let stack = Stack::with(Setup {
        models: vec![("late", "sim/late?head=700")],
        gateway: "calls_max = 1",
        ..Setup::default()
    })
    .await;
    let payer = &stack.payer;
    let (first, second) = (chat("late", "one", false), chat("late", "two", false));
    let one = credential(payer, &first).await;
    let two = credential(payer, &second).await;
    let turned_away = async {
        until("the first call runs", || async {
            (stack.seen().await.total == 1).then_some(())
        })
        .await;
        pay(payer, &second, &two).await
    };
    let (answer, busy) = tokio::join!(pay(payer, &first, &one), turned_away);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(busy.status, 503, "{}", busy.body);
    let seconds = busy
        .header("retry-after")
        .and_then(|s| s.parse::<u64>().ok());
    assert!(seconds.is_some(), "{busy:?}");
    assert_eq!(busy.header("cache-control"), Some("no-store"));
    assert_eq!(
        busy.header("content-type"),
        Some("application/problem+json")
    );
    // A fresh challenge would be paid again, though this payment is still good.
    for header in ["www-authenticate", "payment-required", "payment-receipt"] {
        assert_eq!(busy.header(header), None, "{header}");
    }
    until("there is room", || async {
        (pay(payer, &second, &two).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(stack.reconcile().await["calls"], 2);
}

#[tokio::test]
async fn concurrent_retries_under_one_idempotency_key_have_one_side_effect() {
    let stack = Stack::usual().await;
    let payer = &stack.payer;
    let body = chat("m", "hello", false);
    // Each of them signed a payment of its own.
    let mut credentials = Vec::new();
    for _ in 0..8 {
        credentials.push(credential(payer, &body).await);
    }
    let sent = credentials.iter().map(|credential| {
        let request = payer.post(&body).header("authorization", credential);
        Answer::of(request.header("idempotency-key", "idem-123"))
    });
    let answers = futures::future::join_all(sent).await;
    let answers: Vec<Answer> = answers.into_iter().map(|a| a.expect("an answer")).collect();
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.body, answers[0].body);
        assert_eq!(answer.call(), answers[0].call());
    }
    assert_eq!(stack.seen().await.total, 1);
    assert_eq!(stack.reconcile().await["calls"], 1);
}

#[tokio::test]
async fn what_is_free_needs_no_payment_and_heeds_none() {
    let stack = Stack::usual().await;
    let payer = &stack.payer;
    let body = chat("m", "hello", false);
    let good = credential(payer, &body).await;
    for path in ["/v1/models", "/healthz", "/openapi.json", "/llms.txt"] {
        for credential in [None, Some(good.as_str()), Some("Payment !")] {
            let request = payer.client.get(format!("{}{path}", payer.url));
            let request = match credential {
                Some(credential) => request.header("authorization", credential),
                None => request,
            };
            let answer = Answer::of(request).await.expect("an answer");
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            assert_eq!(answer.header("payment-receipt"), None, "{path}");
        }
    }
    nothing_happened(&stack).await;
    assert_eq!(pay(payer, &body, &good).await.status, 200);
    stack.reconcile().await;
}
