//! What happens to an event stream on its way down: usage is read, and the event that carries it
//! waits for the bill. Pure: bytes in, bytes out.

use crate::json::JsonError;
use crate::metering::{
    Dialect, Reading, Seen, SseEvent, SseScanner, StreamMeter, UsageFlag, with_usage_members,
};

/// The state of one stream being passed on.
#[derive(Debug)]
pub(super) struct StreamRelay {
    scanner: SseScanner,
    meter: StreamMeter,
    /// Whether the caller asked for usage; if not, the chunk that was asked for on its behalf is taken out.
    usage_wanted: bool,
    /// The latest event with usage, kept back until it is known to be the last.
    held: Option<SseEvent>,
    ending: Vec<u8>,
    begun: bool,
    done: bool,
    failed: bool,
}

/// How a stream ended, with the bytes that go out once the bill is known.
#[derive(Debug)]
pub(super) struct Ending {
    /// What the provider said it used.
    pub(super) reading: Reading,
    /// Whether the provider ended the stream itself.
    pub(super) complete: bool,
    usage_event: Option<SseEvent>,
    rest: Vec<u8>,
}

impl StreamRelay {
    pub(super) fn new(dialect: Dialect, usage_wanted: bool) -> Self {
        Self {
            scanner: SseScanner::default(),
            meter: StreamMeter::new(dialect),
            usage_wanted,
            held: None,
            ending: Vec::new(),
            begun: false,
            done: false,
            failed: false,
        }
    }

    /// Takes bytes of the upstream and gives those that may leave now.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for event in self.scanner.push(bytes) {
            self.event(event, &mut out);
        }
        out
    }

    /// Whether the answer proper has begun: comments and an error event are no answer.
    pub(super) fn begun(&self) -> bool {
        self.begun
    }

    /// Whether the provider sent an error event.
    pub(super) fn failed(&self) -> bool {
        self.failed
    }

    /// Ends the stream; many providers leave out the last blank line.
    pub(super) fn finish(mut self) -> Ending {
        let mut rest = Vec::new();
        if let Some(event) = std::mem::take(&mut self.scanner).finish() {
            self.event(event, &mut rest);
        }
        rest.append(&mut self.ending);
        self.ending = rest;
        let reading = self.meter.reading();
        let unfinished = reading.flags.contains(&UsageFlag::Unfinished);
        Ending {
            reading,
            complete: (self.done || !unfinished) && !self.failed,
            usage_event: self.held,
            rest: self.ending,
        }
    }

    fn event(&mut self, event: SseEvent, out: &mut Vec<u8>) {
        let seen = self.meter.see(&event);
        match seen {
            Seen::Done => self.done = true,
            Seen::Error => self.failed = true,
            Seen::Other if event.data.is_none() => {}
            _ => self.begun = true,
        }
        match seen {
            Seen::UsageOnly | Seen::Usage => {
                if let Some(earlier) = self.held.replace(event) {
                    out.extend_from_slice(&earlier.raw);
                }
                if seen == Seen::UsageOnly && !self.usage_wanted {
                    self.held = None;
                }
            }
            Seen::Done => self.ending.extend_from_slice(&event.raw),
            _ if self.done => self.ending.extend_from_slice(&event.raw),
            _ => out.extend_from_slice(&event.raw),
        }
    }
}

impl Ending {
    /// The last bytes of the stream, with `members` spliced into the usage that the caller sees.
    pub(super) fn bytes(&self, members: &[(&str, String)]) -> Vec<u8> {
        let mut out = match &self.usage_event {
            None => Vec::new(),
            Some(event) => with_members(event, members).unwrap_or_else(|_| event.raw.clone()),
        };
        out.extend_from_slice(&self.rest);
        out
    }
}

fn with_members(event: &SseEvent, members: &[(&str, String)]) -> Result<Vec<u8>, JsonError> {
    let data = event.data.as_deref().unwrap_or_default();
    let data = with_usage_members(data, members)?;
    let name = event.event.as_ref().map(|name| format!("event: {name}\n"));
    Ok(format!("{}data: {data}\n\n", name.unwrap_or_default()).into_bytes())
}
