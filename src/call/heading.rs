//! The headers of an answer: the upstream's, the call's id, and what is known of the payment.

use crate::clock::now_ms;
use crate::ledger::{CallId, ChannelState};
use crate::money::Units;
use crate::payment::{MppPaid, PaidByChannel, Rails, session_account};
use crate::protocol::mpp::session::Account;
use crate::protocol::mpp::{PAYMENT_RECEIPT, Receipt};
use crate::protocol::x402::{self, SettleResponse};
use alloy::primitives::Address;
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// The header that names the call in every answer to a paid request.
pub const CALL_ID: HeaderName = HeaderName::from_static("groat-call-id");

/// An answer's headers, but for what a channel's books will say.
#[derive(Debug, Clone)]
pub(super) struct Heading {
    headers: HeaderMap,
    by_channel: Option<ByChannel>,
    by_mpp: Option<MppPaid>,
    by_session: Option<BySession>,
}

/// The channel that pays, and for whom.
#[derive(Debug, Clone)]
pub(super) struct ByChannel {
    pub(super) rails: Rails,
    pub(super) payer: Address,
    pub(super) paid: PaidByChannel,
    pub(super) version: x402::Version,
}

/// The challenge that a session's voucher was for, and what it bought.
#[derive(Debug, Clone)]
pub(super) struct BySession {
    pub(super) challenge: String,
    pub(super) call: CallId,
}

impl BySession {
    /// The receipt of a channel, as its books are.
    pub(super) fn receipt(&self, account: &Account) -> Receipt {
        let receipt = account.receipt(&self.challenge, now_ms() / 1000, None);
        Receipt {
            external_id: Some(self.call.to_string()),
            ..receipt
        }
    }
}

impl Heading {
    /// The headers of a call's answer, out of those that the upstream gave.
    pub(super) fn new(mut headers: HeaderMap, call: &CallId) -> Self {
        if let Ok(id) = HeaderValue::try_from(call.to_string()) {
            headers.insert(CALL_ID, id);
        }
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, no-store"),
        );
        Self {
            headers,
            by_channel: None,
            by_mpp: None,
            by_session: None,
        }
    }

    /// The headers of an answer that has begun.
    pub(super) const fn begun(headers: HeaderMap) -> Self {
        Self {
            headers,
            by_channel: None,
            by_mpp: None,
            by_session: None,
        }
    }

    /// Adds a payment that is settled.
    pub(super) fn settled(mut self, paid: &SettleResponse, version: x402::Version) -> Self {
        tell(&mut self.headers, paid, version);
        self
    }

    /// Adds a channel, whose books are looked at when the headers are written.
    pub(super) fn by_channel(self, by_channel: ByChannel) -> Self {
        Self {
            by_channel: Some(by_channel),
            ..self
        }
    }

    /// Adds a payment that came by MPP.
    pub(super) fn by_mpp(self, paid: MppPaid) -> Self {
        Self {
            by_mpp: Some(paid),
            ..self
        }
    }

    /// Adds a session, whose channel's books are looked at when the headers are written.
    pub(super) fn by_session(self, by_session: BySession) -> Self {
        Self {
            by_session: Some(by_session),
            ..self
        }
    }

    /// The same, once the bill is known.
    pub(super) fn charged(&self, charged: Units) -> Self {
        let by_mpp = self.by_mpp.clone().map(|paid| MppPaid {
            charged: Some(charged),
            ..paid
        });
        Self {
            by_mpp,
            ..self.clone()
        }
    }

    /// The headers, with what the books of the paying channel say.
    pub(super) fn headers(&self, books: Option<&ChannelState>) -> HeaderMap {
        let mut headers = self.headers.clone();
        if let (Some(by), Some(books)) = (&self.by_channel, books) {
            let paid = by.rails.paid_by_channel(by.payer, &by.paid, books);
            tell(&mut headers, &paid, by.version);
        }
        let by_session = self.by_session.as_ref().zip(books);
        let receipt = match by_session {
            Some((by, books)) => Some(by.receipt(&session_account(books))),
            None => self.by_mpp.as_ref().map(MppPaid::receipt),
        };
        let receipt = receipt.and_then(|receipt| receipt.to_header());
        if let Some(value) = receipt.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(PAYMENT_RECEIPT, value);
        }
        headers
    }
}

fn tell(headers: &mut HeaderMap, paid: &SettleResponse, version: x402::Version) {
    let name = HeaderName::from_static(match version {
        x402::Version::V1 => x402::X_PAYMENT_RESPONSE,
        x402::Version::V2 => x402::PAYMENT_RESPONSE,
    });
    let value = paid.to_header().ok();
    if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
        headers.insert(name, value);
    }
}
