//! A caller that leaves a stream for good: whether the provider is heard to its end follows from what it
//! bills on a cancel, and the bill is right either way.

use crate::faults::{flags, holds};
use crate::harness::{Payer, Setup, Stack, chat, until};
use groat::metering::Route;
use groat::sim::CallRecord;
use reqwest::Response;
use serde_json::{Value, json};

/// Tokens of the answer when nobody cuts it.
const OUTPUT: u64 = 60;
/// The same of an answer that takes half a minute.
const LONG: u64 = 600;

/// A slow model of every kind.
const SLOW: [(&str, &str); 3] = [
    ("long", "sim/slow?slow=50&out=600&tps=0&delay=0"),
    ("slow", "sim/slow?slow=50&out=60&tps=0&delay=0"),
    ("late", "sim/late?head=300&slow=50&out=60"),
];

/// A gateway before a provider that stops, and bills no more, when it is cancelled.
async fn stopping(abandon: &'static str) -> Stack {
    Stack::with(Setup {
        models: SLOW.to_vec(),
        upstream: "cancel_abandoned = true\nroutes = [\"chat\", \"responses\", \"messages\"]",
        gateway: abandon,
        ..Setup::default()
    })
    .await
}

/// Reads so many events of an answer and hangs up; returns the call's id and what was read.
async fn leave(mut response: Response, events: usize) -> (String, String) {
    let call = response.headers()["groat-call-id"].to_str();
    let call = call.expect("a call id").to_owned();
    let mut read = String::new();
    while read.matches("\n\n").count() < events {
        let bytes = response
            .chunk()
            .await
            .expect("a chunk")
            .expect("more events");
        read.push_str(&String::from_utf8_lossy(&bytes));
    }
    (call, read)
}

async fn begun(payer: &Payer, route: Route, body: &str, payment: &str) -> Response {
    let request = payer.post_to(route, body);
    let sent = request.header("payment-signature", payment).send().await;
    let response = sent.expect("an answer");
    assert_eq!(response.status(), 200);
    response
}

/// The provider's record of its only call, once its client has left.
async fn left(stack: &Stack) -> CallRecord {
    until("the provider sees that its client left", || async {
        let call = stack.seen().await.calls.pop()?;
        assert!(!call.completed, "it was heard to its end: {call:?}");
        call.left.then_some(call)
    })
    .await
}

/// A body of a route that asks a model for a stream.
fn ask(route: Route, model: &str) -> String {
    let mut body = json!({"model": model, "stream": true});
    let messages = json!([{"role": "user", "content": "hello"}]);
    match route {
        Route::Responses => {
            body["input"] = messages;
            body["max_output_tokens"] = json!(LONG);
        }
        _ => {
            body["messages"] = messages;
            body["max_tokens"] = json!(LONG);
        }
    }
    body.to_string()
}

#[tokio::test]
async fn rule_7_a_stream_that_nobody_wants_is_cancelled_and_billed_by_what_was_delivered() {
    for route in [Route::Chat, Route::Responses, Route::Messages] {
        let stack = stopping("abandon_after_ms = 200").await;
        let body = ask(route, "long");
        let payment = stack.payer.payment_to(route, &body).await;
        let response = begun(&stack.payer, route, &body, &payment).await;
        let (call, read) = leave(response, 8).await;
        let seen = left(&stack).await;
        assert!(seen.tokens_billed < LONG, "{seen:?}");
        assert_eq!(seen.tokens_billed, seen.tokens_sent);

        let receipt = stack.receipt(&call).await;
        holds(&receipt);
        assert_eq!(receipt["usage_source"], "estimated", "{receipt}");
        let flags = flags(&receipt);
        assert!(flags.contains(&"abandoned".to_owned()), "{flags:?}");
        assert!(!flags.contains(&"upstream_cut".to_owned()), "{flags:?}");
        // A token of the simulator is four bytes, as one of the estimate; its last may have been on the way.
        let output = receipt["usage"]["output"].as_u64().expect("a count");
        assert!(
            (seen.tokens_sent - 1..=seen.tokens_sent).contains(&output),
            "{seen:?} {receipt}"
        );

        // The same payment gets what there is, and is told that there is no more.
        let request = stack.payer.post_to(route, &body);
        let again = request.header("payment-signature", &payment).send().await;
        let again = again.expect("an answer").text().await.expect("its body");
        assert!(again.starts_with(&read), "{route}: {again}");
        let told: Vec<Value> = again
            .lines()
            .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
            .filter(|event: &Value| event.to_string().contains("\"abandoned\""))
            .collect();
        let code = match route {
            Route::Responses => &told[0]["code"],
            _ => &told[0]["error"]["code"],
        };
        assert_eq!(code, "abandoned", "{route}: {again}");
        assert_eq!(stack.seen().await.total, 1);
        stack.reconcile().await;
    }
}

