//! Authentication headers (RFC 9110 §11): where schemes begin, and their parameters.

use super::SCHEME;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

/// Why a header of the scheme was not read or not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// There is no `Payment` scheme in it.
    #[error("there is no Payment scheme in it")]
    NoScheme,
    /// A parameter has no name, no value or no closing quote.
    #[error("a parameter is not of the form name=\"value\"")]
    Parameter,
    /// A parameter stands there twice.
    #[error("the parameter {0:?} appears twice")]
    Duplicate(String),
    /// A parameter is missing, empty or not of its form.
    #[error("the parameter {0:?} is missing or not of its form")]
    Missing(&'static str),
    /// A value holds a character that no header may carry.
    #[error("a value holds a line break or another control character")]
    Control,
    /// It is longer than is read.
    #[error("it is too long")]
    TooLarge,
}

/// The pieces of a header's value that begin with the scheme, each up to the next of them; a comma
/// before a piece separates it, quoted text hides nothing.
pub(super) fn pieces(value: &str) -> Vec<&str> {
    let mut starts = Vec::new();
    let mut quoted = false;
    let mut escaped = false;
    let mut boundary = true;
    for (at, c) in value.char_indices() {
        if quoted {
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        if boundary && is_scheme(value.get(at..).unwrap_or_default()) {
            starts.push(at);
        }
        quoted = c == '"';
        boundary = c == ',' || (boundary && c.is_ascii_whitespace());
    }
    let ends = starts.iter().copied().skip(1).chain([value.len()]);
    starts
        .iter()
        .zip(ends)
        .filter_map(|(start, end)| value.get(*start..end))
        .collect()
}

/// What follows the scheme's name.
pub(super) fn parameters_of(piece: &str) -> &str {
    piece.get(SCHEME.len()..).unwrap_or_default()
}

fn is_scheme(text: &str) -> bool {
    let Some((name, rest)) = text.split_at_checked(SCHEME.len()) else {
        return false;
    };
    let ends = rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_whitespace());
    name.eq_ignore_ascii_case(SCHEME) && ends
}

/// Reads parameters up to the end, or to what begins like another scheme. Names are lower case then.
pub(super) fn read(text: &str) -> Result<BTreeMap<String, String>, SyntaxError> {
    let mut found = BTreeMap::new();
    let mut rest = text.chars().peekable();
    loop {
        skip(&mut rest, |c| c == ',' || c.is_ascii_whitespace());
        if rest.peek().is_none() {
            return Ok(found);
        }
        let name = name(&mut rest)?;
        skip(&mut rest, |c| c.is_ascii_whitespace());
        if rest.next_if_eq(&'=').is_none() {
            return Ok(found);
        }
        skip(&mut rest, |c| c.is_ascii_whitespace());
        let value = match rest.next_if_eq(&'"') {
            Some(_) => quoted(&mut rest)?,
            None => bare(&mut rest),
        };
        if found.insert(name.clone(), value).is_some() {
            return Err(SyntaxError::Duplicate(name));
        }
    }
}

fn skip(rest: &mut Peekable<Chars<'_>>, which: impl Fn(char) -> bool) {
    while rest.next_if(|c| which(*c)).is_some() {}
}

fn name(rest: &mut Peekable<Chars<'_>>) -> Result<String, SyntaxError> {
    let mut name = String::new();
    while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
        name.push(c.to_ascii_lowercase());
    }
    match name.is_empty() {
        true => Err(SyntaxError::Parameter),
        false => Ok(name),
    }
}

fn bare(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut value = String::new();
    while let Some(c) = rest.next_if(|c| *c != ',') {
        value.push(c);
    }
    value.trim_end().to_owned()
}

/// Reads a quoted text behind its first quote. The kits write what is beyond Latin-1 as `\u` and four digits.
fn quoted(rest: &mut Peekable<Chars<'_>>) -> Result<String, SyntaxError> {
    let mut units: Vec<u16> = Vec::new();
    loop {
        match rest.next().ok_or(SyntaxError::Parameter)? {
            '"' => return Ok(String::from_utf16_lossy(&units)),
            '\\' => {
                let c = rest.next().ok_or(SyntaxError::Parameter)?;
                match (c == 'u').then(|| unicode(rest)).flatten() {
                    Some(unit) => units.push(unit),
                    None => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
                }
            }
            c => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
        }
    }
}

/// Four hexadecimal digits, if that is what comes next.
fn unicode(rest: &mut Peekable<Chars<'_>>) -> Option<u16> {
    let digits: String = rest.clone().take(4).collect();
    let whole = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let unit = whole
        .then(|| u16::from_str_radix(&digits, 16).ok())
        .flatten()?;
    for _ in 0..4 {
        rest.next();
    }
    Some(unit)
}

/// Prints one parameter; what is not ASCII becomes `\u` and four digits.
pub(super) fn write(name: &str, value: &str, out: &mut String) -> Result<(), SyntaxError> {
    if value.chars().any(char::is_control) {
        return Err(SyntaxError::Control);
    }
    if !out.ends_with(' ') {
        out.push_str(", ");
    }
    out.push_str(name);
    out.push_str("=\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_ascii() => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
    Ok(())
}
