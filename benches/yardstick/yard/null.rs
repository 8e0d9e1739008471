//! The null upstream: it reads a request to its end and answers at once what it has ready, so that all
//! that takes longer is somebody else's time.
//!
//! The model's name says what is answered: `null` is one event after another, `null-200x5000` two
//! hundred of them at 5,000 microseconds from each other; without `"stream":true` it is whole.

use super::Outcome;
use super::http::{self, Body, Extent};
use bytes::{Buf, BytesMut};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How much of a body is looked at for what is asked.
const LOOKED_AT: usize = 512;

/// Events of a stream whose model names no number.
const EVENTS: usize = 20;

/// What every answer says was used, but for the output of a stream, which is one token an event.
const PROMPT_TOKENS: usize = 200;
const CACHED_TOKENS: usize = 150;
const OUTPUT_TOKENS: usize = 20;

/// Serves for ever.
pub(crate) async fn serve(listener: TcpListener) -> Outcome<()> {
    let ready = Arc::new(Ready::default());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let ready = Arc::clone(&ready);
        tokio::spawn(async move {
            // A client that leaves is no event.
            let _ = connection(stream, &ready).await;
        });
    }
}

/// Answers that are printed already.
#[derive(Default)]
struct Ready {
    streams: Mutex<HashMap<String, Arc<Stream>>>,
}

struct Stream {
    head: Vec<u8>,
    events: Vec<Vec<u8>>,
    gap: Duration,
}

async fn connection(mut stream: TcpStream, ready: &Ready) -> Outcome<()> {
    let whole = whole();
    let mut received = BytesMut::with_capacity(64 << 10);
    let mut beginning = Vec::with_capacity(LOOKED_AT);
    loop {
        let head = loop {
            if let Some(head) = http::request(&received)? {
                break head;
            }
            if stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
        };
        received.advance(head.bytes);
        beginning.clear();
        let mut body = Body::new(head.body);
        while head.body != Extent::Bytes(0) {
            let taken = body.take(&received, |content| {
                let room = LOOKED_AT - beginning.len();
                beginning.extend_from_slice(&content[..room.min(content.len())]);
            })?;
            received.advance(taken);
            if body.is_over() {
                break;
            }
            received.reserve(64 << 10);
            if stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
        }
        match asked(&beginning) {
            None => stream.write_all(&whole).await?,
            Some(model) => send(&mut stream, &ready.stream(model)).await?,
        }
    }
}

/// The model of a request for a stream.
fn asked(beginning: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(beginning).unwrap_or_else(|error| {
        std::str::from_utf8(&beginning[..error.valid_up_to()]).unwrap_or("")
    });
    let streams = text.contains("\"stream\":true") || text.contains("\"stream\": true");
    if !streams {
        return None;
    }
    let at = text.find("\"null")?;
    text[at + 1..].split('"').next()
}

async fn send(stream: &mut TcpStream, answer: &Stream) -> Outcome<()> {
    stream.write_all(&answer.head).await?;
    let begun = Instant::now();
    for (number, event) in answer.events.iter().enumerate() {
        if !answer.gap.is_zero() {
            let due = begun + answer.gap * u32::try_from(number)?;
            tokio::time::sleep_until(due.into()).await;
        }
        stream.write_all(event).await?;
    }
    Ok(())
}

impl Ready {
    fn stream(&self, model: &str) -> Arc<Stream> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let made = streams.get(model).map(Arc::clone);
        made.unwrap_or_else(|| {
            let made = Arc::new(Stream::new(model));
            streams.insert(model.to_owned(), Arc::clone(&made));
            made
        })
    }
}

impl Stream {
    fn new(model: &str) -> Self {
        let numbers = model
            .strip_prefix("null-")
            .and_then(|rest| rest.split_once('x'));
        let (count, gap) = numbers
            .and_then(|(count, gap)| Some((count.parse().ok()?, gap.parse().ok()?)))
            .unwrap_or((EVENTS, 0));
        let mut events: Vec<Vec<u8>> = (0..count)
            .map(|_| event(&chunk(&json!({"content": "groat "}), None)))
            .collect();
        let mut last = chunk(&json!({}), Some("stop"));
        let mut end = event(&last);
        last["choices"] = json!([]);
        last["usage"] = usage(count);
        end.extend(event(&last));
        end.extend(piece(b"data: [DONE]\n\n"));
        end.extend_from_slice(b"0\r\n\r\n");
        events.push(end);
        Self {
            head: b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec(),
            events,
            gap: Duration::from_micros(gap),
        }
    }
}

fn chunk(delta: &Value, finish_reason: Option<&str>) -> Value {
    json!({
        "id": "chatcmpl-null",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "null",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    })
}

fn event(data: &Value) -> Vec<u8> {
    piece(format!("data: {data}\n\n").as_bytes())
}

/// A chunk of chunked encoding.
fn piece(content: &[u8]) -> Vec<u8> {
    let mut piece = format!("{:x}\r\n", content.len()).into_bytes();
    piece.extend_from_slice(content);
    piece.extend_from_slice(b"\r\n");
    piece
}

fn whole() -> Vec<u8> {
    let body = json!({
        "id": "chatcmpl-null",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "null",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": "groat ".repeat(OUTPUT_TOKENS)},
            "finish_reason": "stop",
        }],
        "usage": usage(OUTPUT_TOKENS),
    })
    .to_string();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn usage(output: usize) -> Value {
    json!({
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": output,
        "total_tokens": PROMPT_TOKENS + output,
        "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS},
    })
}
