//! `tempo/session`: the published client runs metered streams out of a channel.

use super::hand::Hand;
use super::stack::{Client, Tempo};
use crate::harness::Answer;
use alloy::primitives::U256;
use groat::chain::dev::TEMPO_ESCROW;
use serde_json::{Value, json};

const SESSION: &str = "\"tempo-session\"";

fn units(value: &Value) -> u64 {
    let text = value.as_str().unwrap_or_default();
    text.parse().unwrap_or_else(|_| panic!("units: {value}"))
}

#[tokio::test]
async fn a_session_is_paid_to_the_unit_of_its_bills() {
    let more = format!("[tempo]\nescrow = \"{TEMPO_ESCROW}\"\n");
    let tempo = Tempo::with(SESSION, &more).await;
    let payee = tempo.chain.relayer_key.address();
    let before = tempo.chain.balance_of(payee).await.expect("a balance");
    let said = tempo
        .run(
            Client::MppRs,
            &["session", "What is a groat?"],
            &[("STREAMS", "3")],
        )
        .await
        .unwrap_or_else(|problem| panic!("{problem}"));
    let streams = said["streams"].as_array().expect("streams");
    assert_eq!(streams.len(), 3, "{said}");
    let mut bills = 0;
    for stream in streams {
        let asked = stream["need_vouchers"].as_array().expect("a list");
        assert!(!asked.is_empty(), "it runs dry: {stream}");
        bills += units(&stream["usage"]["receipt"]["charged"]);
        let receipt = &stream["receipt"];
        assert_eq!(units(&receipt["spent"]), bills, "{stream}");
        assert_eq!(units(&receipt["acceptedCumulative"]), bills, "{stream}");
        let chunks = stream["chunks"].as_array().expect("chunks");
        assert_eq!(chunks.last(), Some(&Value::from("[DONE]")), "{stream}");
    }
    let closed = &said["close"];
    assert_eq!(units(&closed["spent"]), bills, "{said}");
    assert!(closed["txHash"].is_string(), "{said}");
    let left = tempo.chain.balance_of(tempo.chain.escrow).await;
    assert_eq!(left.expect("a balance"), U256::ZERO, "the rest went back");
    let after = tempo.chain.balance_of(payee).await.expect("a balance");
    // The payee pays for the gas of the close, in the same token.
    assert!(
        after <= before + U256::from(bills),
        "{before} {after} {bills}"
    );
    let report = tempo.reconcile().await;
    assert_eq!(report["calls"], 3, "{report}");
    assert_eq!(tempo.seen().await.total, 3);
}

/// What the request of the client in Rust can cost at most.
async fn ceiling(tempo: &Tempo, prompt: &str) -> u64 {
    let body = json!({
        "model": "m",
        "messages": [{ "role": "user", "content": prompt }],
        "max_tokens": 16,
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    let asked = Hand::of(tempo).post(&body.to_string());
    let answer = Answer::of(asked).await.expect("an answer");
    let quote = answer.header("groat-quote").expect("a quote");
    let usd = quote.split('"').nth(1).expect("a ceiling");
    let (whole, parts) = usd.split_once('.').unwrap_or((usd, ""));
    format!("{whole}{parts:0<6}").parse().expect("units")
}

#[tokio::test]
async fn a_deposit_that_is_used_up_is_refused_by_name_and_mended_by_a_top_up() {
    let more = format!("[tempo]\nescrow = \"{TEMPO_ESCROW}\"\n");
    let tempo = Tempo::with(SESSION, &more).await;
    let ceiling = ceiling(&tempo, "What is a groat?").await;
    // One fits, and beside what it cost no other.
    let deposit = (ceiling + 1).to_string();
    let few = &[("STREAMS", "3"), ("DEPOSIT", &*deposit)];
    let stuck = tempo
        .run(Client::MppRs, &["session", "What is a groat?"], few)
        .await;
    let stuck = stuck.expect_err("a second stream does not fit");
    assert!(
        stuck.contains("session/amount-exceeds-deposit"),
        "its user is told what to do: {stuck}"
    );
    assert_eq!(tempo.seen().await.total, 1, "the first one did: {stuck}");
    let filled = &[("STREAMS", "3"), ("DEPOSIT", &*deposit), ("TOP_UP", "5000")];
    let said = tempo
        .run(Client::MppRs, &["session", "What is a groat?"], filled)
        .await
        .unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(said["top_up"]["status"], 200, "{said}");
    let filled = units(&said["top_up"]["receipt"]["deposit"]);
    assert_eq!(filled, ceiling + 1 + 5000, "{said}");
    let streams = said["streams"].as_array().expect("streams");
    let bills: u64 = streams
        .iter()
        .map(|stream| units(&stream["usage"]["receipt"]["charged"]))
        .sum();
    assert_eq!(units(&said["close"]["spent"]), bills, "{said}");
    // The channel of the first run is still open.
    let left = tempo.chain.balance_of(tempo.chain.escrow).await;
    assert_eq!(left.expect("a balance"), U256::from(ceiling + 1));
    assert_eq!(tempo.reconcile().await["faults"], json!([]));
}
