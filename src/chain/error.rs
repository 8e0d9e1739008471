//! Why the chain gave no answer, or refused.

use super::bindings::error_name;
use alloy::primitives::Bytes;
use alloy::rpc::json_rpc::{ErrorPayload, RpcError};
use alloy::sol_types::{Panic, Revert, SolError};
use alloy::transports::{TransportError, TransportErrorKind};
use std::fmt;

/// Longest text of a node's own that is kept: its words are for a log line, not trusted.
const MESSAGE_BYTES_MAX: usize = 300;

/// Why a request to the node has no usable answer.
///
/// No variant ever holds the node's URL: URLs carry credentials (design rule 12).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No connection, or an HTTP status that is not success (overload, rate limit, gateway error).
    #[error("the node cannot be reached: {0}")]
    Unreachable(String),
    /// The node did not answer within the request's time-out; what it did meanwhile is unknown.
    #[error("the node did not answer in time")]
    TimedOut,
    /// The node answered with a JSON-RPC error that is not a revert.
    #[error("the node refused ({code}): {message}")]
    Refused {
        /// The JSON-RPC error code.
        code: i64,
        /// The node's own words, shortened.
        message: String,
    },
    /// The call or simulation was executed, and reverted.
    #[error("reverted: {0}")]
    Reverted(RevertReason),
    /// The node's answer is not of the form the method defines.
    #[error("the node's answer cannot be read: {0}")]
    Malformed(String),
    /// The node serves another chain than configured; seen at start.
    #[error("the node serves chain {found}, not {expected}")]
    WrongChain {
        /// The configured chain id.
        expected: u64,
        /// The node's chain id.
        found: u64,
    },
}

impl ChainError {
    /// Whether the question stays open: asking again may answer, and nothing may be concluded.
    ///
    /// Only a revert is a definite *no*; a node of the wrong chain never answers at all.
    pub fn is_unknown(&self) -> bool {
        !matches!(self, Self::Reverted(_) | Self::WrongChain { .. })
    }

    pub(super) fn malformed(what: impl fmt::Display) -> Self {
        Self::Malformed(shorten(&what.to_string()))
    }
}

impl From<TransportError> for ChainError {
    fn from(error: TransportError) -> Self {
        match error {
            RpcError::ErrorResp(payload) => refusal(&payload),
            RpcError::Transport(kind) => transport_fault(&kind),
            RpcError::NullResp => Self::Malformed("null".to_owned()),
            RpcError::DeserError { err, .. } => Self::malformed(err),
            other => Self::malformed(other),
        }
    }
}

fn transport_fault(kind: &TransportErrorKind) -> ChainError {
    if let Some(own) = kind
        .as_custom()
        .and_then(|e| e.downcast_ref::<ChainError>())
    {
        return own.clone();
    }
    match kind {
        TransportErrorKind::MissingBatchResponse(_) => {
            ChainError::Malformed("the batch answer lacks a member".to_owned())
        }
        _ => ChainError::Unreachable("transport closed".to_owned()),
    }
}

fn refusal(payload: &ErrorPayload) -> ChainError {
    let data = payload.as_revert_data();
    // Code 3 is "execution error" (EIP-1474 as nodes use it); older nodes only say it in words.
    if payload.code == 3 || data.is_some() || payload.message.contains("execution reverted") {
        return ChainError::Reverted(RevertReason::new(
            &payload.message,
            data.unwrap_or_default(),
        ));
    }
    ChainError::Refused {
        code: payload.code,
        message: shorten(&payload.message),
    }
}

/// Why a contract call reverted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevertReason {
    message: String,
    data: Bytes,
}

impl RevertReason {
    pub(super) fn new(node_message: &str, data: Bytes) -> Self {
        let message = if let Ok(revert) = Revert::abi_decode(&data) {
            revert.reason
        } else if let Ok(panic) = Panic::abi_decode(&data) {
            panic.to_string()
        } else if let Some(selector) = data.first_chunk() {
            match error_name(*selector) {
                Some(name) => name.to_owned(),
                None => format!("custom error 0x{}", alloy::hex::encode(selector)),
            }
        } else {
            node_message.to_owned()
        };
        Self {
            message: shorten(&message),
            data,
        }
    }

    /// The contract's own reason (`Error(string)`) or the name of its error, else the best other words.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the contract reverted with this error of its own, by its Solidity name and members.
    pub fn is<E: SolError>(&self) -> bool {
        self.data.starts_with(&E::SELECTOR)
    }

    /// The raw revert data; empty when the node gave none.
    pub fn data(&self) -> &Bytes {
        &self.data
    }
}

impl fmt::Display for RevertReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Keeps one printable line of bounded length.
fn shorten(text: &str) -> String {
    let mut end = text.len().min(MESSAGE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].replace(|c: char| c.is_control(), " ")
}

#[cfg(test)]
mod tests;
