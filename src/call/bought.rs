//! What the receipt of an upstream that was paid for this call says to our own bill.

use super::forward::Begun;
use crate::json::{Limits, Object, Splice};
use crate::metering::{Reading, Usage};
use crate::pricing::{self, PriceRow};
use crate::protocol::receipt::{Receipt, UsageSource};
use crate::router::Receipted;
use std::borrow::Cow;

/// The longest receipt of an upstream that ours carries, in bytes.
const RECEIPT_BYTES_MAX: usize = 16 << 10;

/// What is billed, and what of the upstream's receipt goes into ours.
pub(super) struct Believed<'a> {
    pub(super) reading: Cow<'a, Reading>,
    /// The upstream's receipt, as its text.
    pub(super) receipt: Option<String>,
    pub(super) flag: Option<&'static str>,
}

impl Begun<'_> {
    /// Has the upstream's receipt taken in, where it was paid for this call.
    pub(super) async fn close(&mut self, reading: &Reading) {
        if let Some(purchase) = self.purchase.take() {
            self.receipted = Some(purchase.close(reading.receipt.clone()).await);
        }
    }

    /// What is billed of an answer: what it says of its usage. Where the upstream signed something else, the
    /// cheaper of the two, so that no lie of an upstream costs our payer anything.
    pub(super) fn believed<'a>(&self, reading: &'a Reading, complete: bool) -> Believed<'a> {
        let as_told = |flag| Believed {
            reading: Cow::Borrowed(reading),
            receipt: None,
            flag,
        };
        let receipt = match &self.receipted {
            None => return as_told(None),
            Some(Receipted::Missing) => return as_told(Some("upstream_receipt_missing")),
            Some(Receipted::Unsound) => return as_told(Some("upstream_receipt_unsound")),
            Some(Receipted::Holds(receipt)) => receipt,
        };
        let text = serde_json::to_string(receipt).ok();
        let Some(text) = text.filter(|text| text.len() <= RECEIPT_BYTES_MAX) else {
            return as_told(Some("upstream_receipt_too_long"));
        };
        let mut reading = without_receipt(reading);
        let signed = signed_usage(receipt).filter(|_| complete);
        let differs = signed.filter(|signed| Ok(*signed) != reading.usage);
        if let Some(signed) = differs
            && is_cheaper(&self.by.endpoint.model.price, &signed, &reading)
        {
            reading.usage = Ok(signed);
        }
        Believed {
            reading: Cow::Owned(reading),
            receipt: Some(text),
            flag: differs.map(|_| "upstream_usage_differs"),
        }
    }
}

/// What the upstream says that it was told itself.
fn signed_usage(receipt: &Receipt) -> Option<Usage> {
    let body = &receipt.body;
    (body.usage_source == UsageSource::Reported).then_some(body.usage)
}

/// What cannot be read is not cheap.
fn is_cheaper(row: &PriceRow, signed: &Usage, reading: &Reading) -> bool {
    let cost = |usage: &Usage| pricing::bill(row, usage, 0).map(|bill| bill.total);
    match (&reading.usage, cost(signed)) {
        (Ok(told), Ok(signed)) => cost(told).is_ok_and(|told| signed < told),
        (Err(_), Ok(_)) => true,
        (_, Err(_)) => false,
    }
}

/// The receipt stands in ours beside the usage, and need not stand in both.
fn without_receipt(reading: &Reading) -> Reading {
    let mut reading = reading.clone();
    let bare = reading.raw_usage.as_deref().and_then(|raw| {
        let object = Object::parse(raw.as_bytes(), &Limits::default()).ok()?;
        let mut splice = Splice::new(&object);
        splice.remove("receipt");
        String::from_utf8(splice.finish()).ok()
    });
    reading.raw_usage = bare.or(reading.raw_usage);
    reading
}
