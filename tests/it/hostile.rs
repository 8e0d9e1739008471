//! Requests that no price can be found for: refused by name, and nothing held.

use crate::harness::{Answer, Setup, Stack, chat};
use futures::stream;
use serde_json::Value;

fn setup() -> Setup {
    Setup {
        gateway: "body_bytes_max = 65536",
        payment: "ceiling_max_usd = \"0.001\"",
        ..Setup::default()
    }
}

/// A body with one message and these members.
fn with(members: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}],{members}}}"#)
}

fn content(parts: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":{parts}}}]}}"#)
}

/// Bodies with the param that the refusal names.
fn bad_members() -> Vec<(String, &'static str)> {
    vec![
        (r#"{"messages":[]}"#.to_owned(), "model"),
        (r#"{"model":null,"messages":[]}"#.to_owned(), "model"),
        (r#"{"model":7,"messages":[]}"#.to_owned(), "model"),
        (r#"{"model":"m"}"#.to_owned(), "messages"),
        (r#"{"model":"m","messages":[]}"#.to_owned(), "messages"),
        (r#"{"model":"m","messages":{}}"#.to_owned(), "messages"),
        (r#"{"model":"m","messages":[7]}"#.to_owned(), "messages[0]"),
        (
            r#"{"model":"m","messages":[{"role":"user","content":"a","content":"b"}]}"#.to_owned(),
            "messages[0]",
        ),
        (
            content(r#"[{"type":"image_url","image_url":{"url":"http://x/y.png"}}]"#),
            "messages[0].content[0].type",
        ),
        (
            content(r#"[{"type":"text","text":"a"},{"type":"input_audio","input_audio":{}}]"#),
            "messages[0].content[1].type",
        ),
        (
            content(r#"[{"type":"file","file":{}}]"#),
            "messages[0].content[0].type",
        ),
        (
            content(r#"[{"text":"no type"}]"#),
            "messages[0].content[0].type",
        ),
        (with(r#""tools":[{"type":"web_search"}]"#), "tools[0].type"),
        (with(r#""tools":"all""#), "tools"),
        (with(r#""audio":{"voice":"alloy"}"#), "audio"),
        (with(r#""modalities":["text","audio"]"#), "modalities[1]"),
        (with(r#""web_search_options":{}"#), "web_search_options"),
        (with(r#""plugins":[{"id":"web"}]"#), "plugins"),
        (with(r#""service_tier":"priority""#), "service_tier"),
        (with(r#""max_tokens":0"#), "max_tokens"),
        (with(r#""max_tokens":-1"#), "max_tokens"),
        (with(r#""max_tokens":1.5"#), "max_tokens"),
        (with(r#""max_tokens":1e3"#), "max_tokens"),
        (with(r#""max_tokens":"12""#), "max_tokens"),
        (with(r#""max_tokens":99999999999999999999"#), "max_tokens"),
        (with(r#""max_tokens":8193"#), "max_tokens"),
        (
            with(r#""max_completion_tokens":[]"#),
            "max_completion_tokens",
        ),
        (with(r#""n":0"#), "n"),
        (with(r#""n":17"#), "n"),
        (with(r#""stream":"yes""#), "stream"),
        (
            with(r#""stream":true,"stream_options":[]"#),
            "stream_options",
        ),
        (
            with(r#""stream":true,"stream_options":{"include_usage":1}"#),
            "stream_options",
        ),
    ]
}

/// Bytes that are not one JSON object with every member once.
fn unreadable() -> Vec<(&'static str, Vec<u8>)> {
    let deep = |open: &str, close: &str| {
        content(&format!("{}{}", open.repeat(10_000), close.repeat(10_000)))
    };
    vec![
        ("empty", Vec::new()),
        ("an array", b"[]".to_vec()),
        ("null", b"null".to_vec()),
        ("cut off", br#"{"model":"m","messages":["#.to_vec()),
        (
            "two objects",
            [with("\"a\":1"), with("\"a\":1")].concat().into_bytes(),
        ),
        ("a NUL behind", [with("\"a\":1").as_bytes(), b"\0"].concat()),
        (
            "a byte order mark",
            [b"\xef\xbb\xbf", with("\"a\":1").as_bytes()].concat(),
        ),
        (
            "not UTF-8",
            [&b"{\"model\":\"m\xff\",\"messages\":["[..], b"]}"].concat(),
        ),
        (
            "UTF-16",
            chat("m", "hi", false)
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect(),
        ),
        ("deep arrays", deep("[", "]").into_bytes()),
        ("deep objects", deep("{\"a\":", "}").into_bytes()),
        ("model twice", with(r#""model":"m""#).into_bytes()),
        (
            "model twice, once escaped",
            with(r#""mod\u0065l":"dear""#).into_bytes(),
        ),
        ("messages twice", with(r#""messages":[]"#).into_bytes()),
        (
            "stream twice",
            with(r#""stream":true,"stream":false"#).into_bytes(),
        ),
        (
            "max_tokens twice",
            with(r#""max_tokens":1,"max_tokens":8000"#).into_bytes(),
        ),
        (
            "a number without end",
            with(r#""max_tokens":1e"#).into_bytes(),
        ),
    ]
}

#[tokio::test]
async fn rule_13_bodies_that_cannot_be_priced_are_refused_by_name_and_hold_nothing() {
    let stack = Stack::with(setup()).await;
    // A good payment for something else: it must not be held for any of these either.
    let payment = stack.payer.payment(&chat("m", "good", false)).await;
    for paid in [false, true] {
        let send = |body: Vec<u8>| {
            let request = stack.payer.post("").body(body);
            Answer::of(if paid {
                request.header("payment-signature", &payment)
            } else {
                request
            })
        };
        for (name, body) in unreadable() {
            let answer = send(body).await.expect("an answer");
            assert_eq!(answer.status, 400, "{name}: {}", answer.body);
            assert_eq!(answer.code(), "invalid_request", "{name}");
        }
        for (body, param) in bad_members() {
            let answer = send(body.clone().into_bytes()).await.expect("an answer");
            assert_eq!(answer.status, 400, "{body}: {}", answer.body);
            assert_eq!(answer.code(), "invalid_request", "{body}");
            assert_eq!(
                answer.json()["error"]["param"],
                param,
                "{body}: {}",
                answer.body
            );
        }
        let answer = send(chat("nobody", "hi", false).into_bytes())
            .await
            .expect("an answer");
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (404, "model_not_found")
        );
        assert_eq!(answer.json()["error"]["param"], "model");
        let answer = send(with(r#""max_tokens":8192"#).into_bytes())
            .await
            .expect("an answer");
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (400, "quote_above_limit"),
            "{}",
            answer.body
        );
    }
    nothing_happened(&stack).await;
}

#[tokio::test]
async fn rule_13_oversize_is_refused() {
    let stack = Stack::with(setup()).await;
    let long = chat("m", &"x".repeat(70_000), false);
    let payment = stack.payer.payment(&chat("m", "good", false)).await;
    let answer = stack.payer.send(&long, &payment).await.expect("an answer");
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (413, "body_too_large")
    );
    assert_eq!(
        answer.header("connection"),
        Some("close"),
        "the rest of the body is not read"
    );

    // Without a content-length, piece by piece.
    let pieces = long
        .into_bytes()
        .chunks(1000)
        .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
        .collect::<Vec<_>>();
    let body = reqwest::Body::wrap_stream(stream::iter(pieces));
    let answer = Answer::of(stack.payer.post("").body(body))
        .await
        .expect("an answer");
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (413, "body_too_large")
    );

    let body = chat("m", "good", false);
    for length in [8 * 1024 + 1, 60_000] {
        let answer = stack
            .payer
            .send(&body, &"A".repeat(length))
            .await
            .expect("an answer");
        assert_eq!(answer.status, 402, "{length}: {}", answer.body);
        assert_eq!(answer.reason(), "invalid_payload", "{length}");
    }
    let mut request = stack.payer.post(&body).header("payment-signature", payment);
    for n in 0..200 {
        request = request.header(format!("x-many-{n}"), "1");
    }
    let answer = Answer::of(request).await.expect("an answer");
    assert_eq!(answer.status, 431, "{}", answer.body);
    nothing_happened(&stack).await;
}

/// The ledger is as empty as at the start, and no upstream was asked.
async fn nothing_happened(stack: &Stack) {
    assert_eq!(stack.entries().await, 0, "nothing is held");
    assert_eq!(stack.seen().await.total, 0, "no upstream is asked");
    // The gateway still works.
    let answer = stack.payer.pay(&chat("m", "good", false)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_ne!(answer.receipt(), Value::Null);
    stack.reconcile().await;
}
