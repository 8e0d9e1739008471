//! Streams of a session: side by side, unpaid, left alone, and in every API's shape.

use super::hand::{Hand, told, units};
use super::{refused, session_body, sessions};
use crate::harness::{Answer, until};
use crate::routes::ask;
use groat::metering::Route;
use groat::protocol::mpp::session::Session;
use serde_json::{Value, json};

const DEPOSIT: u64 = 100_000;

fn bill(answer: &Answer) -> u64 {
    units(&answer.receipt()["charged"])
}

/// A model that writes so long that it is paid for on the way.
pub(super) const LONG: &[(&str, &str)] = &[("long", "sim/slow?tps=400&out=256")];

pub(super) fn long(prompt: &str) -> String {
    crate::harness::chat("long", prompt, true).replace("32", "256")
}

#[tokio::test]
async fn streams_side_by_side_end_with_the_sum_of_their_bills_signed_for() {
    let tempo = sessions("", LONG).await;
    let hand = Hand::of(&tempo);
    let (channel, first) = hand.opened(&session_body("one"), DEPOSIT).await;
    let spent = bill(&first);
    let bodies: Vec<String> = (0..4).map(|n| long(&format!("stream {n}"))).collect();
    let calls = bodies
        .iter()
        .map(|body| hand.call(&channel, body, spent + 1));
    let answers = futures::future::join_all(calls).await;
    let mut bills = spent;
    let mut told_spent = Vec::new();
    for answer in &answers {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.body.contains("[DONE]"), "{answer:?}");
        bills += bill(answer);
        let receipt = told(answer);
        assert_eq!(receipt["spent"], receipt["acceptedCumulative"], "{receipt}");
        told_spent.push(units(&receipt["spent"]));
    }
    told_spent.sort_unstable();
    assert_eq!(told_spent.last(), Some(&bills));
    let closed = hand.manage(&channel.voucher("close", bills)).await;
    assert_eq!(closed.status, 200, "{closed:?}");
    assert_eq!(units(&told(&closed)["spent"]), bills);
    assert_eq!(tempo.reconcile().await["calls"], 5);
}

#[tokio::test]
async fn a_stream_that_is_not_signed_for_ends_and_the_next_call_signs_for_it() {
    let tempo = sessions("voucher_patience_ms = 300\n", LONG).await;
    let hand = Hand::of(&tempo);
    let (channel, first) = hand.opened(&session_body("one"), DEPOSIT).await;
    let spent = bill(&first);
    let body = long("two");
    let challenge = hand.asked("session", &body).await;
    let credential = hand.credential(challenge, &channel.voucher("voucher", spent + 1));
    let mut stream = hand
        .begun(hand.post(&body), &credential)
        .await
        .expect("a stream");
    let mut asked = 0;
    let mut unpaid = false;
    while let Some((name, data)) = stream.next().await {
        asked += u32::from(name == "payment-need-voucher");
        unpaid |= data.contains("\"unpaid\"");
    }
    let answer = stream.answer();
    assert!(asked > 0 && unpaid, "{answer:?}");
    // It is cut before its usage: what it cost, its channel's receipt tells.
    let receipt = told(&answer);
    let delivered = units(&receipt["spent"]) - spent;
    assert!(delivered > 0, "{answer:?}");
    assert!(units(&receipt["acceptedCumulative"]) < units(&receipt["spent"]));

    let next = session_body("three");
    let refusal = hand.call(&channel, &next, spent + 1).await;
    refused(&refusal, 402, "session/insufficient-balance", "unsigned");
    let owed = units(&refusal.json()["requiredCumulative"]);
    assert_eq!(owed, spent + delivered + 1);
    let close = hand.manage(&channel.voucher("close", spent + 1)).await;
    refused(
        &close,
        402,
        "session/insufficient-balance",
        "it closes for no less",
    );
    let third = hand.call(&channel, &next, owed).await;
    assert_eq!(third.status, 200, "{third:?}");
    let bills = spent + delivered + bill(&third);
    assert_eq!(units(&told(&third)["spent"]), bills);
    let closed = hand.manage(&channel.voucher("close", bills)).await;
    assert_eq!(closed.status, 200, "{closed:?}");
    assert_eq!(tempo.reconcile().await["calls"], 3);
}

#[tokio::test]
async fn rule_7_a_payer_that_leaves_in_the_middle_owes_what_was_delivered() {
    let slow = [("slow", "sim/slow?tps=20&out=32")];
    let tempo = sessions("voucher_patience_ms = 300\n", &slow).await;
    let hand = Hand::of(&tempo);
    let (channel, first) = hand.opened(&session_body("one"), DEPOSIT).await;
    let spent = bill(&first);
    let (stream, body, credential) = hand.under_way(&channel, spent + 1).await;
    drop(stream);
    // It ends by itself; whoever comes back gets the same.
    let answer = hand.streamed(&channel, &body, &credential).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let report = tempo.reconcile().await;
    assert_eq!(report["calls"], 2);
    let again = hand.streamed(&channel, &body, &credential).await;
    assert_eq!(
        (again.status, again.body),
        (answer.status, answer.body.clone())
    );
    let bills = spent + bill(&answer);
    let closed = hand.manage(&channel.voucher("close", bills)).await;
    assert_eq!(closed.status, 200, "{closed:?}");
    assert_eq!(units(&told(&closed)["spent"]), bills);
    tempo.reconcile().await;
}

