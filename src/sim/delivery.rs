//! Hands an answer over piece by piece: at its pace, and up to its fault.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::calls::Call;
use super::config::Behaviour;

/// One piece of a body and the output tokens it carries.
#[derive(Debug)]
struct Frame {
    bytes: Bytes,
    tokens: u64,
    /// Sent without waiting for the first token.
    early: bool,
}

/// A body in pieces, written into one buffer.
#[derive(Debug, Default)]
pub(super) struct Frames {
    pub(super) text: String,
    /// End, tokens and earliness of each piece.
    marks: Vec<(usize, u64, bool)>,
}

impl Frames {
    /// Ends the piece that was written since the last one.
    pub(super) fn end(&mut self, tokens: u64) {
        self.marks.push((self.text.len(), tokens, false));
    }

    /// Ends a piece that says nothing yet, such as a comment.
    pub(super) fn end_early(&mut self) {
        self.marks.push((self.text.len(), 0, true));
    }

    /// Cuts a whole body into equal pieces; its tokens arrive with the last one.
    pub(super) fn split_whole(text: String, tokens: u64, pieces: usize) -> Self {
        let step = text.len().div_ceil(pieces).max(1);
        let mut ends: Vec<usize> = (1..pieces).map(|i| (i * step).min(text.len())).collect();
        ends.push(text.len());
        ends.dedup();
        let last = ends.len() - 1;
        let mark = |(i, end)| (end, if i == last { tokens } else { 0 }, false);
        Frames {
            marks: ends.into_iter().enumerate().map(mark).collect(),
            text,
        }
    }

    /// Drops everything after so many content chunks; `false` if there are no more than these.
    pub(super) fn keep_content(&mut self, chunks: u64) -> bool {
        let mut left = chunks;
        let beyond = self.marks.iter().position(|(_, tokens, _)| {
            let content = *tokens > 0;
            let over = content && left == 0;
            left -= u64::from(content && left > 0);
            over
        });
        if let Some(first_dropped) = beyond {
            self.marks.truncate(first_dropped);
            self.text
                .truncate(self.marks.last().map_or(0, |(end, _, _)| *end));
        }
        beyond.is_some()
    }

    fn into_frames(self) -> Vec<Frame> {
        let bytes = Bytes::from(self.text);
        let mut start = 0;
        let marks = self.marks.into_iter();
        marks
            .map(|(end, tokens, early)| {
                let bytes = bytes.slice(start..end);
                start = end;
                Frame {
                    bytes,
                    tokens,
                    early,
                }
            })
            .collect()
    }
}

/// How a body is handed over.
#[derive(Debug)]
pub(super) struct Delivery {
    frames: std::vec::IntoIter<Frame>,
    pace: Option<Pace>,
    tokens_sent: u64,
    cut: bool,
    /// Whether what the client does not wait for is generated all the same.
    bills_on: bool,
    call: Arc<Call>,
    closing: CancellationToken,
}

#[derive(Debug)]
struct Pace {
    first_token: Instant,
    tokens_per_second: u64,
    before_each: Duration,
}

impl Delivery {
    /// `cut` ends the body with an error, which makes the server drop the connection.
    pub(super) fn new(
        frames: Frames,
        cut: bool,
        call: Arc<Call>,
        closing: CancellationToken,
    ) -> Self {
        Delivery {
            frames: frames.into_frames().into_iter(),
            pace: None,
            tokens_sent: 0,
            cut,
            bills_on: true,
            call,
            closing,
        }
    }

    /// Paces the body as the behaviour says; without delays no timer is made.
    pub(super) fn paced(mut self, behaviour: &Behaviour, streamed: bool) -> Self {
        let delay = if streamed {
            behaviour.delay_first_token_ms
        } else {
            0
        };
        let tokens_per_second = if streamed {
            behaviour.tokens_per_second
        } else {
            0
        };
        // What is answered in one piece was generated before.
        self.bills_on = behaviour.bills_on || !streamed;
        let slow = behaviour.slow_body_ms_per_chunk;
        if delay + tokens_per_second + slow > 0 {
            self.pace = Some(Pace {
                first_token: Instant::now() + Duration::from_millis(delay),
                tokens_per_second,
                before_each: Duration::from_millis(slow),
            });
        }
        self
    }

    pub(super) fn into_body(self) -> Body {
        Body::from_stream(futures::stream::unfold(self, |mut delivery| async {
            let piece = delivery.next().await?;
            Some((piece, delivery))
        }))
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        let Some(early) = self.frames.as_slice().first().map(|frame| frame.early) else {
            if !std::mem::take(&mut self.cut) {
                return None;
            }
            // Pending once: the server flushes what came before, and only then meets the error.
            tokio::task::yield_now().await;
            return Some(Err(io::ErrorKind::ConnectionAborted.into()));
        };
        if let Some(pace) = &self.pace
            && !early
        {
            let closed = tokio::select! {
                () = pace.wait(self.tokens_sent) => false,
                () = self.closing.cancelled() => true,
            };
            if closed {
                self.frames = Vec::new().into_iter();
                return Some(Err(io::ErrorKind::ConnectionAborted.into()));
            }
        }
        let frame = self.frames.next()?;
        self.tokens_sent += frame.tokens;
        self.call.sent(frame.tokens);
        if self.frames.as_slice().is_empty() && !self.cut {
            self.call.complete();
        }
        Some(Ok(frame.bytes))
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let rest = self.frames.as_slice();
        if !rest.is_empty() {
            let unseen = rest.iter().map(|frame| frame.tokens).sum();
            self.call.left(if self.bills_on { unseen } else { 0 });
        }
    }
}

impl Pace {
    /// Deadlines count from the first token, so that late timers do not add up.
    async fn wait(&self, tokens_sent: u64) {
        let micros = tokens_sent
            .saturating_mul(1_000_000)
            .checked_div(self.tokens_per_second);
        sleep_until(self.first_token + Duration::from_micros(micros.unwrap_or(0))).await;
        if !self.before_each.is_zero() {
            sleep(self.before_each).await;
        }
    }
}
