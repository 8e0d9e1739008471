//! What happens to an event stream on its way down: usage is read, and the event that carries it
//! waits for the bill. Pure: bytes in, bytes out.

use super::routing::outcome;
use crate::json::{JsonError, Limits, Object, Splice};
use crate::metering::{
    Dialect, Reading, Route, Seen, SseEvent, SseScanner, StreamMeter, UsageFlag, with_usage_members,
};
use crate::router::UpstreamFailure;
use crate::stats::Outcome;
use bytes::Bytes;
use serde_json::json;

/// Why a stream of a session is ended that its payer does not sign for.
const UNPAID: &str = "no voucher came for what was delivered";

/// The state of one stream being passed on.
#[derive(Debug)]
pub(super) struct StreamRelay {
    route: Route,
    scanner: SseScanner,
    meter: StreamMeter,
    /// Whether the caller asked for usage; if not, the chunk that was asked for on its behalf is taken out.
    usage_wanted: bool,
    /// Bytes that may still be passed on.
    bytes_left: usize,
    /// What may leave now.
    ready: Vec<u8>,
    /// The latest event with usage, kept back until it is known to be the last.
    held: Option<SseEvent>,
    /// What ends the stream; it leaves after the usage.
    ending: Vec<u8>,
    begun: bool,
    /// Pieces of output so far.
    pieces: u64,
    done: bool,
    failed: bool,
    over: bool,
    cut: Option<UpstreamFailure>,
    abandoned: bool,
}

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The provider ended it itself, and well.
    Whole,
    /// It broke off.
    Cut,
    /// It was cancelled: nobody listened any more.
    Abandoned,
}

/// How a stream ended, with the bytes that go out once the bill is known.
#[derive(Debug)]
pub(super) struct Ending {
    route: Route,
    /// What the provider said it used.
    pub(super) reading: Reading,
    /// What became of it.
    pub(super) end: End,
    failed: bool,
    cut: Option<UpstreamFailure>,
    usage_event: Option<SseEvent>,
    rest: Vec<u8>,
}

impl StreamRelay {
    pub(super) fn new(
        route: Route,
        dialect: Dialect,
        usage_wanted: bool,
        bytes_max: usize,
    ) -> Self {
        Self {
            route,
            scanner: SseScanner::default(),
            meter: StreamMeter::new(dialect),
            usage_wanted,
            bytes_left: bytes_max,
            ready: Vec::new(),
            held: None,
            ending: Vec::new(),
            begun: false,
            pieces: 0,
            done: false,
            failed: false,
            over: false,
            cut: None,
            abandoned: false,
        }
    }

    /// Ends the stream as one that nobody listens to.
    pub(super) fn abandon(&mut self) {
        (self.over, self.abandoned) = (true, true);
    }

    /// Takes the next piece of the upstream's stream, or its end.
    pub(super) fn take(&mut self, next: Option<Result<Bytes, UpstreamFailure>>) {
        let bytes = match next {
            Some(Ok(bytes)) => bytes,
            Some(Err(failure)) => return self.end(Some(failure)),
            None => return self.end(None),
        };
        match self.bytes_left.checked_sub(bytes.len()) {
            Some(left) => self.bytes_left = left,
            None => return self.end(Some(UpstreamFailure::TooLarge)),
        }
        for event in self.scanner.push(&bytes) {
            self.event(event);
        }
    }

    /// What may leave now.
    pub(super) fn ready(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.ready)
    }

    /// Whether the answer proper has begun: comments and an error event are no answer.
    pub(super) fn begun(&self) -> bool {
        self.begun
    }

    /// How many pieces of output there were.
    pub(super) fn pieces(&self) -> u64 {
        self.pieces
    }

    /// Ends the stream as one that is not paid for any more.
    pub(super) fn unpaid(&mut self) {
        self.end(Some(UpstreamFailure::Ended(UNPAID)));
    }

    /// Whether nothing more will come.
    pub(super) fn over(&self) -> bool {
        self.over
    }

    /// Why there will be no answer, of a stream that has not begun.
    pub(super) fn failure(&self) -> Option<UpstreamFailure> {
        let malformed = |text: &str| Some(UpstreamFailure::Malformed(text.to_owned()));
        match &self.cut {
            Some(failure) => Some(failure.clone()),
            None if self.failed => malformed("an error event came before the answer"),
            None if self.over => malformed("the stream holds no answer"),
            None => None,
        }
    }

    /// Ends the stream.
    pub(super) fn finish(self) -> Ending {
        let reading = self.meter.reading();
        let unfinished = reading.flags.contains(&UsageFlag::Unfinished);
        // Of one that was cancelled the usage may be missing still when it has said that it is finished.
        let finished = self.done || (!unfinished && !self.abandoned);
        Ending {
            route: self.route,
            reading,
            end: match finished && !self.failed && self.cut.is_none() {
                true => End::Whole,
                false if self.abandoned => End::Abandoned,
                false => End::Cut,
            },
            failed: self.failed,
            cut: self.cut,
            usage_event: self.held,
            rest: self.ending,
        }
    }

    /// Many providers leave out the last blank line, so what is left is read as an event.
    fn end(&mut self, cut: Option<UpstreamFailure>) {
        self.over = true;
        self.cut = cut;
        if self.cut.is_none()
            && let Some(event) = std::mem::take(&mut self.scanner).finish()
        {
            self.event(event);
        }
    }

    fn event(&mut self, event: SseEvent) {
        let seen = self.meter.see(&event);
        match seen {
            Seen::Error => self.failed = true,
            // A comment or a role is no answer yet: an upstream that fails after it has delivered nothing.
            Seen::Other => {}
            Seen::Done => (self.done, self.begun) = (true, true),
            Seen::Content | Seen::Usage | Seen::UsageOnly => self.begun = true,
        }
        if seen == Seen::Content {
            self.pieces = self.pieces.saturating_add(1);
        }
        match seen {
            Seen::UsageOnly | Seen::Usage => {
                if let Some(earlier) = self.held.replace(event) {
                    self.ready.extend_from_slice(&earlier.raw);
                }
                if seen == Seen::UsageOnly && !self.usage_wanted {
                    self.held = None;
                }
            }
            Seen::Done => self.ending.extend_from_slice(&event.raw),
            _ if self.done => self.ending.extend_from_slice(&event.raw),
            _ => {
                let own = !self.usage_wanted && self.route.asks_for_usage();
                let bare = own.then(|| without_null_usage(&event)).flatten();
                self.ready.extend(bare.unwrap_or(event.raw));
            }
        }
    }
}

