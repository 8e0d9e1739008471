//! `kill -9` at every place of a call's life: what was captured is settled once, of the charged amount.

#![cfg(feature = "failpoints")]

use super::{approve, balance, charged, good};
use crate::harness::{Setup, Stack, chat};
use alloy::primitives::U256;
use futures::future::join_all;
use std::collections::HashMap;

const PLACES: [&str; 8] = [
    "hold",
    "forward",
    "first_byte",
    "usage",
    "capture",
    "receipt",
    "settle_sent",
    "settle_confirmed",
];

#[tokio::test(flavor = "multi_thread")]
async fn rule_1_killed_anywhere_a_capture_is_settled_once_and_of_the_bill() {
    let mut stack = Stack::with(Setup {
        models: vec![("slow", "sim/small?tps=600")],
        ..Setup::default()
    })
    .await;
    approve(&stack, U256::MAX).await;
    // A connection kept from a dead gateway would fail in place of the call.
    let unpooled = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0);
    stack.payer.client = unpooled.build().expect("a client");
    let mut bills: HashMap<String, u64> = HashMap::new();
    let mut gone = 0;
    for (round, place) in PLACES.iter().cycle().take(PLACES.len() * 2).enumerate() {
        stack.gateway.kill_9().await;
        let armed = match round % 3 {
            0 => format!("{place}=return"),
            spared => format!("{place}={spared}*off->return"),
        };
        stack.gateway.start(&armed).await;
        let mut purchases = Vec::new();
        for n in 0..4 {
            let model = if n % 2 == 0 { "m" } else { "slow" };
            let body = chat(model, &format!("{place} {round} {n}"), n > 1);
            let payment = good(&stack.payer, &body).await;
            purchases.push((body, payment));
        }
        let sent = purchases.iter();
        let sent = sent.map(|(body, payment)| stack.payer.send(body, payment));
        let before = join_all(sent).await;
        stack.gateway.wait().await;
        stack.gateway.start("").await;
        for ((body, payment), before) in purchases.iter().zip(before) {
            let after = stack.payer.send(body, payment).await.expect("an answer");
            if let Ok(before) = &before {
                assert_eq!(before.status, 200, "{place}: {before:?}");
                bills.insert(before.call(), charged(before));
            }
            if after.status == 200 {
                let bill = charged(&after);
                let first = *bills.entry(after.call()).or_insert(bill);
                assert_eq!(first, bill, "{place}: another bill for the same call");
            } else {
                assert_eq!(after.status, 409, "{place}: {after:?}");
                gone += 1;
            }
        }
        // What is left to settle would meet the next round's failpoint before its purchases do.
        stack.reconcile().await;
    }
    let report = stack.reconcile().await;
    let total = |name: &str| report["totals"][0][name].as_u64().expect("an amount");
    assert_eq!(total("settled"), total("captured"), "{report}");
    let known: u64 = bills.values().sum();
    assert!(
        known > 0 && known <= total("captured"),
        "{known} of {report}"
    );
    assert!(gone > 0, "some calls died before their answer was kept");
    let payee = stack.chain.pay_to_key.address();
    let moved = balance(&stack, payee).await;
    assert_eq!(moved, U256::from(total("captured")));
    let payer = stack.payer.key.address();
    let funds = U256::from(groat::chain::dev::PAYER_FUNDS);
    assert_eq!(balance(&stack, payer).await, funds - moved);
}
