//! The behaviours that the published conformance server has, as far as they are of this method, and what
//! a credential must not buy.

use super::wallet::{ARRAY, answering, asked, nonce, nothing_happened, pay_on, signed};
use super::{challenges, credential, pay};
use crate::harness::{Answer, Setup, Stack, chat};
use crate::routes::{ALL, ask};
use alloy::primitives::U256;
use groat::metering::Route;
use groat::protocol::eip3009::Authorization;
use groat::protocol::mpp::evm::{self, Charge};
use groat::protocol::mpp::{Challenge, Credential, Keys};
use serde_json::{Value, json};

/// A refusal with this problem and a fresh challenge.
pub(super) fn refused(answer: &Answer, problem: &str, what: &str) {
    assert_eq!(answer.status, 402, "{what}: {}", answer.body);
    let kind = format!("https://paymentauth.org/problems/{problem}");
    assert_eq!(answer.json()["type"], kind, "{what}: {}", answer.body);
    assert_eq!(challenges(answer).len(), 1, "{what}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    assert_eq!(answer.header("payment-receipt"), None, "{what}");
}

#[tokio::test]
async fn rule_9_a_credential_buys_nothing_but_what_its_challenge_was_made_for() {
    let setup = Setup {
        upstream: ALL,
        models: vec![("dear", "sim/openai")],
        prices: vec![(
            "dear",
            r#"prompt = "28", completion = "40", cache_read = "2.8""#,
        )],
        ..Setup::default()
    };
    let stack = Stack::with(setup).await;
    let payer = &stack.payer;
    let small = chat("m", "hello", false);
    let good = credential(payer, &small).await;

    let larger = chat("m", &"hello ".repeat(500), false);
    refused(
        &pay(payer, &larger, &good).await,
        "verification-failed",
        "a larger body",
    );
    let dearer = chat("dear", "hello", false);
    refused(
        &pay(payer, &dearer, &good).await,
        "verification-failed",
        "another model",
    );
    let stream = chat("m", "hello", true);
    refused(
        &pay(payer, &stream, &good).await,
        "verification-failed",
        "a stream",
    );
    let message = ask(Route::Messages, "m", "hello", false).to_string();
    let answer = pay_on(payer, Route::Messages, &message, &good).await;
    refused(&answer, "verification-failed", "another route");
    // The very body on a route that would take it too.
    let same = pay_on(payer, Route::Messages, &small, &good).await;
    refused(
        &same,
        "verification-failed",
        "the same body on another route",
    );
    nothing_happened(&stack).await;
}

#[tokio::test]
async fn rule_9_a_challenge_that_was_changed_or_made_elsewhere_buys_nothing() {
    let stack = Stack::usual().await;
    let payer = &stack.payer;
    let body = chat("m", "hello", false);
    let challenge = asked(payer, &body).await;
    let cheap = Charge {
        amount: groat::money::Units::from_atomic(1),
        ..Charge::from_request(&challenge.request).expect("a charge")
    };
    let changed = |member: &str, value: String| {
        let mut wire = json!(challenge);
        wire[member] = value.into();
        let changed: Challenge = serde_json::from_value(wire).expect("a challenge");
        changed
    };
    let later = "2099-01-01T00:00:00Z".to_owned();
    let forged = [
        changed("request", cheap.to_request()),
        changed("realm", "other.example.com".to_owned()),
        changed("method", "tempo".to_owned()),
        changed("expires", later),
        changed("id", format!("{}x", challenge.id)),
    ];
    for challenge in forged {
        let credential = answering(payer, challenge.clone(), ARRAY)
            .to_header()
            .expect("a header");
        refused(
            &pay(payer, &body, &credential).await,
            "invalid-challenge",
            &challenge.id,
        );
    }
    // Sealed by somebody else, for the same realm and request.
    let keys = Keys::new(b"a secret of another server, long enough", []).expect("keys");
    let elsewhere = Challenge {
        id: keys.id_of(&challenge),
        ..challenge.clone()
    };
    let credential = answering(payer, elsewhere, ARRAY)
        .to_header()
        .expect("a header");
    refused(
        &pay(payer, &body, &credential).await,
        "invalid-challenge",
        "another secret",
    );
    // Without an end nothing was ever made here.
    let endless = Challenge {
        expires: None,
        ..challenge.clone()
    };
    let credential = Credential {
        challenge: endless,
        ..answering(payer, challenge, ARRAY)
    };
    refused(
        &pay(payer, &body, &credential.to_header().expect("a header")).await,
        "invalid-challenge",
        "no end",
    );
    nothing_happened(&stack).await;
}

#[tokio::test]
async fn what_is_signed_for_something_else_is_refused() {
    let stack = Stack::usual().await;
    let payer = &stack.payer;
    let body = chat("m", "hello", false);
    let challenge = asked(payer, &body).await;
    let charge = Charge::from_request(&challenge.request).expect("a charge");
    let expires = challenge.expires.as_deref().and_then(evm::unix_seconds);
    let right = Authorization {
        from: payer.key.address(),
        to: charge.recipient,
        value: U256::from(charge.amount.atomic()),
        valid_after: U256::ZERO,
        valid_before: U256::from(expires.expect("an end")),
        nonce: evm::nonces(&challenge)[ARRAY],
    };
    let one = U256::from(1);
    let wrong = [
        (
            "nonce",
            Authorization {
                nonce: nonce(),
                ..right.clone()
            },
        ),
        (
            "longer",
            Authorization {
                valid_before: right.valid_before + one,
                ..right.clone()
            },
        ),
        (
            "less",
            Authorization {
                value: right.value - one,
                ..right.clone()
            },
        ),
        (
            "payee",
            Authorization {
                to: payer.key.address(),
                ..right.clone()
            },
        ),
        (
            "later",
            Authorization {
                valid_after: right.valid_before - one,
                ..right.clone()
            },
        ),
    ];
    for (what, authorization) in wrong {
        let credential = signed(payer, challenge.clone(), &authorization)
            .to_header()
            .expect("a header");
        refused(
            &pay(payer, &body, &credential).await,
            "verification-failed",
            what,
        );
    }
    let past = Authorization {
        valid_before: one,
        ..right.clone()
    };
    let credential = signed(payer, challenge.clone(), &past)
        .to_header()
        .expect("a header");
    refused(
        &pay(payer, &body, &credential).await,
        "payment-expired",
        "the past",
    );
    let stranger = Credential {
        source: Some(evm::source(charge.network, charge.recipient)),
        ..signed(payer, challenge.clone(), &right)
    };
    refused(
        &pay(payer, &body, &stranger.to_header().expect("a header")).await,
        "verification-failed",
        "source",
    );
    let good = signed(payer, challenge, &right);
    let mut payload: Value = serde_json::from_str(&good.payload).expect("JSON");
    payload["type"] = "hash".into();
    let hash = Credential {
        payload: payload.to_string(),
        ..good.clone()
    };
    refused(
        &pay(payer, &body, &hash.to_header().expect("a header")).await,
        "invalid-payload",
        "a hash",
    );
    nothing_happened(&stack).await;
    // All that time the challenge itself stayed good.
    assert_eq!(
        pay(payer, &body, &good.to_header().expect("a header"))
            .await
            .status,
        200
    );
    stack.reconcile().await;
}

#[tokio::test]
async fn what_cannot_be_read_gets_a_fresh_challenge_and_two_payments_get_none() {
    let stack = Stack::usual().await;
    let payer = &stack.payer;
    let body = chat("m", "hello", false);
    for wrong in [
        "Payment dGhpcyBpcyBnYXJiYWdl",
        "Payment",
        "Payment !",
        "Payment e30",
    ] {
        refused(
            &pay(payer, &body, wrong).await,
            "malformed-credential",
            wrong,
        );
    }
    let one = credential(payer, &body).await;
    let two = credential(payer, &body).await;
    let both = payer.post(&body).header("authorization", &one);
    let both = Answer::of(both.header("payment-authorization", &two)).await;
    let both = both.expect("an answer");
    assert_eq!(both.status, 400, "{}", both.body);
    assert_eq!(
        both.json()["type"],
        "https://paymentauth.org/problems/bad-request"
    );
    let x402 = payer.payment(&body).await;
    let both = payer.post(&body).header("authorization", &one);
    let both = Answer::of(both.header("payment-signature", x402)).await;
    assert_eq!(both.expect("an answer").status, 402);
    nothing_happened(&stack).await;
}

#[tokio::test]
async fn a_credential_comes_in_either_header_and_beside_a_key() {
    let stack = Stack::usual().await;
    let payer = &stack.payer;
    let body = chat("m", "hello", false);
    let beside = payer
        .post(&body)
        .header("authorization", "Bearer sk-unused");
    let beside = beside.header("payment-authorization", credential(payer, &body).await);
    let beside = Answer::of(beside).await.expect("an answer");
    assert_eq!(beside.status, 200, "{}", beside.body);
    let listed = format!("Bearer sk-unused, {}", credential(payer, &body).await);
    let listed = pay(payer, &body, &listed).await;
    assert_eq!(listed.status, 200, "{}", listed.body);
    for call in stack.seen().await.calls {
        let sent = format!("{:?}", call.headers);
        assert!(
            !sent.contains("sk-unused") && !sent.contains("Payment "),
            "{sent}"
        );
    }
    stack.reconcile().await;
}

#[tokio::test]
async fn preferences_are_heard_and_never_hide_what_there_is() {
    let stack = Stack::usual().await;
    let body = chat("m", "hello", false);
    for preferences in [
        "evm/charge",
        "tempo/charge;q=0.9, stripe/charge;q=0.1",
        "*/*;q=0",
        "?",
    ] {
        let request = stack
            .payer
            .post(&body)
            .header("accept-payment", preferences);
        let answer = Answer::of(request).await.expect("an answer");
        let offered = challenges(&answer);
        let offered: Vec<&str> = offered.iter().map(|c| c.method.as_str()).collect();
        assert_eq!(offered, ["evm"], "{preferences}");
    }
    nothing_happened(&stack).await;
}

#[tokio::test]
async fn where_exact_is_not_offered_or_mpp_not_wanted_there_is_no_challenge() {
    for payment in [r#"rails = ["upto"]"#, "[mpp]\nenabled = false"] {
        let setup = Setup {
            payment,
            ..Setup::default()
        };
        let stack = Stack::with(setup).await;
        let body = chat("m", "hello", false);
        let answer = Answer::of(stack.payer.post(&body))
            .await
            .expect("an answer");
        assert_eq!(answer.status, 402);
        assert_eq!(answer.header("www-authenticate"), None, "{payment}");
    }
}

#[tokio::test]
async fn a_secret_that_was_replaced_is_known_as_long_as_it_stands_there() {
    let old = "an old secret of more than 32 bytes, at least";
    let new = "a new secret of more than 32 bytes, at least";
    let mut stack = Stack::with(Setup {
        payment: "[mpp]\nsecret = { env = \"IT_MPP_SECRET\" }",
        environment: vec![
            ("IT_MPP_SECRET", old.to_owned()),
            ("IT_MPP_SECRET_NEW", new.to_owned()),
        ],
        ..Setup::default()
    })
    .await;
    let body = chat("m", "hello", false);
    let before = credential(&stack.payer, &body).await;
    let outlived = credential(&stack.payer, &body).await;
    let secret = "secret = { env = \"IT_MPP_SECRET\" }";
    let rotated =
        "secret = { env = \"IT_MPP_SECRET_NEW\" }\nsecret_previous = { env = \"IT_MPP_SECRET\" }";
    let gone = "secret = { env = \"IT_MPP_SECRET_NEW\" }";
    stack
        .gateway
        .rewrite_config(|text| text.replace(secret, rotated));
    assert!(stack.gateway.terminate().await);
    stack.gateway.start("").await;
    assert_eq!(pay(&stack.payer, &body, &before).await.status, 200);
    stack
        .gateway
        .rewrite_config(|text| text.replace(rotated, gone));
    assert!(stack.gateway.terminate().await);
    stack.gateway.start("").await;
    refused(
        &pay(&stack.payer, &body, &outlived).await,
        "invalid-challenge",
        "gone",
    );
    stack.reconcile().await;
}

#[tokio::test]
async fn browsers_may_send_and_read_what_mpp_needs() {
    let stack = Stack::usual().await;
    let url = format!("{}/v1/chat/completions", stack.payer.url);
    let client = &stack.payer.client;
    let preflight = client.request(reqwest::Method::OPTIONS, &url);
    let preflight = preflight
        .header("origin", "https://app.example.com")
        .header("access-control-request-method", "POST");
    let allowed = Answer::of(preflight).await.expect("an answer");
    let allowed = allowed
        .header("access-control-allow-headers")
        .expect("a list");
    for name in [
        "authorization",
        "payment-authorization",
        "accept-payment",
        "idempotency-key",
    ] {
        assert!(allowed.contains(name), "{name} is not among {allowed}");
    }
    let asked = stack.payer.post(&chat("m", "hello", false));
    let asked = Answer::of(asked.header("origin", "https://app.example.com")).await;
    let asked = asked.expect("an answer");
    let exposed = asked
        .header("access-control-expose-headers")
        .expect("a list");
    for name in ["www-authenticate", "payment-required", "payment-receipt"] {
        assert!(exposed.contains(name), "{name} is not among {exposed}");
    }
}
