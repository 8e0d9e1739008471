//! Upstreams that fail in every way, and what is charged for it.

use crate::harness::{Setup, Stack, chat, total};
use groat::protocol::receipt;
use serde_json::Value;

/// Model, what the provider does, the answer's status and its error code.
type Fault = (&'static str, &'static str, u16, &'static str);

const BEFORE_THE_FIRST_BYTE: [Fault; 12] = [
    ("die", "sim/die", 502, "upstream_failed"),
    ("hang", "sim/hang", 504, "upstream_timeout"),
    ("fail-500", "sim/fail-500", 502, "upstream_failed"),
    ("fail-503", "sim/fail-503", 502, "upstream_failed"),
    ("redirect", "sim/fail-302", 502, "upstream_failed"),
    ("402", "sim/402", 503, "upstream_unavailable"),
    ("fail-401", "sim/fail-401", 503, "upstream_unavailable"),
    ("fail-403", "sim/fail-403", 503, "upstream_unavailable"),
    (
        "fail-429",
        "sim/busy?fail=429&retry=7",
        429,
        "upstream_rate_limited",
    ),
    ("fail-400", "sim/fail-400", 400, "400"),
    ("fail-404", "sim/fail-404", 404, "404"),
    ("error-first", "sim/sorry?err=0", 502, "upstream_failed"),
];

fn setup(faults: &[Fault]) -> Setup {
    Setup {
        models: faults
            .iter()
            .map(|(id, upstream, ..)| (*id, *upstream))
            .collect(),
        upstream: "first_byte_timeout_ms = 500",
        ..Setup::default()
    }
}

/// Meets every fault, whole and streamed, and gives the calls.
async fn meet_all(stack: &Stack) -> Vec<String> {
    let mut calls = Vec::new();
    for (model, _, status, code) in BEFORE_THE_FIRST_BYTE {
        for stream in [false, true] {
            let answer = stack.payer.pay(&chat(model, "hello", stream)).await;
            assert_eq!(answer.status, status, "{model}: {answer:?}");
            assert_eq!(answer.code(), code, "{model}: {}", answer.body);
            assert_eq!(
                answer.header("payment-required"),
                None,
                "{model}: no challenge for our own bill"
            );
            assert_eq!(answer.header("www-authenticate"), None, "{model}");
            assert!(
                !answer.body.contains("Insufficient credits"),
                "{model}: {}",
                answer.body
            );
            match status {
                429 => assert_eq!(answer.header("retry-after"), Some("7"), "{model}"),
                503 => assert!(answer.header("retry-after").is_some(), "{model}"),
                400 => assert_eq!(
                    answer.json()["error"]["message"],
                    "The simulated provider failed."
                ),
                _ => {}
            }
            calls.push(answer.call());
        }
    }
    calls
}

#[tokio::test]
async fn rule_6_failed_before_the_first_byte_nothing_is_charged() {
    for payment in ["settle = \"on_first_byte\"", "settle = \"after\""] {
        let stack = Stack::with(Setup {
            payment,
            ..setup(&BEFORE_THE_FIRST_BYTE)
        })
        .await;
        let funds = stack.balance(stack.payer.key.address()).await;
        let calls = meet_all(&stack).await;
        let report = stack.reconcile().await;
        assert_eq!(report["calls"], calls.len());
        assert_eq!(total(&report, "captured"), 0, "{payment}");
        assert_eq!(total(&report, "settled"), 0, "{payment}");
        assert_eq!(
            stack.balance(stack.payer.key.address()).await,
            funds,
            "{payment}"
        );
    }
}

#[tokio::test]
async fn rule_1_a_payment_settled_before_a_failure_is_credited_whole() {
    let payment = "settle = \"before\"";
    let stack = Stack::with(Setup {
        payment,
        ..setup(&BEFORE_THE_FIRST_BYTE)
    })
    .await;
    let funds = stack.balance(stack.payer.key.address()).await;
    let calls = meet_all(&stack).await;
    let report = stack.reconcile().await;
    assert_eq!(report["calls"], calls.len());
    assert_eq!(total(&report, "captured"), 0);
    let paid = funds - stack.balance(stack.payer.key.address()).await;
    assert!(paid > 0);
    assert_eq!(total(&report, "settled"), paid as i64);
    assert_eq!(
        total(&report, "available"),
        paid as i64,
        "all of it is credit"
    );
    for call in calls {
        let receipt = stack.receipt(&call).await;
        holds(&receipt);
        assert_eq!(units(&receipt, "charged"), 0);
        assert_eq!(receipt["credited"], receipt["held"]);
        assert_eq!(flags(&receipt), ["voided"]);
    }
}

#[tokio::test]
async fn rule_12_an_upstreams_402_is_never_a_challenge() {
    let stack = Stack::with(Setup {
        models: vec![("poor", "sim/402")],
        ..Setup::default()
    })
    .await;
    for stream in [false, true] {
        let answer = stack.payer.pay(&chat("poor", "hello", stream)).await;
        assert_eq!(answer.status, 503, "{}", answer.body);
        for name in [
            "payment-required",
            "payment-response",
            "x-payment-response",
            "payment-receipt",
            "www-authenticate",
        ] {
            assert_eq!(answer.header(name), None, "{name}");
        }
        assert!(!answer.body.contains("credits"), "{}", answer.body);
    }
}

#[tokio::test]
async fn rule_6_a_cut_stream_is_billed_by_what_was_delivered() {
    let models = vec![
        ("cut-1", "sim/cut?cut=1"),
        ("cut-3", "sim/cut?cut=3"),
        ("cut-10", "sim/cut?cut=10"),
        ("sorry-3", "sim/sorry?err=3"),
    ];
    let stack = Stack::with(Setup {
        models: models.clone(),
        ..Setup::default()
    })
    .await;
    let mut charges = Vec::new();
    for (model, _) in models {
        let answer = stack.payer.pay(&chat(model, "hello", true)).await;
        assert_eq!(answer.status, 200, "{model}: {}", answer.body);
        let told = answer
            .events()
            .iter()
            .any(|event| event.starts_with("{\"error\":{"));
        assert!(told, "{model}: the caller learns of it: {}", answer.body);
        let delivered = answer
            .events()
            .iter()
            .filter(|event| event.contains("\"delta\":{\"content\""))
            .count() as u64;
        assert!(delivered > 0, "{model}: {}", answer.body);

        let receipt = stack.receipt(&answer.call()).await;
        holds(&receipt);
        assert_eq!(receipt["usage_source"], "estimated", "{model}");
        assert!(
            flags(&receipt).contains(&"upstream_cut".to_owned()),
            "{model}: {receipt}"
        );
        let output = receipt["usage"]["output"].as_u64().expect("tokens");
        assert!(
            (1..=delivered).contains(&output),
            "{model}: {output} of {delivered}"
        );
        charges.push(units(&receipt, "charged"));
    }
    assert!(
        charges[0] <= charges[1] && charges[1] <= charges[2],
        "{charges:?}"
    );
    assert_eq!(
        charges[1], charges[3],
        "an error event is a cut: {charges:?}"
    );
    stack.reconcile().await;
}

#[tokio::test]
async fn rule_6_a_whole_answer_that_is_cut_is_no_answer() {
    let models = vec![("cut", "sim/cut"), ("sorry", "sim/error-event")];
    let stack = Stack::with(Setup {
        models: models.clone(),
        ..Setup::default()
    })
    .await;
    for (model, _) in models {
        let answer = stack.payer.pay(&chat(model, "hello", false)).await;
        assert_eq!(answer.status, 502, "{model}: {}", answer.body);
        assert_eq!(answer.code(), "upstream_failed");
    }
    let report = stack.reconcile().await;
    assert_eq!(total(&report, "settled"), 0);
}

/// Rules 3 and 4, of any receipt: the signature and the bill hold, and charged ≤ held ≤ ceiling.
pub(crate) fn holds(receipt: &Value) {
    receipt::verify(&receipt.to_string()).unwrap_or_else(|faults| panic!("{faults:?}: {receipt}"));
    let (charged, held) = (units(receipt, "charged"), units(receipt, "held"));
    assert!(
        charged <= held && held <= units(receipt, "ceiling"),
        "{receipt}"
    );
}

/// An amount of a receipt in atomic units.
pub(crate) fn units(receipt: &Value, name: &str) -> u64 {
    let text = receipt[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {receipt}"));
    text.parse().expect("atomic units")
}

pub(crate) fn flags(receipt: &Value) -> Vec<String> {
    serde_json::from_value(receipt["flags"].clone())
        .unwrap_or_else(|_| panic!("no flags in {receipt}"))
}
