use super::JsonError;
use std::ops::Range;

/// A member of an object, or an item of an array, by where it lies in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// The key's string literal, with its quotes; of an item, nothing.
    pub(super) key: Range<usize>,
    /// The value, without surrounding white space.
    pub(super) value: Range<usize>,
}

/// What a text is at its top level.
#[derive(Debug)]
pub(super) enum Outline {
    /// An object with these members.
    Object(Vec<Part>),
    /// An array of these items.
    Array(Vec<Part>),
    /// A string, a number, a word.
    Scalar,
}

/// Checks that `bytes` are one JSON value of UTF-8 text (RFC 8259), and finds its parts: in one pass,
/// and without recursion, so that depth costs nothing before it is refused.
pub(super) fn outline(bytes: &[u8], depth_max: usize) -> Result<Outline, JsonError> {
    let mut reader = Reader { bytes, at: 0 };
    let mut parts = Vec::new();
    // The closing brackets that are still to come.
    let mut open: Vec<u8> = Vec::with_capacity(8);
    let (mut key, mut start) = (0..0, 0);
    reader.space();
    let first = reader.peek();
    'value: loop {
        if open.len() == 1 {
            start = reader.at;
        }
        match reader.peek() {
            Some(bracket @ (b'{' | b'[')) => {
                if open.len() >= depth_max {
                    return Err(JsonError::TooDeep);
                }
                let close = if bracket == b'{' { b'}' } else { b']' };
                open.push(close);
                reader.step();
                reader.space();
                if reader.peek() == Some(close) {
                    reader.step();
                    open.pop();
                } else {
                    if close == b'}' {
                        let literal = reader.key()?;
                        if open.len() == 1 {
                            key = literal;
                        }
                    }
                    continue 'value;
                }
            }
            Some(b'"') => reader.string()?,
            Some(b'-' | b'0'..=b'9') => reader.number()?,
            Some(b't') => reader.word(b"true")?,
            Some(b'f') => reader.word(b"false")?,
            Some(b'n') => reader.word(b"null")?,
            _ => return Err(reader.wrong()),
        }
        // A value has ended, and with it perhaps those that it is the last of.
        while let Some(&close) = open.last() {
            if open.len() == 1 {
                let key = std::mem::replace(&mut key, 0..0);
                let value = start..reader.at;
                parts.push(Part { key, value });
            }
            reader.space();
            match reader.peek() {
                Some(b',') => {
                    reader.step();
                    reader.space();
                    if close == b'}' {
                        let literal = reader.key()?;
                        if open.len() == 1 {
                            key = literal;
                        }
                    }
                    continue 'value;
                }
                Some(byte) if byte == close => {
                    reader.step();
                    open.pop();
                }
                _ => return Err(reader.wrong()),
            }
        }
        break;
    }
    reader.space();
    if reader.peek().is_some() {
        return Err(reader.wrong());
    }
    Ok(match first {
        Some(b'{') => Outline::Object(parts),
        Some(b'[') => Outline::Array(parts),
        _ => Outline::Scalar,
    })
}

/// Reads tokens; each method begins where the last one ended.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn step(&mut self) {
        self.skip(1);
    }

    fn skip(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn wrong(&self) -> JsonError {
        JsonError::Syntax {
            offset: self.at,
            reason: "unexpected text".to_owned(),
        }
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.step();
        }
    }

    /// A member's name and its colon, with the white space behind it; says where the name lies.
    fn key(&mut self) -> Result<Range<usize>, JsonError> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.wrong());
        }
        self.string()?;
        let end = self.at;
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.wrong());
        }
        self.step();
        self.space();
        Ok(start..end)
    }

    /// A string literal. An escaped surrogate may stand alone: whoever wants the text will find out.
    fn string(&mut self) -> Result<(), JsonError> {
        self.step();
        loop {
            let rest = self.rest();
            let Some(length) = memchr::memchr2(b'"', b'\\', rest) else {
                self.at = self.bytes.len();
                return Err(self.wrong());
            };
            let plain = rest.get(..length).unwrap_or_default();
            // Without a way out of the loop it is done many bytes at a time.
            if plain
                .iter()
                .fold(false, |found, byte| found | (*byte < b' '))
            {
                let before = plain.iter().take_while(|byte| **byte >= b' ').count();
                self.skip(before);
                return Err(self.wrong());
            }
            self.skip(length);
            if self.peek() == Some(b'"') {
                self.step();
                return Ok(());
            }
            self.escape()?;
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        self.step();
        match self.rest() {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.skip(1),
            [b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|hex| hex.is_ascii_hexdigit()) => {
                self.skip(5);
            }
            _ => return Err(self.wrong()),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.step();
        }
        match self.peek() {
            Some(b'0') => self.step(),
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.step();
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.step();
            if let Some(b'+' | b'-') = self.peek() {
                self.step();
            }
            self.digits()?;
        }
        Ok(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.step();
        }
        match self.at == start {
            true => Err(self.wrong()),
            false => Ok(()),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), JsonError> {
        if !self.rest().starts_with(word) {
            return Err(self.wrong());
        }
        self.skip(word.len());
        Ok(())
    }
}
