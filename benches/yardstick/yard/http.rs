//! As much of HTTP/1.1 as both ends of a measurement need, and no more: what is measured must be the
//! server between them.

use super::Outcome;

/// Most headers of a message.
const HEADERS_MAX: usize = 96;

/// The head of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// The status of a response, 0 of a request.
    pub(crate) status: u16,
    /// How long it is itself.
    pub(crate) bytes: usize,
    /// Where the body ends.
    pub(crate) body: Extent,
    /// Whether the connection ends with this message.
    pub(crate) closes: bool,
}

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// After so many bytes.
    Bytes(usize),
    /// Where its chunks say so.
    Chunked,
    /// With the connection.
    Connection,
}

/// Reads a response's head; `None` while it is not all there.
pub(crate) fn response(bytes: &[u8]) -> Outcome<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes)? else {
        return Ok(None);
    };
    let status = response.code.unwrap_or_default();
    head(status, length, response.headers, Extent::Connection).map(Some)
}

/// Reads a request's head; `None` while it is not all there.
pub(crate) fn request(bytes: &[u8]) -> Outcome<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = request.parse(bytes)? else {
        return Ok(None);
    };
    head(0, length, request.headers, Extent::Bytes(0)).map(Some)
}

fn head(
    status: u16,
    bytes: usize,
    headers: &[httparse::Header<'_>],
    unless_said: Extent,
) -> Outcome<Head> {
    let mut head = Head {
        status,
        bytes,
        body: unless_said,
        closes: false,
    };
    for header in headers {
        let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
        if header.name.eq_ignore_ascii_case("content-length") {
            head.body = Extent::Bytes(value.parse()?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            head.body = Extent::Chunked;
        } else if header.name.eq_ignore_ascii_case("connection") {
            head.closes = value.eq_ignore_ascii_case("close");
        }
    }
    Ok(head)
}

/// A body on its way in.
#[derive(Debug)]
pub(crate) struct Body {
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many bytes are missing.
    Known(usize),
    UntilClosed,
    /// In the line that says how long the next chunk is; whether its digits are over.
    Size(usize, bool),
    Data(usize),
    /// In the line break behind a chunk.
    Behind,
    /// In the lines behind the last chunk; how long this one is so far.
    Trailer(usize),
    Over,
}

impl Body {
    pub(crate) fn new(extent: Extent) -> Self {
        let state = match extent {
            Extent::Bytes(0) => State::Over,
            Extent::Bytes(length) => State::Known(length),
            Extent::Chunked => State::Size(0, false),
            Extent::Connection => State::UntilClosed,
        };
        Self { state }
    }

    /// Whether all of it was taken.
    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether the end of the connection is its end.
    pub(crate) fn may_end(&self) -> bool {
        matches!(self.state, State::Over | State::UntilClosed)
    }

    /// Takes what belongs to it, shows each piece of content, and says how many bytes that were.
    pub(crate) fn take(&mut self, bytes: &[u8], mut content: impl FnMut(&[u8])) -> Outcome<usize> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::Over {
            let rest = &bytes[at..];
            self.state = match self.state {
                State::Known(missing) | State::Data(missing) => {
                    let piece = missing.min(rest.len());
                    content(&rest[..piece]);
                    at += piece;
                    match (self.state, missing - piece) {
                        (State::Known(_), 0) => State::Over,
                        (State::Known(_), missing) => State::Known(missing),
                        (_, 0) => State::Behind,
                        (_, missing) => State::Data(missing),
                    }
                }
                State::UntilClosed => {
                    content(rest);
                    at = bytes.len();
                    State::UntilClosed
                }
                line => {
                    at += 1;
                    in_line(line, rest[0])?
                }
            };
        }
        Ok(at)
    }
}

/// One byte of the lines between chunks.
fn in_line(state: State, byte: u8) -> Outcome<State> {
    Ok(match (state, byte) {
        (State::Size(0, _), b'\n') => State::Trailer(0),
        (State::Size(size, _), b'\n') => State::Data(size),
        (State::Size(size, _), b';' | b'\r') => State::Size(size, true),
        (State::Size(size, true), _) => State::Size(size, true),
        (State::Size(size, false), digit) => {
            let digit = char::from(digit).to_digit(16).ok_or("no chunk size")?;
            let size = size.checked_mul(16).ok_or("a chunk too long")?;
            State::Size(size + usize::try_from(digit)?, false)
        }
        (State::Behind, b'\n') => State::Size(0, false),
        (State::Trailer(0), b'\n') => State::Over,
        (State::Trailer(_), b'\n') => State::Trailer(0),
        (State::Trailer(length), b'\r') => State::Trailer(length),
        (State::Trailer(length), _) => State::Trailer(length + 1),
        (state, _) => state,
    })
}
