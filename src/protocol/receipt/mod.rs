//! The receipt: the signed bill of one call. Everything it says is covered by one EIP-712
//! signature, and everything it computes can be computed again from it alone (rule 4).

mod form;
mod typed;
mod verify;

pub use form::readable_numbers;
pub use verify::{ReceiptFault, Verified, verify};

use super::Network;
use super::signature::Key;
use crate::metering::{Route, Usage};
use crate::money::{AmountError, AssetDecimals, Pusd, Units};
use crate::pricing::{BillFlag, Line, PriceRow, bill};
use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The flag of a receipt whose bill came to more than was held, so that the hold was charged.
pub const CAPPED_AT_HELD: &str = "capped_at_held";

/// The bill's own remarks, by their names in `flags`.
const BILL_FLAGS: [(BillFlag, &str); 3] = [
    (BillFlag::CacheReadUnpriced, "cache_read_unpriced"),
    (BillFlag::CacheWriteUnpriced, "cache_write_unpriced"),
    (BillFlag::CostAboveRow, "cost_above_row"),
];

/// A receipt with its signature. On the wire: one flat JSON object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// What is signed.
    #[serde(flatten)]
    pub body: ReceiptBody,
    /// Whose key signed.
    #[serde(serialize_with = "checksummed")]
    pub signer: Address,
    /// 65 bytes `r ‖ s ‖ v` in hexadecimal, over the typed data `Receipt`.
    pub signature: String,
}

/// What a receipt says. Amounts ending in `_pusd` are in 10⁻¹² USD, the four after them in the
/// asset's atomic units; all of them are decimal strings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReceiptBody {
    /// The call's identifier.
    pub call: String,
    /// The account that paid.
    #[serde(serialize_with = "checksummed")]
    pub payer: Address,
    /// The way it paid: `x402-exact`, …
    pub rail: String,
    /// The chain, in CAIP-2 form.
    pub network: Network,
    /// The chain's id; says the same as `network`.
    pub chain_id: u64,
    /// The token contract.
    #[serde(serialize_with = "checksummed")]
    pub asset: Address,
    /// The decimal places of the asset's atomic unit.
    pub asset_decimals: AssetDecimals,
    /// SHA-256 of the request's body; of any route but chat completions, of its path, a line feed and
    /// the body.
    pub request_sha256: Hash,
    /// The model asked for.
    pub model: String,
    /// The route that was called; absent: chat completions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// Who answered.
    pub answered_by: AnsweredBy,
    /// The prices that were applied.
    pub price_row: PriceRow,
    /// SHA-256 of the canonical JSON of `price_row`.
    pub price_row_sha256: Hash,
    /// What the call used, in tokens.
    pub usage: Usage,
    /// Where `usage` is from.
    pub usage_source: UsageSource,
    /// The provider's own usage object.
    pub raw_usage: Option<Value>,
    /// The receipt of who answered, where this service paid for the call itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_receipt: Option<Box<Receipt>>,
    /// What the provider says the call cost, where that is what is billed; absent: the lines are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_cost_pusd: Option<Pusd>,
    /// Tokens × rate, by class: the bill, unless there is a reported cost.
    pub lines: Vec<Line>,
    /// The markup, in basis points.
    pub markup_bps: u32,
    /// What the same tokens cost without any cache, by the prices that were applied.
    pub list_pusd: Pusd,
    /// What the cache saved the payer, by the same prices.
    pub cache_saving_pusd: Pusd,
    /// The bill's total: the lines' sum or the reported cost, and the markup on it.
    pub total_pusd: Pusd,
    /// The most this call could have cost, quoted beforehand.
    pub ceiling: Units,
    /// What was set aside; at most the ceiling.
    pub held: Units,
    /// What was taken: the total, rounded up once.
    pub charged: Units,
    /// What was given back: held less charged.
    pub credited: Units,
    /// What became of the payment on chain.
    pub settlement: Settlement,
    /// Remarks, such as [`CAPPED_AT_HELD`].
    pub flags: Vec<String>,
    /// When this was signed, RFC 3339.
    pub issued_at: String,
}

/// What a receipt calls `request_sha256`.
pub fn request_sha256(route: Route, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    if route != Route::Chat {
        hash.update(route.path());
        hash.update(b"\n");
    }
    hash.update(body);
    hash.finalize().into()
}

