//! What a receipt, and a refused broadcast, mean; purely.

use super::job::Expect;
use crate::chain::bindings::IEip3009Token;
use crate::chain::{ChainError, Receipt};
use alloy::sol_types::SolEvent;

/// What a mined transaction did for a job. Ordered: the later counts when several are mined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// It reverted: nothing moved by it.
    Reverted,
    /// It succeeded, but the token did not say that the transfer happened.
    Quiet,
    /// The transfer happened.
    Moved,
}

/// Success is the status *and* the token's own event, with exactly the expected parties and value.
pub(super) fn judge(receipt: &Receipt, expect: &Expect) -> Verdict {
    if !receipt.is_success() {
        return Verdict::Reverted;
    }
    let moved = receipt.logs().iter().any(|log| {
        log.address() == expect.asset
            && IEip3009Token::Transfer::decode_log(&log.inner).is_ok_and(|event| {
                event.from == expect.from && event.to == expect.to && event.value == expect.value
            })
    });
    if moved {
        Verdict::Moved
    } else {
        Verdict::Quiet
    }
}

/// What the node's answer to a broadcast means; only the chain itself ever decides an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broadcast {
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
pub(super) fn broadcast<T>(answer: &Result<T, ChainError>) -> Broadcast {
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
