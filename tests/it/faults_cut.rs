//! An upstream that dies at every place of its stream, and a caller that leaves at every place of it.

use crate::faults::{flags, holds, units};
use crate::harness::{Answer, Setup, Stack, chat, until};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A provider's stream of four words with its usage.
fn stream(usage: &serde_json::Value) -> Vec<String> {
    let chunk = |choices: serde_json::Value| json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "scripted", "choices": choices});
    let delta = |delta: serde_json::Value, finish: Option<&str>| {
        chunk(json!([{"index": 0, "delta": delta, "finish_reason": finish}]))
    };
    let mut last = chunk(json!([]));
    last["usage"] = usage.clone();
    let words =
        ["Four ", "words ", "are ", "said."].map(|word| delta(json!({"content": word}), None));
    let mut events = vec![delta(json!({"role": "assistant", "content": ""}), None)];
    events.extend(words);
    events.extend([delta(json!({}), Some("stop")), last]);
    let mut lines: Vec<String> = events
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    lines.push("data: [DONE]\n\n".to_owned());
    lines
}

/// An upstream that answers its n-th call with `answers[n]` bytes of `body`; with all of them it ends well.
async fn dying(body: String, answers: Vec<usize>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    tokio::spawn(async move {
        loop {
            let Ok((connection, _)) = listener.accept().await else {
                return;
            };
            let n = counted.fetch_add(1, Ordering::SeqCst);
            let keep = answers.get(n).copied().unwrap_or_default();
            // A caller that hangs up is no fault of this test.
            let _ = answer(connection, &body, keep).await;
        }
    });
    (url, calls)
}

async fn answer(connection: TcpStream, body: &str, keep: usize) -> std::io::Result<()> {
    let mut connection = BufReader::new(connection);
    let mut length = 0;
    loop {
        let mut line = String::new();
        connection.read_line(&mut line).await?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().unwrap_or(0);
        }
    }
    let mut request = vec![0; length];
    connection.read_exact(&mut request).await?;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    connection.write_all(head.as_bytes()).await?;
    let sent = &body[..keep.min(body.len())];
    if !sent.is_empty() {
        connection
            .write_all(format!("{:x}\r\n{sent}\r\n", sent.len()).as_bytes())
            .await?;
    }
    if keep >= body.len() {
        connection.write_all(b"0\r\n\r\n").await?;
    }
    connection.shutdown().await
}

#[tokio::test]
async fn rule_6_an_upstream_may_die_anywhere() {
    let events = stream(&json!({"prompt_tokens": 30, "completion_tokens": 6, "total_tokens": 36}));
    let body = events.concat();
    let mut cuts = vec![0];
    let mut at = 0;
    for event in &events {
        cuts.extend([
            at + 1,
            at + event.len() / 2,
            at + event.len() - 1,
            at + event.len(),
        ]);
        at += event.len();
    }
    let first_word = events[0].len() + events[1].len();
    let usage_at = body.len() - events[7].len();
    let (upstream, calls) = dying(body.clone(), cuts.clone()).await;
    let stack = Stack::with(Setup {
        upstream_url: Some(upstream),
        ..Setup::default()
    })
    .await;
    let mut charges = Vec::new();
    for (n, cut) in cuts.iter().enumerate() {
        let answer = stack
            .payer
            .pay(&chat("m", &format!("cut {cut}"), true))
            .await;
        assert_eq!(calls.load(Ordering::SeqCst), n + 1, "one upstream call");
        // A role is no answer yet, and half an event is none.
        if *cut < first_word {
            assert_eq!(answer.status, 502, "cut at {cut}: {}", answer.body);
            charges.push(0);
            continue;
        }
        assert_eq!(answer.status, 200, "cut at {cut}: {}", answer.body);
        let receipt = stack.receipt(&answer.call()).await;
        holds(&receipt);
        let whole = *cut >= body.len();
        assert_eq!(
            flags(&receipt).contains(&"upstream_cut".to_owned()),
            !whole,
            "cut at {cut}: {receipt}"
        );
        assert_eq!(
            answer.body.contains("\"upstream_cut\""),
            !whole,
            "cut at {cut}"
        );
        if *cut >= usage_at {
            assert_eq!(
                receipt["usage_source"], "reported",
                "cut at {cut}: {receipt}"
            );
            assert_eq!(receipt["usage"]["output"], 6, "cut at {cut}");
        }
        charges.push(units(&receipt, "charged"));
    }
    assert_eq!(charges[0], 0);
    let delivered = charges
        .iter()
        .zip(&cuts)
        .filter(|(_, cut)| **cut < usage_at - events[6].len());
    let delivered: Vec<u64> = delivered.map(|(charge, _)| *charge).collect();
    assert!(
        delivered.is_sorted(),
        "more delivered never costs less: {charges:?}"
    );
    stack.reconcile().await;
}

