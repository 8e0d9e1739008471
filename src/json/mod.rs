//! JSON read and edited without being rewritten: an index of an object's top-level members, a
//! splice that changes named members and leaves every other byte as it was, and the canonical
//! text that hashes are taken of.
//!
//! A request goes upstream byte for byte (rule 10: anything else can miss a KV cache), so nothing
//! here ever prints what it has parsed.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod canonical;
mod object;
mod scan;
mod splice;

pub use canonical::canonical;
pub use object::{Index, Object, items, unquoted};
pub use splice::Splice;

/// How much JSON is read before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The deepest nesting of objects and arrays; the outermost object is depth 1.
    pub depth_max: usize,
    /// The longest input, in bytes.
    pub bytes_max: usize,
}

impl Default for Limits {
    /// Depth 128 (what serde_json can read back) and 32 MiB.
    fn default() -> Self {
        Self {
            depth_max: 128,
            bytes_max: 32 << 20,
        }
    }
}

/// Why a text was not read as a JSON object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text is not JSON, or not UTF-8.
    #[error("not valid JSON near byte {offset}: {reason}")]
    Syntax {
        /// Where reading failed, in bytes from the start.
        offset: usize,
        /// What was wrong there.
        reason: String,
    },
    /// Objects and arrays nest deeper than the limit.
    #[error("JSON nests too deeply")]
    TooDeep,
    /// The text is longer than the limit.
    #[error("JSON is too large")]
    TooLarge,
    /// A top-level key appears twice, so two readers could disagree on its value.
    #[error("the key {0:?} appears twice")]
    DuplicateKey(String),
    /// The text is JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// The text is JSON, but not an array.
    #[error("not a JSON array")]
    NotAnArray,
    /// A member's value is not of the type asked for.
    #[error("the member {key:?} has the wrong type")]
    WrongType {
        /// The member's name.
        key: String,
    },
}

#[cfg(test)]
mod tests;
