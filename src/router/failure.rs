use bytes::Bytes;
use http::{HeaderValue, StatusCode};

/// Why an upstream gave no answer, or stopped giving it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UpstreamFailure {
    /// No connection, or it broke before the head of the answer.
    #[error("the upstream cannot be reached")]
    Unreachable,
    /// The upstream was silent for longer than configured.
    #[error("the upstream did not answer in time")]
    TimedOut,
    /// The connection broke inside the body.
    #[error("the upstream stopped in the middle of its answer")]
    Cut,
    /// The upstream answered with an error status.
    #[error("the upstream refused the call with status {status}")]
    Refused {
        /// The status it gave.
        status: StatusCode,
        /// Its `Retry-After`.
        retry_after: Option<HeaderValue>,
        /// Its body, at most 64 KiB; empty when longer.
        body: Bytes,
    },
    /// A good status with a body that is not what was asked for.
    #[error("the upstream's answer cannot be understood: {0}")]
    Malformed(String),
    /// We ended the call ourselves, for this reason.
    #[error("the answer was not complete in time: {0}")]
    Ended(&'static str),
    /// The answer is larger than configured.
    #[error("the upstream's answer is larger than this gateway passes on")]
    TooLarge,
}

impl UpstreamFailure {
    pub(super) fn of(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::TimedOut
        } else if error.is_body() || error.is_decode() {
            Self::Cut
        } else {
            Self::Unreachable
        }
    }
}
