//! One connection to the server that is measured.

use super::Outcome;
use super::http::{self, Body, Head};
use bytes::{Buf, BytesMut};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bodies up to this length are sent in one piece with their head.
const TOGETHER_MAX: usize = 32 << 10;

/// Room for an answer.
const ROOM: usize = 8 << 10;

/// How much of an answer that was not expected is shown.
const SHOWN: usize = 160;

/// How long connecting, or an answer's next byte, may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A call that was answered.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) status: u16,
    /// How the body begins, when the status is no success.
    pub(crate) beginning: String,
    /// To the first byte of the body, or to the end when there is none.
    pub(crate) first: Duration,
    /// To the first token of a stream.
    pub(crate) token: Option<Duration>,
    /// To the last byte.
    pub(crate) last: Duration,
    /// Between the events of a stream.
    pub(crate) gaps: Vec<Duration>,
}

/// A connection, kept alive.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    sending: Vec<u8>,
    received: BytesMut,
    closed: bool,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            sending: Vec::new(),
            received: BytesMut::with_capacity(ROOM),
            closed: false,
        })
    }

    /// Whether the server said that it takes no more calls on it.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Makes a call that counts from `began`; `opened` is told when the body begins.
    pub(crate) async fn call(
        &mut self,
        head: [&str; 3],
        body: &[u8],
        began: Instant,
        opened: impl FnOnce(),
    ) -> Outcome<Call> {
        self.sending.clear();
        for lines in head {
            self.sending.extend_from_slice(lines.as_bytes());
        }
        if body.len() <= TOGETHER_MAX {
            self.sending.extend_from_slice(body);
            self.stream.write_all(&self.sending).await?;
        } else {
            self.stream.write_all(&self.sending).await?;
            self.stream.write_all(body).await?;
        }
        let head = self.head().await?;
        self.closed = head.closes;
        self.body(head, began, opened).await
    }

    async fn head(&mut self) -> Outcome<Head> {
        loop {
            if let Some(head) = http::response(&self.received)? {
                self.received.advance(head.bytes);
                if (100..200).contains(&head.status) {
                    continue;
                }
                return Ok(head);
            }
            if self.read().await? == 0 {
                return Err("the connection ended before the answer".into());
            }
        }
    }

    async fn body(&mut self, head: Head, began: Instant, opened: impl FnOnce()) -> Outcome<Call> {
        let good = (200..300).contains(&head.status);
        let mut call = Call {
            status: head.status,
            beginning: String::new(),
            first: Duration::ZERO,
            token: None,
            last: Duration::ZERO,
            gaps: Vec::new(),
        };
        let mut body = Body::new(head.body);
        let mut events = Events::default();
        let mut opened = Some(opened);
        let mut beginning = Vec::new();
        loop {
            let now = Instant::now();
            let mut any = false;
            let taken = body.take(&self.received, |content| {
                any = true;
                events.see(content);
                if call.token.is_none() && has_token(content) {
                    call.token = Some(now.saturating_duration_since(began));
                }
                if !good && beginning.len() < SHOWN {
                    beginning.extend_from_slice(content);
                }
            })?;
            self.received.advance(taken);
            if any && let Some(opened) = opened.take() {
                call.first = now.saturating_duration_since(began);
                opened();
            }
            events.note(now, &mut call.gaps);
            if body.is_over() {
                break;
            }
            if self.read().await? == 0 {
                if body.may_end() {
                    self.closed = true;
                    break;
                }
                return Err("the connection ended within the answer".into());
            }
        }
        call.last = Instant::now().saturating_duration_since(began);
        if opened.is_some() {
            call.first = call.last;
        }
        beginning.truncate(SHOWN);
        call.beginning = String::from_utf8_lossy(&beginning).into_owned();
        Ok(call)
    }

    async fn read(&mut self) -> Outcome<usize> {
        self.received.reserve(ROOM);
        let read = self.stream.read_buf(&mut self.received);
        let read = tokio::time::timeout(PATIENCE, read).await;
        Ok(read.map_err(|_| "no byte came within a minute")??)
    }
}

/// Whether there is a piece of an answer's text in it.
fn has_token(content: &[u8]) -> bool {
    const BEFORE: &[u8] = b"\"content\":\"";
    let mut found = memchr::memmem::find_iter(content, BEFORE);
    found.any(|at| {
        content
            .get(at + BEFORE.len())
            .is_some_and(|next| *next != b'"')
    })
}

/// The ends of a stream's events, told from blank lines.
#[derive(Debug, Default)]
struct Events {
    line_break: bool,
    /// Events that ended since the last note.
    ended: u32,
    last: Option<Instant>,
}

impl Events {
    fn see(&mut self, content: &[u8]) {
        for byte in content {
            let line_break = *byte == b'\n';
            if line_break && self.line_break {
                self.ended += 1;
            }
            self.line_break = line_break;
        }
    }

    /// Notes that all these events came now: the first waited for, the others right behind it.
    fn note(&mut self, now: Instant, gaps: &mut Vec<Duration>) {
        for _ in 0..std::mem::take(&mut self.ended) {
            if let Some(last) = self.last {
                gaps.push(now.saturating_duration_since(last));
            }
            self.last = Some(now);
        }
    }
}
