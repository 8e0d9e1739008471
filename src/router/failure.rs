use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use std::time::Duration;

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
    /// It is paid for each call, and was not, for this reason; nothing was signed.
    #[error("the upstream was not paid: {0}")]
    NotPaid(&'static str),
    /// It asks for more than our own payer was quoted, or than may be signed for one call; nothing was signed.
    #[error("the upstream asks for {0}, more than may be paid for this call")]
    TooDear(String),
    /// It was paid, and this came of it: the same call is not bought again.
    #[error("paid for, and in vain: {0}")]
    Paid(Box<UpstreamFailure>),
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

/// What a failure before the first byte is the fault of, which says where to go next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request's: nobody else would take it either.
    Request,
    /// This endpoint's, for this request: another may do.
    Endpoint,
    /// Our account's there: it is not paid, or its key is not good.
    Account,
    /// Nobody's: the account is used too much at this moment.
    Busy,
    /// The upstream's, which may be over in a moment.
    Upstream,
    /// There is no time left for another try.
    Time,
}

/// Words by which providers say that a prompt is too long for this endpoint, which another may take.
const TOO_LONG: [&str; 4] = [
    "context_length",
    "context length",
    "context window",
    "too long",
];

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

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Unreachable | Self::TimedOut | Self::Cut => Fault::Upstream,
            Self::Malformed(_) => Fault::Upstream,
            Self::NotPaid(_) => Fault::Account,
            Self::TooDear(_) => Fault::Endpoint,
            Self::Paid(failure) => failure.fault(),
            Self::Ended(_) => Fault::Time,
            Self::TooLarge => Fault::Request,
            Self::Refused { status, body, .. } => match status.as_u16() {
                400 | 413 | 422 if !says_too_long(body) => Fault::Request,
                401..=403 => Fault::Account,
                429 => Fault::Busy,
                408 | 500.. => Fault::Upstream,
                _ => Fault::Endpoint,
            },
        }
    }

    /// Whether it is held against the upstream's uptime: not what the request is at fault for, what is over
    /// a limit, and what we ended ourselves.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable | Self::TimedOut | Self::Cut | Self::Malformed(_) => true,
            // As a 402 is.
            Self::NotPaid(_) => true,
            Self::Ended(_) | Self::TooLarge | Self::TooDear(_) => false,
            Self::Paid(failure) => failure.is_outage(),
            Self::Refused { status, .. } => !matches!(status.as_u16(), 400 | 403 | 413 | 422 | 429),
        }
    }

    /// The status that the upstream gave.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(status.as_u16()),
            Self::Paid(failure) => failure.status(),
            _ => None,
        }
    }

    /// How long the upstream asks to be left alone. The date form of `Retry-After` is not read.
    pub fn retry_after(&self) -> Option<Duration> {
        let Self::Refused { retry_after, .. } = self else {
            return None;
        };
        let seconds = retry_after.as_ref()?.to_str().ok()?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds))
    }
}

fn says_too_long(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    TOO_LONG.iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &'static str) -> UpstreamFailure {
        UpstreamFailure::Refused {
            status: StatusCode::from_u16(status).expect("a status"),
            retry_after: Some(HeaderValue::from_static(" 7")),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn a_failure_says_whose_fault_it_is() {
        for (status, body, fault) in [
            (400, "{}", Fault::Request),
            (400, "maximum Context Length is 8192", Fault::Endpoint),
            (401, "", Fault::Account),
            (402, "", Fault::Account),
            (404, "", Fault::Endpoint),
            (302, "", Fault::Endpoint),
            (408, "", Fault::Upstream),
            (422, "", Fault::Request),
            (429, "", Fault::Busy),
            (500, "", Fault::Upstream),
            (529, "", Fault::Upstream),
        ] {
            assert_eq!(refused(status, body).fault(), fault, "{status} {body}");
        }
        let outages = [401, 402, 404, 302, 408, 500, 502, 503, 529];
        let others = [400, 403, 413, 422, 429];
        for (statuses, is_outage) in [(&outages[..], true), (&others[..], false)] {
            for status in statuses {
                assert_eq!(refused(*status, "").is_outage(), is_outage, "{status}");
            }
        }
        assert!(UpstreamFailure::Unreachable.is_outage() && UpstreamFailure::Cut.is_outage());
        assert!(!UpstreamFailure::Ended("x").is_outage() && !UpstreamFailure::TooLarge.is_outage());
        assert_eq!(UpstreamFailure::TimedOut.fault(), Fault::Upstream);
        assert_eq!(UpstreamFailure::Ended("x").fault(), Fault::Time);
        let wait = refused(429, "").retry_after();
        assert_eq!(wait, Some(Duration::from_secs(7)));
        assert_eq!(UpstreamFailure::Cut.retry_after(), None);
    }
}