#[tokio::test]
async fn rule_7_a_stop_lets_a_stream_be_paid_to_its_end() {
    let slow = [("slow", "sim/slow?tps=10&out=32")];
    let mut tempo = sessions("", &slow).await;
    let hand = Hand::of(&tempo);
    let (channel, first) = hand.opened(&session_body("one"), DEPOSIT).await;
    let spent = bill(&first);
    let body = crate::harness::chat("slow", "two", true);
    let challenge = hand.asked("session", &body).await;
    let credential = hand.credential(challenge.clone(), &channel.voucher("voucher", spent + 1));
    let mut stream = hand
        .begun(hand.post(&body), &credential)
        .await
        .expect("a stream");
    stream.next().await.expect("an event");
    tempo.gateway.signal("TERM").await;
    until("it stops", || async {
        tempo.gateway.log().contains("stopping").then_some(())
    })
    .await;
    // On a connection of its own.
    let other = Hand::of(&tempo);
    while let Some((name, data)) = stream.next().await {
        if name == "payment-need-voucher" {
            let asked: Value = serde_json::from_str(&data).expect("JSON");
            let required = units(&asked["requiredCumulative"]);
            let payload = channel.voucher("voucher", required);
            let taken = other
                .send("", &other.credential(challenge.clone(), &payload))
                .await;
            assert_eq!(taken.status, 200, "{taken:?}");
        }
    }
    let answer = stream.answer();
    assert!(answer.body.contains("[DONE]"), "{answer:?}");
    let receipt = told(&answer);
    assert_eq!(receipt["spent"], receipt["acceptedCumulative"], "{receipt}");
    assert!(tempo.gateway.wait().await.success());
    tempo.gateway.start("").await;
    let closed = hand
        .manage(&channel.voucher("close", spent + bill(&answer)))
        .await;
    assert_eq!(closed.status, 200, "{closed:?}");
    tempo.reconcile().await;
}

#[tokio::test]
async fn streams_of_every_api_are_framed_and_paid_to_the_unit() {
    let escrow = groat::chain::dev::TEMPO_ESCROW;
    let more = format!("[tempo]\nescrow = \"{escrow}\"\n");
    let tempo = super::stack::Tempo::of(super::stack::Setup {
        rails: "\"tempo-session\"",
        more: &more,
        upstream: crate::routes::ALL,
        ..super::stack::Setup::default()
    })
    .await;
    let hand = Hand::of(&tempo);
    let (channel, first) = hand.opened(&session_body("one"), DEPOSIT).await;
    let mut spent = bill(&first);
    for route in [Route::Messages, Route::Responses, Route::Completions] {
        let mut body = ask(route, "m", "hello", true);
        if route == Route::Completions {
            body["stream_options"] = json!({"include_usage": true});
        }
        let body = body.to_string();
        let challenge = hand
            .asked_by("session", hand.post_to(route.path(), &body))
            .await;
        assert!(Session::from_request(&challenge.request).is_some());
        let credential = hand.credential(challenge.clone(), &channel.voucher("voucher", spent + 1));
        let request = hand.post_to(route.path(), &body);
        let mut stream = hand.begun(request, &credential).await;
        let stream = stream
            .as_mut()
            .unwrap_or_else(|answer| panic!("{route:?}: {answer:?}"));
        let mut bills = 0;
        let mut last = Value::Null;
        while let Some((name, data)) = stream.next().await {
            match name.as_str() {
                "payment-need-voucher" => {
                    let asked: Value = serde_json::from_str(&data).expect("JSON");
                    let payload = channel.voucher("voucher", units(&asked["requiredCumulative"]));
                    let there = hand.post_to(route.path(), "");
                    let credential = hand.credential(challenge.clone(), &payload);
                    let taken = Answer::of(there.header("authorization", credential)).await;
                    let taken = taken.expect("an answer");
                    assert_eq!(taken.status, 200, "{route:?}: {taken:?}");
                }
                "payment-receipt" => last = serde_json::from_str(&data).expect("JSON"),
                "message" => {
                    let said: Value = serde_json::from_str(&data).unwrap_or_default();
                    let places = ["/usage/receipt", "/response/usage/receipt"];
                    let receipt = places.iter().find_map(|at| said.pointer(at));
                    bills += receipt.map_or(0, |receipt| units(&receipt["charged"]));
                }
                other => panic!("{route:?}: an event {other:?}"),
            }
        }
        assert!(bills > 0, "{route:?}");
        spent += bills;
        assert_eq!(units(&last["spent"]), spent, "{route:?}: {last}");
        assert_eq!(
            units(&last["acceptedCumulative"]),
            spent,
            "{route:?}: {last}"
        );
    }
    // What is no stream cannot ask for vouchers, and is not offered a session.
    let whole = Answer::of(hand.post(&crate::harness::chat("m", "hello", false))).await;
    assert!(crate::mpp::challenges(&whole.expect("an answer")).is_empty());
    let closed = hand.manage(&channel.voucher("close", spent)).await;
    assert_eq!(closed.status, 200, "{closed:?}");
    assert_eq!(tempo.reconcile().await["calls"], 4);
}
