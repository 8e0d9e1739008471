use super::JsonError;
use std::ops::Range;

/// Where one top-level member lies, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// The key's string literal, with its quotes.
    pub(super) key: Range<usize>,
    /// The value, without surrounding white space.
    pub(super) value: Range<usize>,
}

/// Finds the top-level members of an object in one pass without recursion.
///
/// It checks the depth but not the grammar: its answer holds only for text that is valid JSON,
/// and the caller checks that afterwards, when the text is known to be shallow.
pub(super) fn members(bytes: &[u8], depth_max: usize) -> Result<Vec<Member>, JsonError> {
    let mut scan = Scan {
        depth: 0,
        key: None,
        value: None,
        members: Vec::new(),
    };
    let mut at = 0usize;
    while let Some(&byte) = bytes.get(at) {
        let end = match byte {
            b'"' => string_end(bytes, at),
            _ => at.saturating_add(1),
        };
        match byte {
            b'{' | b'[' => {
                scan.touch(at, end);
                scan.depth = scan.depth.saturating_add(1);
                if scan.depth > depth_max {
                    return Err(JsonError::TooDeep);
                }
            }
            b'}' | b']' => {
                if scan.depth == 1 {
                    scan.close();
                }
                scan.depth = scan.depth.saturating_sub(1);
                scan.touch(at, end);
            }
            b',' if scan.depth == 1 => scan.close(),
            b':' if scan.depth == 1 => {
                scan.key = scan.value.take();
            }
            b' ' | b'\t' | b'\n' | b'\r' => {}
            _ => scan.touch(at, end),
        }
        at = end;
    }
    Ok(scan.members)
}

struct Scan {
    depth: usize,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    members: Vec<Member>,
}

impl Scan {
    /// Grows the token being read at the top level so that it covers `start..end`.
    fn touch(&mut self, start: usize, end: usize) {
        if self.depth == 1 {
            let start = self.value.as_ref().map_or(start, |v| v.start);
            self.value = Some(start..end);
        }
    }

    fn close(&mut self) {
        if let (Some(key), Some(value)) = (self.key.take(), self.value.take()) {
            self.members.push(Member { key, value });
        }
    }
}

/// The byte after the closing quote of the string that opens at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start.saturating_add(1);
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        match memchr::memchr2(b'"', b'\\', rest) {
            None => return bytes.len(),
            Some(skip) => {
                at = at.saturating_add(skip);
                if bytes.get(at) == Some(&b'"') {
                    return at.saturating_add(1);
                }
                at = at.saturating_add(2);
            }
        }
    }
}