#[tokio::test]
async fn rule_7_where_a_cancel_is_billed_the_provider_is_heard_to_its_end() {
    let stack = Stack::with(Setup {
        models: vec![("slow", "sim/slow?slow=10&out=60&tps=0&delay=0&on")],
        gateway: "abandon_after_ms = 0",
        ..Setup::default()
    })
    .await;
    let body = ask(Route::Chat, "slow");
    let payment = stack.payer.payment(&body).await;
    let response = begun(&stack.payer, Route::Chat, &body, &payment).await;
    let (call, read) = leave(response, 8).await;
    let receipt = stack.receipt(&call).await;
    holds(&receipt);
    let seen = stack.seen().await.calls.pop().expect("a call");
    assert!(seen.completed && !seen.left, "{seen:?}");
    assert_eq!(seen.tokens_billed, OUTPUT);
    assert_eq!(receipt["usage_source"], "reported");
    assert_eq!(receipt["usage"]["output"], OUTPUT);
    assert_eq!(flags(&receipt), [""; 0]);
    let again = stack.payer.send(&body, &payment).await.expect("an answer");
    assert!(again.body.starts_with(&read) && again.body.ends_with("data: [DONE]\n\n"));
    stack.reconcile().await;
}

#[tokio::test]
async fn rule_7_a_caller_that_comes_back_in_time_gets_all_of_its_stream() {
    let stack = stopping("abandon_after_ms = 60000").await;
    let body = ask(Route::Chat, "slow");
    let payment = stack.payer.payment(&body).await;
    // Twice it leaves and comes back: the first listener of the second stay is not the last.
    let mut read = String::new();
    for events in [4, 12] {
        let response = begun(&stack.payer, Route::Chat, &body, &payment).await;
        let (_, seen) = leave(response, events).await;
        assert!(seen.starts_with(&read), "from the first byte on");
        let sent = events as u64 + 2;
        until("the provider goes on while nobody listens", || async {
            let call = stack.seen().await.calls.pop()?;
            assert!(!call.left, "{call:?}");
            (call.tokens_sent >= sent).then_some(())
        })
        .await;
        read = seen;
    }
    let answer = stack.payer.send(&body, &payment).await.expect("an answer");
    assert!(answer.body.starts_with(&read));
    assert!(answer.body.ends_with("data: [DONE]\n\n"), "{}", answer.body);
    let receipt = stack.receipt(&answer.call()).await;
    holds(&receipt);
    assert_eq!(receipt["usage_source"], "reported");
    assert_eq!(receipt["usage"]["output"], OUTPUT);
    assert_eq!(flags(&receipt), [""; 0]);
    stack.reconcile().await;
}

/// Nothing has begun when the caller leaves: a stream is cancelled from its first token on, an answer in
/// one piece never.
#[tokio::test]
async fn rule_7_a_caller_that_leaves_before_the_first_token_pays_nevertheless() {
    for stream in [true, false] {
        let stack = stopping("abandon_after_ms = 0").await;
        let body = chat("late", "hello", stream);
        let payment = stack.payer.payment(&body).await;
        let request = stack.payer.post(&body);
        let sent = request.header("payment-signature", &payment).send();
        let asked = until("the upstream is asked", || async {
            (stack.seen().await.total == 1).then_some(())
        });
        tokio::select! {
            answer = sent => panic!("an answer came too soon: {answer:?}"),
            () = asked => {}
        }
        let report = stack.reconcile().await;
        assert_eq!(report["calls"], 1);
        let answer = stack.payer.send(&body, &payment).await.expect("an answer");
        let receipt = stack.receipt(&answer.call()).await;
        holds(&receipt);
        assert_ne!(receipt["charged"], "0", "{receipt}");
        let seen = stack.seen().await.calls.pop().expect("a call");
        assert_eq!((seen.left, seen.completed), (stream, !stream), "{seen:?}");
        assert_eq!(answer.body.contains("\"abandoned\""), stream);
        assert_eq!(receipt["usage"]["output"] == 32, !stream, "{receipt}");
    }
}