#[tokio::test]
async fn rule_3_usage_above_the_quote_is_charged_at_the_ceiling() {
    let events = stream(
        &json!({"prompt_tokens": 5_000_000, "completion_tokens": 6, "total_tokens": 5_000_006}),
    );
    let body = events.concat();
    let (upstream, _) = dying(body.clone(), vec![body.len()]).await;
    let stack = Stack::with(Setup {
        upstream_url: Some(upstream),
        ..Setup::default()
    })
    .await;
    let receipt = stack.payer.pay(&chat("m", "hello", true)).await.receipt();
    holds(&receipt);
    assert_eq!(receipt["charged"], receipt["ceiling"]);
    let metrics = Answer::of(
        stack
            .payer
            .client
            .get(format!("{}/metrics", stack.payer.url)),
    )
    .await
    .expect("metrics");
    assert!(
        metrics
            .body
            .contains("groat_over_quote_total{model=\"m\"} 1"),
        "{}",
        metrics.body
    );
    stack.reconcile().await;
}

/// Of a stream the caller reads so many events, then hangs up.
#[tokio::test]
async fn rule_7_a_caller_that_leaves_at_any_event_pays_for_the_whole_answer() {
    const EVENTS: usize = 11;
    let models = vec![("slow", "sim/slowly?slow=15&out=8")];
    let stack = Stack::with(Setup {
        models,
        ..Setup::default()
    })
    .await;
    for events in 0..EVENTS {
        let body = chat("slow", &format!("leave after {events}"), true);
        let payment = stack.payer.payment(&body).await;
        let request = stack.payer.post(&body).header("payment-signature", payment);
        let mut response = request.send().await.expect("an answer");
        let call = response.headers()["groat-call-id"]
            .to_str()
            .expect("a call id")
            .to_owned();
        let mut read = String::new();
        while read.matches("\n\n").count() < events {
            let Some(bytes) = response.chunk().await.expect("a chunk") else {
                break;
            };
            read.push_str(&String::from_utf8_lossy(&bytes));
        }
        drop(response);
        let receipt = stack.receipt(&call).await;
        billed_as_seen(&stack, &receipt, events as u64 + 1).await;
    }
    stack.reconcile().await;
}

/// The caller hangs up before there is any byte of an answer.
#[tokio::test]
async fn rule_7_a_caller_that_leaves_before_the_answer_pays_for_it() {
    let models = vec![("late", "sim/late?head=300")];
    let stack = Stack::with(Setup {
        models,
        ..Setup::default()
    })
    .await;
    for (n, stream) in [(1, false), (2, true)] {
        let body = chat("late", &format!("leave at once {n}"), stream);
        let payment = stack.payer.payment(&body).await;
        let sent = stack
            .payer
            .post(&body)
            .header("payment-signature", &payment)
            .send();
        let asked = until("the upstream is asked", || async {
            (stack.seen().await.total == n).then_some(())
        });
        tokio::select! {
            answer = sent => panic!("an answer came too soon: {answer:?}"),
            () = asked => {}
        }
        // The same credential finds the call that its first connection left behind.
        let answer = stack.payer.send(&body, &payment).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
        billed_as_seen(&stack, &answer.receipt(), n).await;
    }
    let report = stack.reconcile().await;
    assert_eq!(report["calls"], 2);
}

/// The receipt's usage is what the provider counted for its `n`-th call, the last one so far.
async fn billed_as_seen(stack: &Stack, receipt: &serde_json::Value, n: u64) {
    holds(receipt);
    assert_eq!(receipt["usage_source"], "reported", "{receipt}");
    let seen = stack.seen().await;
    assert_eq!(seen.total, n, "one upstream call each");
    let call = seen.calls.last().expect("a call");
    assert!(
        call.completed,
        "the upstream was heard to its end: {call:?}"
    );
    let usage = &receipt["usage"];
    assert_eq!(usage["cache_read"], call.cached_tokens);
    assert_eq!(usage["uncached"], call.prompt_tokens - call.cached_tokens);
    assert_eq!(usage["output"], call.output_tokens);
}