impl Ending {
    /// What it says of the endpoint.
    pub(super) fn outcome(&self) -> Outcome {
        match (self.end, &self.cut) {
            (End::Whole, _) => Outcome::Answered,
            (End::Abandoned, _) => Outcome::LeftOut,
            (End::Cut, Some(failure)) => outcome(failure),
            (End::Cut, None) => Outcome::Failed,
        }
    }

    /// The last bytes of the stream: why it was cut if it was, the usage that the caller sees with
    /// `members` spliced into it, and the provider's own end.
    pub(super) fn bytes(&self, members: &[(&str, String)]) -> Vec<u8> {
        let mut out = Vec::new();
        if self.end != End::Whole && !self.failed {
            out.extend_from_slice(&self.cut_event());
        }
        if let Some(event) = &self.usage_event {
            out.extend(with_members(event, members).unwrap_or_else(|_| event.raw.clone()));
        }
        out.extend_from_slice(&self.rest);
        out
    }

    /// The event that tells a caller that its stream is not whole: what was delivered is billed.
    fn cut_event(&self) -> Vec<u8> {
        let (code, why) = match &self.cut {
            _ if self.end == End::Abandoned => (
                "abandoned",
                "nobody listened any more, so the answer was cancelled".to_owned(),
            ),
            Some(ended @ UpstreamFailure::Ended(UNPAID)) => ("unpaid", ended.to_string()),
            Some(ended @ UpstreamFailure::Ended(_)) => ("out_of_time", ended.to_string()),
            Some(failure) => ("upstream_cut", failure.to_string()),
            None => (
                "upstream_cut",
                "the upstream ended its stream without finishing".to_owned(),
            ),
        };
        let message = format!("{why}; what was delivered is billed");
        error_event(self.route, code, &message)
    }
}

/// An error in the middle of a stream, as the route's own clients read it.
fn error_event(route: Route, code: &str, message: &str) -> Vec<u8> {
    let text = match route {
        Route::Messages => {
            let error = json!({"type": "api_error", "code": code, "message": message});
            format!(
                "event: error\ndata: {}\n\n",
                json!({"type": "error", "error": error})
            )
        }
        Route::Responses => {
            let error = json!({"type": "error", "code": code, "message": message, "param": null});
            format!("event: error\ndata: {error}\n\n")
        }
        Route::Chat | Route::Completions | Route::Embeddings => {
            let error = json!({"error": {
                "message": message, "type": "server_error", "param": null, "code": code,
            }});
            format!("data: {error}\n\n")
        }
    };
    text.into_bytes()
}

/// The event without the `usage: null` that chunks carry where usage was asked for; `None` when it has
/// none.
fn without_null_usage(event: &SseEvent) -> Option<Vec<u8>> {
    let data = event
        .data
        .as_deref()
        .filter(|data| data.contains("\"usage\""))?;
    let object = Object::parse(data.as_bytes(), &Limits::default()).ok()?;
    if object.raw("usage") != Some("null") {
        return None;
    }
    let mut splice = Splice::new(&object);
    splice.remove("usage");
    Some([b"data: ".as_slice(), &splice.finish(), b"\n\n"].concat())
}

fn with_members(event: &SseEvent, members: &[(&str, String)]) -> Result<Vec<u8>, JsonError> {
    let data = event.data.as_deref().unwrap_or_default();
    let data = with_usage_members(data, members)?;
    let name = event.event.as_ref().map(|name| format!("event: {name}\n"));
    Ok(format!("{}data: {data}\n\n", name.unwrap_or_default()).into_bytes())
}
