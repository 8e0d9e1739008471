//! When a voucher is taken, and what the answer says was charged. No I/O and no JSON, so that the
//! ledger's writer can decide with it.
//!
//! A client adds up what answers tell it, its *base*, and signs base + the offer's amount. The
//! specification wants base = charged, which a stream cannot keep (its cost is known after its
//! headers) nor calls in parallel (they sign the same base). [`Rule::Late`] wants no more than
//! what makes the money safe: the client claims no charge that was not made (base ≤ charged), and
//! the best voucher we hold covers every charge there can be, within the channel's balance. What
//! a client has not heard of yet, the next answer tells it.

use super::refused::Refused;
use crate::money::{AmountError, Units};
use serde::{Deserialize, Serialize};

/// Which vouchers are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Charges may be reported late: streams and parallel calls work.
    Late,
    /// The letter of the specification: one call at a time, and the base is what was charged.
    Strict,
    /// What MPP's sessions do: the channel's balance covers what calls can cost, and vouchers over what
    /// they did cost come while they run.
    Metered,
}

/// One channel's books, all in the token's atomic units and counted from the channel's beginning.
///
/// It holds total_claimed ≤ charged, and charged + reserved ≤ signed_max once a call was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// What vouchers can be claimed against: the contract's balance, less a withdrawal under way,
    /// and with the deposit that comes with this voucher.
    pub balance: Units,
    /// What was claimed on chain.
    pub total_claimed: Units,
    /// What captured calls cost.
    pub charged: Units,
    /// The most that running calls can cost.
    pub reserved: Units,
    /// The ceiling of the best voucher held.
    pub signed_max: Option<Units>,
    /// How many calls are running.
    pub running: u32,
}

impl Account {
    /// The books of a channel that the ledger does not know, for a client whose base is `base`:
    /// what the client says it was charged is believed, as it is to its own cost, and what was
    /// claimed on chain was charged in any case.
    pub fn adopted(balance: Units, total_claimed: Units, base: Units) -> Self {
        Self {
            balance,
            total_claimed,
            charged: total_claimed.max(base),
            ..Self::default()
        }
    }
}

/// A voucher that was taken for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// What the client believes it was charged before this call.
    pub base: Units,
}

/// Why a voucher was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// The base is not one that can be worked with; a client that is told the charge can sign anew.
    Mismatch,
    /// It would be taken if running calls were done.
    Busy,
    /// Nothing is in the channel.
    NotFound,
    /// The ceiling is above the balance.
    ExceedsBalance,
    /// The ceiling is not above what was claimed.
    BelowClaimed,
}

impl From<Unfit> for Refused {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Mismatch => Self::Mismatch,
            Unfit::Busy => Self::Busy,
            Unfit::NotFound => Self::ChannelNotFound,
            Unfit::ExceedsBalance => Self::ExceedsBalance,
            Unfit::BelowClaimed => Self::BelowClaimed,
        }
    }
}

impl From<AmountError> for Unfit {
    fn from(_: AmountError) -> Self {
        Self::Mismatch
    }
}

/// How many metered calls run on one channel at once: what they deliver is signed for a little later.
const METERED_RUNNING_MAX: u32 = 16;

/// Whether a voucher of `max_claimable` buys a call whose offer says `amount` and that can cost
/// `cost_max`. The offer's amount is at least `cost_max`; under [`Rule::Late`] it should be twice
/// that, so that a client one dear call behind is still taken, and more for calls side by side.
pub fn accept(
    account: &Account,
    max_claimable: Units,
    amount: Units,
    cost_max: Units,
    rule: Rule,
) -> Result<Accepted, Unfit> {
    let base = max_claimable.minus(amount)?;
    let as_it_should = match rule {
        Rule::Late => base <= account.charged,
        Rule::Strict => base == account.charged,
        // Whoever left something unsigned signs for that first.
        Rule::Metered => {
            let best = account.signed_max.unwrap_or_default().max(max_claimable);
            best > account.charged
        }
    };
    if !as_it_should {
        return Err(Unfit::Mismatch);
    }
    if account.balance.is_zero() {
        return Err(Unfit::NotFound);
    }
    if max_claimable > account.balance {
        return Err(Unfit::ExceedsBalance);
    }
    if max_claimable <= account.total_claimed {
        return Err(Unfit::BelowClaimed);
    }
    if rule == Rule::Strict && account.running > 0 {
        return Err(Unfit::Busy);
    }
    if rule == Rule::Metered {
        if account.running >= METERED_RUNNING_MAX {
            return Err(Unfit::Busy);
        }
        let all = account.charged.plus(account.reserved)?.plus(cost_max)?;
        let covered = all <= account.balance;
        return covered
            .then_some(Accepted { base })
            .ok_or(Unfit::ExceedsBalance);
    }
    let best = account.signed_max.unwrap_or_default().max(max_claimable);
    let covered = best.min(account.balance);
    let running = account.reserved.plus(cost_max)?;
    if account.charged.plus(running)? <= covered {
        return Ok(Accepted { base });
    }
    let waiting_helps = account.charged.plus(cost_max)? <= covered;
    let signing_anew_helps = running <= amount;
    Err(if waiting_helps && !signing_anew_helps {
        Unfit::Busy
    } else {
        Unfit::Mismatch
    })
}

/// Whether a voucher of `max_claimable`, which buys nothing, is good to ask for a refund with.
pub fn accept_refund(account: &Account, max_claimable: Units, rule: Rule) -> Result<(), Unfit> {
    let as_it_should = match rule {
        Rule::Late | Rule::Metered => max_claimable <= account.charged,
        Rule::Strict => max_claimable == account.charged,
    };
    if !as_it_should {
        return Err(Unfit::Mismatch);
    }
    if account.balance.is_zero() {
        return Err(Unfit::NotFound);
    }
    if account.running > 0 {
        return Err(Unfit::Busy);
    }
    Ok(())
}

/// What a refund pays back: what was asked for, but never what was charged; with no amount, all
/// that is left.
pub fn refundable(account: &Account, requested: Option<Units>) -> Result<Units, Refused> {
    let left = account.balance.minus(account.charged).unwrap_or_default();
    match requested {
        _ if left.is_zero() => Err(Refused::RefundNoBalance),
        Some(amount) if amount.is_zero() => Err(Refused::RefundAmount),
        Some(amount) => Ok(amount.min(left)),
        None => Ok(left),
    }
}

/// What an answer tells the client it was charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportedCharge {
    /// What to add to the base: at most the offer's amount, or clients fail the call.
    pub charged_amount: Units,
    /// The base that makes, which clients check: with another one they do nothing.
    pub cumulative: Units,
}

/// The report to a client that signed on `base`, when the channel's charges known as the headers
/// leave are `charged`. What goes beyond the offer's amount is left for later answers.
pub fn report(base: Units, amount: Units, charged: Units) -> ReportedCharge {
    let charged_amount = charged.minus(base).unwrap_or_default().min(amount);
    ReportedCharge {
        charged_amount,
        cumulative: base.plus(charged_amount).unwrap_or(base),
    }
}
