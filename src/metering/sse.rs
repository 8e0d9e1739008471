/// One server-sent event, with all its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SseEvent {
    /// Every byte from the end of the event before to this one's blank line, inclusive: the
    /// raws of all events, concatenated, are the input.
    pub raw: Vec<u8>,
    /// The last `event` field.
    pub event: Option<String>,
    /// The `data` fields joined by line feeds; `None` for comments and other fields alone.
    pub data: Option<String>,
    /// The event was longer than the scanner's bound: this is a piece of it, not read.
    pub oversized: bool,
}

/// Cuts a byte stream into server-sent events (WHATWG HTML §9.2), however it is chopped up.
///
/// Lines end by LF, CRLF or CR. A CR that ends an event is held until the next byte shows
/// whether an LF belongs to it, so that the cut never depends on the chopping.
#[derive(Debug, Clone)]
pub struct SseScanner {
    bytes_max: usize,
    event: Vec<u8>,
    line_empty: bool,
    after_cr: bool,
    oversized: bool,
    at_start: bool,
}

impl Default for SseScanner {
    /// A scanner for events of up to 1 MiB.
    fn default() -> Self {
        Self::new(1 << 20)
    }
}

impl SseScanner {
    /// A scanner that never holds more than `bytes_max` bytes: a longer event is given out in
    /// pieces marked `oversized`.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max: bytes_max.max(1),
            event: Vec::new(),
            line_empty: true,
            after_cr: false,
            oversized: false,
            at_start: true,
        }
    }

    /// Takes the next bytes and gives the events they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<SseEvent> {
        let mut events = Vec::new();
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            if self.after_cr {
                self.after_cr = false;
                let with_lf = *first == b'\n';
                if with_lf {
                    rest = self.take(rest, 1);
                }
                events.extend(self.end_line());
                if with_lf {
                    continue;
                }
            }
            let room = self.bytes_max.saturating_sub(self.event.len()).max(1);
            let within = rest.get(..room).unwrap_or(rest);
            let end = memchr::memchr2(b'\n', b'\r', within);
            let text = end.unwrap_or(within.len());
            if text > 0 {
                self.line_empty = false;
                rest = self.take(rest, text);
            }
            if end.is_some() {
                let lf = rest.first() == Some(&b'\n');
                rest = self.take(rest, 1);
                match lf {
                    true => events.extend(self.end_line()),
                    false => self.after_cr = true,
                }
            }
            if self.event.len() >= self.bytes_max && !self.after_cr {
                self.oversized = true;
                events.extend(self.cut());
            }
        }
        events
    }

    /// Moves the first bytes into the event, and gives what is left of them.
    fn take<'b>(&mut self, bytes: &'b [u8], length: usize) -> &'b [u8] {
        let (taken, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
        self.event.extend_from_slice(taken);
        rest
    }

    /// The bytes that no event was completed of.
    pub fn rest(self) -> Vec<u8> {
        self.event
    }

    /// The bytes left at the end of the stream, read as an event: many providers leave out the
    /// last blank line.
    pub fn finish(mut self) -> Option<SseEvent> {
        self.cut()
    }

    fn end_line(&mut self) -> Option<SseEvent> {
        let ended = self.line_empty;
        self.line_empty = true;
        if !ended {
            return None;
        }
        let event = self.cut();
        self.oversized = false;
        event
    }

    fn cut(&mut self) -> Option<SseEvent> {
        let raw = std::mem::take(&mut self.event);
        let at_start = std::mem::replace(&mut self.at_start, false);
        if raw.is_empty() {
            return None;
        }
        Some(if self.oversized {
            SseEvent {
                raw,
                oversized: true,
                ..SseEvent::default()
            }
        } else {
            read(raw, at_start)
        })
    }
}

fn read(raw: Vec<u8>, at_start: bool) -> SseEvent {
    let text = String::from_utf8_lossy(&raw);
    let mut text = text.as_ref();
    if at_start {
        text = text.strip_prefix('\u{feff}').unwrap_or(text);
    }
    let mut event = None;
    let mut data: Option<String> = None;
    for line in lines(text) {
        let colon = memchr::memchr(b':', line.as_bytes());
        let (field, value) = colon
            .and_then(|at| line.split_at_checked(at))
            .map_or((line, ""), |(field, rest)| {
                (field, rest.get(1..).unwrap_or_default())
            });
        let value = value.strip_prefix(' ').unwrap_or(value);
        match (field, &mut data) {
            ("event", _) => event = Some(value.to_owned()),
            ("data", None) => data = Some(value.to_owned()),
            ("data", Some(data)) => {
                data.push('\n');
                data.push_str(value);
            }
            _ => {}
        }
    }
    SseEvent {
        raw,
        event,
        data,
        oversized: false,
    }
}

/// The text between line ends of either kind.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let ends = memchr::memchr2_iter(b'\n', b'\r', text.as_bytes());
    let mut start = 0usize;
    ends.chain([text.len()]).filter_map(move |end| {
        let line = text.get(start..end);
        start = end.saturating_add(1);
        line
    })
}
