//! Until when an upstream is listened to, and what it means when that time is over.

use crate::router::UpstreamFailure;
use bytes::Bytes;
use futures::StreamExt;
use std::time::{Duration, Instant};

/// The end of a call's time: the operator's, or its payment's, which is settled before it expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    until: Instant,
    by_payment: bool,
}

impl Limit {
    /// The earlier of the two.
    pub(super) fn of(sent: Instant, call_timeout: Duration, settle_by: Option<Instant>) -> Self {
        let until = sent.checked_add(call_timeout).unwrap_or(sent);
        match settle_by {
            Some(settle_by) if settle_by < until => Self {
                until: settle_by,
                by_payment: true,
            },
            _ => Self {
                until,
                by_payment: false,
            },
        }
    }

    /// What a work gives, or why there was no time for it.
    pub(super) async fn within<T>(
        self,
        work: impl Future<Output = T>,
    ) -> Result<T, UpstreamFailure> {
        let done = tokio::time::timeout_at(self.until.into(), work).await;
        done.map_err(|_| match self.by_payment {
            true => UpstreamFailure::Ended("the payment must be settled before it expires"),
            false => UpstreamFailure::TimedOut,
        })
    }

    /// The next piece of an answer, its end, or why there is none.
    pub(super) async fn next(
        self,
        upstream: &mut (impl StreamExt<Item = Result<Bytes, UpstreamFailure>> + Unpin),
    ) -> Option<Result<Bytes, UpstreamFailure>> {
        self.within(upstream.next())
            .await
            .unwrap_or_else(|ended| Some(Err(ended)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_end_is_the_calls() {
        let sent = Instant::now();
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(9));
        let own = Limit {
            until: sent + short,
            by_payment: false,
        };
        assert_eq!(Limit::of(sent, short, None), own);
        assert_eq!(Limit::of(sent, short, Some(sent + long)), own);
        let payments = Limit {
            until: sent + short,
            by_payment: true,
        };
        assert_eq!(Limit::of(sent, long, Some(sent + short)), payments);
    }
}