/// The rails that take the bill and nothing else; all others take what was held.
pub const TAKE_THE_BILL: [&str; 2] = ["x402-upto", "x402-batch-settlement"];

impl ReceiptBody {
    /// This with everything that follows from the usage, the prices and the hold filled in: lines,
    /// list price, saving, total, row hash, chain id, charged, credited,
    /// and the flags that the bill calls for.
    ///
    /// Without usage there is nothing to pay. Fails only on overflow.
    pub fn computed(mut self) -> Result<Self, AmountError> {
        self.chain_id = self.network.chain_id();
        self.price_row_sha256 = Hash(B256::from(self.price_row.sha256()));
        let mut bill_flags = Vec::new();
        if self.usage_source == UsageSource::None {
            self.lines = Vec::new();
            self.list_pusd = Pusd::ZERO;
            self.cache_saving_pusd = Pusd::ZERO;
            self.total_pusd = Pusd::ZERO;
        } else {
            let mut bill = bill(&self.price_row, &self.usage, self.markup_bps)?;
            if let Some(cost) = self.reported_cost_pusd {
                bill = bill.at_cost(cost, self.markup_bps)?;
            }
            self.lines = bill.lines;
            self.list_pusd = bill.list;
            self.cache_saving_pusd = bill.cache_saving;
            self.total_pusd = bill.total;
            bill_flags = bill.flags;
        }
        for (flag, name) in BILL_FLAGS {
            self.set_flag(name, bill_flags.contains(&flag));
        }
        let due = self.total_pusd.to_units_ceil(self.asset_decimals)?;
        self.charged = due.min(self.held);
        self.credited = self.moved().minus(self.charged)?;
        self.set_flag(CAPPED_AT_HELD, due > self.held);
        Ok(self)
    }

    /// What the payment moved, in atomic units: all that was held, but the charge alone on rails that
    /// take the bill, and where nothing is to be settled.
    fn moved(&self) -> Units {
        let bill_alone = TAKE_THE_BILL.contains(&self.rail.as_str());
        match self.settlement.status {
            _ if bill_alone => self.charged,
            SettlementStatus::None => self.charged,
            _ => self.held,
        }
    }

    fn set_flag(&mut self, name: &str, set: bool) {
        if !set {
            self.flags.retain(|flag| flag != name);
        } else if !self.flags.iter().any(|flag| flag == name) {
            self.flags.push(name.to_owned());
        }
    }

    /// The receipt, signed by `key`.
    pub fn sign(self, key: &Key) -> Receipt {
        let signer = key.address();
        let signature = key.sign(typed::digest(&self, signer)).to_bytes();
        Receipt {
            body: self,
            signer,
            signature: format!("0x{}", hex::encode(signature)),
        }
    }
}

/// Who answered a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnsweredBy {
    /// The model's name as the provider gave it.
    pub model: String,
    /// The endpoint's name in this service's configuration.
    pub endpoint: String,
}

/// Where a receipt's usage is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider reported it.
    Reported,
    /// The provider reported none; it was computed by the stated rule.
    Estimated,
    /// Nothing was delivered, so nothing was used.
    None,
}

/// What became of a payment on chain, as of the receipt's `issued_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// How far it is.
    pub status: SettlementStatus,
    /// The transaction, once there is one.
    pub transaction: Option<B256>,
    /// The block it is in, once there is one.
    pub block: Option<u64>,
}

impl Settlement {
    /// No transaction belongs to this call.
    pub const NONE: Self = Self {
        status: SettlementStatus::None,
        transaction: None,
        block: None,
    };
}

/// How far a settlement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettlementStatus {
    /// Intended or sent, not confirmed.
    Pending,
    /// Confirmed.
    Settled,
    /// Given up.
    Failed,
    /// Nothing is to be settled on chain for this call.
    None,
}

/// A SHA-256 hash. On the wire: 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash(pub B256);

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hex::encode(hash.0)
    }
}

impl TryFrom<String> for Hash {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(B256::from(bytes)))
    }
}

fn checksummed<S: serde::Serializer>(address: &Address, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(address)
}

#[cfg(test)]
mod tests;
