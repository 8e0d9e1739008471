//! A client's own books of a channel: pure, so that a wallet can keep them in a file. The base
//! moves by the rule the SDKs' clients have.

use super::config::{ChannelConfig, Domain};
use super::voucher::{prove, signer, voucher_digest};
use crate::money::{AmountError, Units};
use crate::protocol::eip3009::Proof;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a client knows of its channel, in the token's atomic units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Book {
    /// The base: what it was told it was charged, from the channel's beginning.
    pub charged: Units,
    /// What it put in, less what it got back.
    pub balance: Units,
}

/// What a client is to sign for its next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// The voucher's ceiling.
    pub max_claimable: Units,
    /// How much the channel lacks for it: a deposit of at least this must come along, unless zero.
    pub lacks: Units,
}

/// Why an answer's report of its charge was not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// `chargedAmount` is no decimal text.
    #[error("the answer's chargedAmount is no decimal text")]
    NotDecimal,
    /// `chargedAmount` is more than the call could cost.
    #[error("the answer's chargedAmount is more than the offer's amount")]
    ExceedsAmount,
    /// The sums do not fit an amount.
    #[error("the answer's chargedAmount does not fit")]
    Overflow,
}

impl From<AmountError> for ReportError {
    fn from(_: AmountError) -> Self {
        Self::Overflow
    }
}

impl Book {
    /// What to sign for a call whose offer says `amount`.
    pub fn next(self, amount: Units) -> Result<Next, AmountError> {
        let max_claimable = self.charged.plus(amount)?;
        Ok(Next {
            max_claimable,
            lacks: max_claimable.minus(self.balance).unwrap_or_default(),
        })
    }

    /// The books after an answer whose `PAYMENT-RESPONSE` says success, `extra` being its extra
    /// and `deposited` what came along. An answer without that header changes nothing.
    ///
    /// A cumulative charge that is not base + charge leaves the base as it is; a later answer, or
    /// a corrective 402, sets it right.
    pub fn after_answer(
        self,
        extra: &Map<String, Value>,
        amount: Units,
        deposited: Option<Units>,
    ) -> Result<Self, ReportError> {
        let charged_amount = match extra.get("chargedAmount") {
            None | Some(Value::Null) => Units::ZERO,
            Some(value) => units(value).ok_or(ReportError::NotDecimal)?,
        };
        if charged_amount > amount {
            return Err(ReportError::ExceedsAmount);
        }
        let charged = self.charged.plus(charged_amount)?;
        let reported = extra
            .get("channelState")
            .and_then(|state| state.get("chargedCumulativeAmount"));
        let confirmed = reported.is_none_or(|reported| units(reported) == Some(charged));
        Ok(Self {
            charged: if confirmed { charged } else { self.charged },
            balance: self.balance.plus(deposited.unwrap_or_default())?,
        })
    }

    /// The books after a refund of `requested`, or of all that was left; `None` when nothing is
    /// left to keep books of.
    pub fn after_refund(self, requested: Option<Units>) -> Option<Self> {
        let left = self.balance.minus(self.charged).unwrap_or_default();
        let requested = requested.filter(|amount| *amount < left)?;
        let balance = self.balance.minus(requested).ok()?;
        Some(Self { balance, ..self })
    }

    /// The books that a corrective 402 and the chain together prove: `extra` is that of the offer,
    /// `balance` and `total_claimed` are read from the contract. `None` when they contradict each
    /// other, or the voucher that is shown is not the client's own.
    pub fn corrected(
        extra: &Map<String, Value>,
        config: &ChannelConfig,
        domain: Domain,
        balance: Units,
        total_claimed: Units,
    ) -> Option<Self> {
        let state = extra.get("channelState").unwrap_or(&Value::Null);
        let shown = extra.get("voucherState").unwrap_or(&Value::Null);
        let (Some(charged), Some(signed_max), Some(signature)) = (
            state.get("chargedCumulativeAmount"),
            shown.get("signedMaxClaimable"),
            shown.get("signature").and_then(Value::as_str),
        ) else {
            return Some(Self {
                charged: total_claimed,
                balance,
            });
        };
        let (charged, signed_max) = (units(charged)?, units(signed_max)?);
        let signature = hex::decode(signature.strip_prefix("0x")?).ok()?;
        let digest = voucher_digest(config.id(domain), signed_max, domain);
        let own = prove(signer(config), digest, &signature) == Ok(Proof::Payer);
        let possible = total_claimed <= charged && charged <= signed_max;
        (own && possible).then_some(Self { charged, balance })
    }
}

fn units(value: &Value) -> Option<Units> {
    value.as_str()?.parse().ok()
}
