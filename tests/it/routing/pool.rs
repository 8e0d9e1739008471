//! Five providers, each with a trouble of its own, and many calls.

use super::{Provider, ask, stack};
use crate::harness::{Answer, Payer, total};
use groat::protocol::receipt;
use serde_json::json;
use std::collections::BTreeMap;

const CALLS: usize = 600;
const AT_ONCE: usize = 6;

/// The providers, cheapest first, so that the troubled ones are asked before the good one.
const PROVIDERS: [(&str, &str, &str); 5] = [
    ("dead", "sim/die", "1.0"),
    ("cutting", "sim/x?cut=3", "1.1"),
    ("erring", "sim/x?fail=500&percent=30", "1.2"),
    ("slow", "sim/x?head=40", "1.3"),
    ("good", "sim/small", "1.4"),
];

/// How a paid call came out: not at all, broken off, or whole.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Came {
    NotAtAll,
    BrokenOff,
    Whole,
}

async fn one(payer: &Payer, n: usize) -> (String, Came) {
    let stream = n.is_multiple_of(2);
    let mut members = json!({"seed": n});
    if stream {
        members["stream"] = json!(true);
        members["stream_options"] = json!({"include_usage": true});
    }
    let answer = payer.pay(&ask(&members)).await;
    let came = match answer.status.as_u16() {
        200 if answer.body.contains("upstream_cut") => Came::BrokenOff,
        200 => Came::Whole,
        _ => Came::NotAtAll,
    };
    (answer.call(), came)
}

#[tokio::test]
async fn with_one_dead_one_slow_one_erring_and_one_cutting_paid_calls_are_answered() {
    let mut entries = Vec::new();
    for (name, upstream_id, price) in PROVIDERS {
        let provider = Provider::start(name).await;
        let price = format!("price = {{ prompt = \"{price}\", completion = \"{price}\" }}");
        entries.push(provider.entry("", upstream_id, &price));
    }
    let stack = stack(&entries).await;
    let mut calls = BTreeMap::new();
    for begin in (0..CALLS).step_by(AT_ONCE) {
        let together = (begin..begin + AT_ONCE).map(|n| one(&stack.payer, n));
        calls.extend(futures::future::join_all(together).await);
    }
    assert_eq!(calls.len(), CALLS, "every paid call has an id of its own");
    let count = |came| calls.values().filter(|how| **how == came).count();
    let answered = CALLS - count(Came::NotAtAll);
    assert!(answered * 1000 >= CALLS * 999, "{answered} of {CALLS}");
    // Who cuts is left alone after the first time; calls that began beside it may meet the same.
    assert!(count(Came::BrokenOff) * 100 <= CALLS, "{calls:?}");

    let report = stack.reconcile().await;
    assert_eq!(report["calls"], CALLS);
    let mut charged = 0;
    for (call, came) in &calls {
        let url = format!("{}/v1/receipts/{call}", stack.payer.url);
        let answer = Answer::of(stack.payer.client.get(url)).await;
        let answer = answer.expect("an answer");
        assert_eq!(
            answer.status.is_success(),
            *came != Came::NotAtAll,
            "{call}"
        );
        if *came != Came::NotAtAll {
            assert!(receipt::verify(&answer.body).is_ok(), "{}", answer.body);
            let units = answer.json()["charged"].as_str().map(str::parse::<i64>);
            charged += units.expect("units").expect("a number");
        }
    }
    let captured = total(&report, "captured");
    assert_eq!(
        captured, charged,
        "each answered call is billed once, no other"
    );
}
