use super::collect::Collector;
use super::{Dialect, Reading, SseEvent, UsageFlag};
use crate::json::{Limits, Object};

/// What one event of a stream was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Nothing that counts: a comment, a role, a finish reason, something unreadable.
    Other,
    /// Delivered text, visible or reasoning or of a tool call.
    Content,
    /// A usage object next to choices or in an event that clients need; the head of a message is
    /// [`Self::Other`], whatever it holds.
    Usage,
    /// A chunk that only carries usage (choices empty or absent): it can be removed.
    UsageOnly,
    /// `[DONE]`, `message_stop`, or the last event of a Responses stream without usage.
    Done,
    /// An error object, or an event of type `error`.
    Error,
}

/// Reads the usage of a streamed answer from its events as they pass.
#[derive(Debug, Clone)]
pub struct StreamMeter {
    collector: Collector,
    done: bool,
}

impl StreamMeter {
    /// A meter that has seen nothing.
    pub fn new(dialect: Dialect) -> Self {
        Self {
            collector: Collector::new(dialect),
            done: false,
        }
    }

    /// Takes in the next event.
    pub fn see(&mut self, event: &SseEvent) -> Seen {
        if event.oversized {
            self.collector.flag(UsageFlag::OversizedEvent);
            self.collector.take_opaque(event.raw.len());
            return Seen::Content;
        }
        let Some(data) = event.data.as_deref().map(str::trim) else {
            return Seen::Other;
        };
        if data == "[DONE]" {
            self.done = true;
            return Seen::Done;
        }
        if data.is_empty() {
            return Seen::Other;
        }
        let Ok(object) = Object::parse(data.as_bytes(), &Limits::default()) else {
            self.collector.flag(UsageFlag::Malformed);
            return Seen::Other;
        };
        let took = self.collector.take(&object);
        let last = is_last(&object);
        self.done |= last;
        if took.error {
            Seen::Error
        } else if took.usage_only {
            Seen::UsageOnly
        } else if took.usage && !took.head {
            Seen::Usage
        } else if last {
            Seen::Done
        } else if took.text {
            Seen::Content
        } else {
            Seen::Other
        }
    }

    /// What has been read so far; before the stream's end it is flagged as unfinished.
    pub fn reading(&self) -> Reading {
        let mut reading = self.collector.reading();
        if !self.done && !self.collector.finished() {
            reading.flags.push(UsageFlag::Unfinished);
            reading.flags.sort();
        }
        reading
    }
}

fn is_last(object: &Object<'_>) -> bool {
    let kind = object.text_of("type").ok().flatten();
    matches!(
        kind.as_deref(),
        Some("message_stop" | "response.completed" | "response.incomplete" | "response.failed")
    )
}
