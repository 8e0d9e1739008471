//! A stream of a session: framed as MPP has it, and paid as it goes.

use super::quote::Candidate;
use super::task::Task;
use crate::metering::{SseScanner, Usage};
use crate::money::Units;
use crate::payment::SettledUp;
use crate::pricing;
use crate::protocol::mpp::session::{message_event, receipt_event};

/// Into how many parts of its ceiling a stream's cost is divided: after each another voucher is asked for.
const PARTS: u128 = 8;

/// How far a stream of a session is paid for.
#[derive(Debug)]
pub(super) struct Dues {
    /// What is signed for next, once so much is certain to be billed.
    next: Units,
    step: Units,
}

impl Dues {
    /// Of a call that may cost so much.
    pub(super) fn of(ceiling: Units) -> Self {
        let step = Units::from_atomic((ceiling.atomic() / PARTS).max(1));
        Self { next: step, step }
    }

    /// What is to be signed for now that so much is certain to be billed, if it is time for that.
    pub(super) fn at(&mut self, certain: Units) -> Option<Units> {
        if certain < self.next {
            return None;
        }
        self.next = certain.plus(self.step).unwrap_or(certain);
        Some(certain)
    }
}

/// A stream's own events as messages of a session's; comments, which carry nothing, are left out.
pub(super) fn framed(events: &[u8]) -> Vec<u8> {
    let mut scanner = SseScanner::default();
    let mut whole = scanner.push(events);
    whole.extend(scanner.finish());
    let data = whole.iter().filter_map(|event| event.data.as_deref());
    data.flat_map(message_event).collect()
}

impl Task {
    /// What so many pieces of output are billed at least: each is a token, or more than one.
    pub(super) fn certain(&self, by: &Candidate, pieces: u64) -> Units {
        let usage = Usage {
            output: pieces,
            ..Usage::default()
        };
        // What a provider says itself that a call cost may be less than its prices make of it.
        if by.endpoint.upstream.bill_reported_cost {
            return Units::ZERO;
        }
        let row = &by.endpoint.model.price;
        let bill = pricing::bill(row, &usage, self.call.markup_bps).ok();
        let units = bill.and_then(|bill| bill.total.to_units_ceil(self.shared.decimals).ok());
        units.unwrap_or_default().min(self.call.ceiling)
    }

    /// Lets bytes of the stream leave, in the frame that its payer wants.
    pub(super) fn pass_on(&self, bytes: Vec<u8>) {
        match &self.metered {
            Some(_) => self.push(framed(&bytes)),
            None => self.push(bytes),
        }
    }

    /// Has the payer sign for what is certain to be billed, if it is time for that; false when it does
    /// not come.
    pub(super) async fn is_paid_on(&self, dues: &mut Dues, by: &Candidate, pieces: u64) -> bool {
        let Some(metered) = &self.metered else {
            return true;
        };
        match dues.at(self.certain(by, pieces)) {
            Some(certain) => metered.covers(certain, |event| self.push(event)).await,
            None => true,
        }
    }

    /// Has the payer sign for the bill.
    pub(super) async fn settled_up(&self, bill: Units) -> Option<SettledUp> {
        let metered = self.metered.as_ref()?;
        let settled = metered.settle_up(bill, |event| self.push(event)).await;
        if settled.as_ref().is_none_or(|settled| !settled.signed) {
            tracing::warn!(call = %self.id, payer = %self.payer, "a session's payer did not sign for its bill in time; its next call must");
        }
        settled
    }

    /// What is left of a stream, in the frame that its payer wants, with its receipt.
    pub(super) fn ended(&self, rest: Vec<u8>, settled: Option<&SettledUp>) -> Vec<u8> {
        if self.metered.is_none() {
            return rest;
        }
        let mut framed = framed(&rest);
        if let Some((settled, by)) = settled.zip(self.by_session()) {
            framed.extend(receipt_event(&by.receipt(&settled.account)));
        }
        framed
    }
}
