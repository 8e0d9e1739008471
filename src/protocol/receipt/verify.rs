use super::form::{LIMITS, plain};
use super::{Receipt, ReceiptBody, Settlement, SettlementStatus, UsageSource, typed};
use crate::json::Object;
use crate::metering::Usage;
use crate::money::AmountError;
use crate::pricing::bill;
use crate::protocol::signature;
use jiff::Timestamp;

/// A receipt that holds: signed by `receipt.signer`, and computing to what it says.
///
/// Whether that signer is the service's is for the reader to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// The receipt.
    pub receipt: Receipt,
}

/// What is wrong with a receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptFault {
    /// The text is not a receipt.
    #[error("not a receipt: {0}")]
    NotReceipt(String),
    /// The text says more than a receipt can hold, or says it in another way than receipts do.
    #[error(
        "the text has members, or spellings of them, that no receipt has and no signature covers"
    )]
    Form,
    /// The signature is not the signer's.
    #[error("the signature is not the signer's, over these contents")]
    Signature,
    /// `chain_id` is not the network's.
    #[error("chain_id is not the network's")]
    ChainId,
    /// `price_row_sha256` is not the hash of `price_row`.
    #[error("price_row_sha256 is not the hash of price_row")]
    RowHash,
    /// The lines are not what usage and prices give.
    #[error("the lines are not usage times price row")]
    Lines,
    /// `list_pusd` is not what the tokens cost without a cache.
    #[error("list_pusd is not the price without a cache")]
    List,
    /// `cache_saving_pusd` is not what the cache saved.
    #[error("cache_saving_pusd is not what the cache saved")]
    Saving,
    /// `total_pusd` is not the bill's total.
    #[error("total_pusd is not the total of the bill")]
    Total,
    /// `charged` is not the total rounded up once, or all that was held.
    #[error("charged is not total_pusd rounded up once (at most held)")]
    Charged,
    /// `credited` is not what the payment moves beyond the charge.
    #[error("credited is not what the payment moves beyond the charge")]
    Credited,
    /// A flag that the bill calls for is missing, or one is there without its reason.
    #[error("the flags are not those that the bill calls for")]
    Flags,
    /// The upstream's receipt in it does not hold.
    #[error("upstream_receipt does not hold: {}", listed(.0))]
    Upstream(Vec<ReceiptFault>),
    /// The reported cost cannot be meant, beside what the tokens cost by the price row.
    #[error("reported_cost_pusd is nothing, or far more than the tokens cost by price_row")]
    Cost,
    /// More was held than the ceiling quoted.
    #[error("held is more than ceiling")]
    Ceiling,
    /// There is usage, or a cost of it, in a receipt that says there is none.
    #[error("usage_source is none, but usage is not zero or has a cost")]
    Usage,
    /// The settlement contradicts itself.
    #[error("the settlement's status, transaction and block do not fit together")]
    Settlement,
    /// `issued_at` is not a timestamp.
    #[error("issued_at is not an RFC 3339 timestamp")]
    IssuedAt,
    /// The amounts overflow.
    #[error("the receipt's amounts cannot be computed: {0}")]
    Amount(#[from] AmountError),
}

/// Checks a receipt's JSON text: its form, its signature, and every sum in it.
pub fn verify(text: &str) -> Result<Verified, Vec<ReceiptFault>> {
    let receipt = read(text).map_err(|fault| vec![fault])?;
    let faults = receipt.faults();
    if faults.is_empty() {
        Ok(Verified { receipt })
    } else {
        Err(faults)
    }
}

fn read(text: &str) -> Result<Receipt, ReceiptFault> {
    let not_receipt = |e: String| ReceiptFault::NotReceipt(e);
    Object::parse(text.as_bytes(), &LIMITS).map_err(|e| not_receipt(e.to_string()))?;
    let receipt: Receipt = serde_json::from_str(text).map_err(|e| not_receipt(e.to_string()))?;
    let again = serde_json::to_string(&receipt).map_err(|e| not_receipt(e.to_string()))?;
    match (plain(text), plain(&again)) {
        (Ok(stated), Ok(own)) if stated == own => Ok(receipt),
        _ => Err(ReceiptFault::Form),
    }
}

