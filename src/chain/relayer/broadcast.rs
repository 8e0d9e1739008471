//! What the node's answer to a broadcast means; purely.

use crate::chain::ChainError;

/// What the node's answer to a broadcast means; only the chain itself ever decides an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::chain) enum Broadcast {
    /// The node has it.
    Known,
    /// The nonce is used: by this very transaction, by an earlier try, or by someone else.
    NonceTooLow,
    /// Another transaction holds the nonce, or the fees are too low to be taken: raise them.
    Underpriced,
    /// The key cannot pay for the gas.
    OutOfGas,
    /// Anything else: it may or may not be out.
    Unknown,
}

/// Reads a broadcast's answer; nodes differ in codes, so their words decide.
pub(in crate::chain) fn broadcast<T>(answer: &Result<T, ChainError>) -> Broadcast {
    let message = match answer {
        Ok(_) => return Broadcast::Known,
        Err(ChainError::Refused { message, .. }) => message.to_ascii_lowercase(),
        Err(_) => return Broadcast::Unknown,
    };
    let says = |words: &[&str]| words.iter().any(|w| message.contains(w));
    if says(&[
        "already known",
        "already imported",
        "known transaction",
        "already in mempool",
    ]) {
        Broadcast::Known
    } else if says(&["nonce too low", "nonce is too low", "oldnonce"]) {
        Broadcast::NonceTooLow
    } else if says(&["insufficient funds", "insufficient balance"]) {
        Broadcast::OutOfGas
    } else if says(&[
        "underpriced",
        "less than block base fee",
        "fee too low",
        "gas price too low",
    ]) {
        Broadcast::Underpriced
    } else {
        Broadcast::Unknown
    }
}
