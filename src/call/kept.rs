//! Finished answers, in the form that the ledger keeps them in.

use super::running::{Head, Running};
use crate::ledger::Answer;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;

/// A finished answer in the form it is kept in.
pub(super) fn keepable(headers: &HeaderMap, body: Vec<u8>) -> Answer {
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    let headers = headers
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), text(value)?)));
    Answer {
        status: 200,
        headers: headers.collect(),
        body,
    }
}

/// A finished answer that was kept, as of a call that is over.
pub(super) fn from_kept(answer: Answer) -> Arc<Running> {
    let headers: HeaderMap = answer
        .headers
        .iter()
        .filter_map(|(name, value)| {
            let name = HeaderName::try_from(name.as_str()).ok()?;
            Some((name, HeaderValue::try_from(value.as_str()).ok()?))
        })
        .collect();
    let running = Running::new();
    running.begin(Head::Answer(headers));
    running.push(answer.body.into());
    running.finish();
    running
}