fn listed(faults: &[ReceiptFault]) -> String {
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    faults.join("; ")
}

impl Receipt {
    /// Everything that is wrong with the receipt's signature and sums; empty when it holds.
    pub fn faults(&self) -> Vec<ReceiptFault> {
        let mut faults = Vec::new();
        let signed = self
            .signature
            .strip_prefix("0x")
            .and_then(|digits| hex::decode(digits).ok())
            .and_then(|bytes| {
                signature::recover(typed::digest(&self.body, self.signer), &bytes).ok()
            });
        if signed != Some(self.signer) {
            faults.push(ReceiptFault::Signature);
        }
        self.body.add_faults(&mut faults);
        let upstream = self.body.upstream_receipt.as_ref();
        let upstream = upstream.map(|receipt| receipt.faults()).unwrap_or_default();
        if !upstream.is_empty() {
            faults.push(ReceiptFault::Upstream(upstream));
        }
        faults
    }
}

impl ReceiptBody {
    fn add_faults(&self, faults: &mut Vec<ReceiptFault>) {
        let mut check = |holds: bool, fault: ReceiptFault| {
            if !holds {
                faults.push(fault);
            }
        };
        let idle = self.usage_source == UsageSource::None;
        let nothing = self.usage == Usage::default() && self.reported_cost_pusd.is_none();
        check(!idle || nothing, ReceiptFault::Usage);
        check(idle || self.cost_is_believable(), ReceiptFault::Cost);
        check(self.settlement.holds(), ReceiptFault::Settlement);
        check(self.held <= self.ceiling, ReceiptFault::Ceiling);
        let issued_at = self.issued_at.parse::<Timestamp>();
        check(issued_at.is_ok(), ReceiptFault::IssuedAt);
        let again = match self.clone().computed() {
            Ok(again) => again,
            Err(error) => return faults.push(error.into()),
        };
        check(self.chain_id == again.chain_id, ReceiptFault::ChainId);
        let same_row = self.price_row_sha256 == again.price_row_sha256;
        check(same_row, ReceiptFault::RowHash);
        check(self.lines == again.lines, ReceiptFault::Lines);
        check(self.list_pusd == again.list_pusd, ReceiptFault::List);
        let same_saving = self.cache_saving_pusd == again.cache_saving_pusd;
        check(same_saving, ReceiptFault::Saving);
        check(self.total_pusd == again.total_pusd, ReceiptFault::Total);
        check(self.charged == again.charged, ReceiptFault::Charged);
        check(self.credited == again.credited, ReceiptFault::Credited);
        check(self.flags == again.flags, ReceiptFault::Flags);
    }
}

impl ReceiptBody {
    /// Amounts that overflow are another fault.
    fn cost_is_believable(&self) -> bool {
        let Some(cost) = self.reported_cost_pusd else {
            return true;
        };
        let output = self.usage.output_total().unwrap_or(u64::MAX);
        let by_row = bill(&self.price_row, &self.usage, 0);
        by_row.map_or(true, |by_row| by_row.believes(cost, output))
    }
}

impl Settlement {
    /// Zero is no transaction and no block: in the typed data it stands for their absence.
    fn holds(&self) -> bool {
        let named = self.transaction.is_some_and(|hash| !hash.is_zero());
        let placed = self.block.is_some_and(|block| block > 0);
        match self.status {
            SettlementStatus::None => self.transaction.is_none() && self.block.is_none(),
            SettlementStatus::Pending | SettlementStatus::Failed => {
                (named || self.transaction.is_none()) && (self.block.is_none() || (named && placed))
            }
            SettlementStatus::Settled => named && placed,
        }
    }
}
