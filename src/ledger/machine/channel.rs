use super::credit::{CreditKey, is_address, signed};
use super::{ChannelId, Event, Hold, TransitionError};
use crate::money::{AmountError, AssetDecimals, Units};
use crate::protocol::channel::{Account, Rule, Unfit, accept};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A channel's account: what its contract says, what its payer signed, and what its calls hold and
/// were charged. Cumulative figures count from the channel's first day, as vouchers do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelState {
    /// What it is.
    pub opening: Arc<ChannelOpening>,
    /// Its contract's word on it, as last seen.
    pub on_chain: ChannelOnChain,
    /// The voucher that lets us claim most.
    pub voucher: Option<KeptVoucher>,
    /// All that was ever charged: `charged_elsewhere` and the captures of all its calls.
    pub charged: Units,
    /// What was charged before the opening, and what was claimed later beyond all charges.
    pub charged_elsewhere: Units,
    /// When the oldest charge was made that is not claimed, in milliseconds since the Unix epoch.
    pub unclaimed_since_ms: Option<u64>,
    /// What running calls hold.
    pub reserved: Units,
    /// How many calls are running: held, and neither captured nor voided.
    pub running: u32,
    /// When it was opened, or one of its calls began or ended last, in milliseconds since the Unix epoch.
    pub last_used_ms: u64,
}

/// What a channel is; none of it can change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelOpening {
    /// The channel.
    pub channel: ChannelId,
    /// The payer's address: 0x and 40 lowercase hexadecimal digits.
    pub payer: String,
    /// The chain, as CAIP-2.
    pub network: String,
    /// The contract that keeps it (0x address, lowercase).
    pub contract: String,
    /// The asset in it.
    pub asset: String,
    /// Decimal places of the asset's atomic unit.
    pub asset_decimals: AssetDecimals,
    /// Who is paid out of it (0x address, lowercase).
    pub receiver: String,
    /// The configuration that its id is the digest of.
    pub config: serde_json::Value,
    /// When it was taken into the books, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// A channel as its contract had it at one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelOnChain {
    /// All deposits less all that went back to the payer; claims do not lower it.
    pub balance: Units,
    /// All that was ever claimed.
    pub total_claimed: Units,
    /// The number that the next signed refund must carry.
    pub refund_nonce: u64,
    /// The payer's withdrawal, while one is under way.
    pub withdrawal: Option<PendingWithdrawal>,
    /// The block.
    pub block: u64,
    /// When this was read, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// A withdrawal that a payer began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingWithdrawal {
    /// How much, as far as it is unclaimed when the time comes.
    pub amount: Units,
    /// From when on it can be taken, in seconds since the Unix epoch.
    pub finalize_after_s: u64,
}

/// The payer's signed leave to claim up to a cumulative amount.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptVoucher {
    /// The cumulative amount.
    pub max_claimable: Units,
    /// The signature (0x hexadecimal).
    pub signature: String,
}

/// How a call is paid out of its channel.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelUse {
    /// The channel.
    pub channel: ChannelId,
    /// The rule that the voucher had to keep.
    pub rule: Rule,
    /// What the payer took as charged so far: the voucher's amount less the offer's.
    pub base: Units,
    /// The voucher's cumulative amount.
    pub max_claimable: Units,
    /// The voucher's signature (0x hexadecimal).
    pub signature: String,
}

impl ChannelState {
    /// The state after one of the channel's own events, or why that cannot happen now.
    pub fn apply(state: Option<&Self>, event: &Event) -> Result<Self, TransitionError> {
        match (state, event) {
            (
                None,
                Event::ChannelOpened {
                    opening,
                    on_chain,
                    charged_before,
                },
            ) => Self::opened(opening, *on_chain, *charged_before),
            (Some(_), Event::ChannelOpened { .. }) => Err(TransitionError::AlreadyExists),
            (Some(state), Event::ChannelObserved(on_chain)) => {
                on_chain.check()?;
                let mut next = state.clone();
                next.on_chain = *on_chain;
                if on_chain.total_claimed > state.charged {
                    let raise = on_chain.total_claimed.minus(state.charged)?;
                    next.charged_elsewhere = state.charged_elsewhere.plus(raise)?;
                    next.charged = on_chain.total_claimed;
                }
                if next.charged <= on_chain.total_claimed {
                    next.unclaimed_since_ms = None;
                } else if on_chain.total_claimed > state.on_chain.total_claimed {
                    // What that claim left is newer than what it took.
                    next.unclaimed_since_ms = Some(on_chain.at_ms);
                }
                Ok(next)
            }
            (Some(state), Event::ChannelSigned { voucher, .. }) => {
                if voucher.max_claimable > state.on_chain.balance {
                    return Err(TransitionError::Channel(Unfit::ExceedsBalance));
                }
                let mut next = state.clone();
                next.keep(voucher.max_claimable, &voucher.signature);
                Ok(next)
            }
            (None, _) => Err(TransitionError::Unknown {
                event: event.name(),
            }),
            (Some(_), _) => Err(TransitionError::OtherKind {
                event: event.name(),
            }),
        }
    }

    /// The state after `event` happened to a call that `hold` says is paid out of this channel.
    pub fn after_call(&self, hold: &Hold, event: &Event) -> Result<Self, TransitionError> {
        let mut next = self.clone();
        match event {
            Event::Held(_) => {
                let used = self.used_by(hold)?;
                let amount = used.max_claimable.minus(used.base)?;
                accept(
                    &self.account(),
                    used.max_claimable,
                    amount,
                    hold.held,
                    used.rule,
                )
                .map_err(TransitionError::Channel)?;
                next.reserved = self.reserved.plus(hold.held)?;
                next.running = self.running.checked_add(1).ok_or(AmountError::Overflow)?;
                next.keep(used.max_claimable, &used.signature);
            }
            Event::Captured(capture) => {
                next.release(hold.held)?;
                next.charged = self.charged.plus(capture.charged)?;
                signed(next.charged)?;
                if next.charged > self.on_chain.total_claimed {
                    next.unclaimed_since_ms.get_or_insert(capture.at_ms);
                }
            }
            Event::Voided { .. } => next.release(hold.held)?,
            _ => return Ok(next),
        }
        next.last_used_ms = self.last_used_ms.max(event.at_ms());
        Ok(next)
    }

    /// The figures that decide whether a voucher is taken. What a withdrawal under way can take counts
    /// as gone, so that nothing is served that only a timely claim could save.
    pub fn account(&self) -> Account {
        let leaving = self.on_chain.withdrawal.map(|pending| pending.amount);
        let staying = self.on_chain.balance.minus(leaving.unwrap_or_default());
        Account {
            balance: staying.unwrap_or_default(),
            total_claimed: self.on_chain.total_claimed,
            charged: self.charged,
            reserved: self.reserved,
            signed_max: self.voucher.as_ref().map(|voucher| voucher.max_claimable),
            running: self.running,
        }
    }

    /// The cumulative total that a claim can ask for now: what was charged, as far as voucher and
    /// balance reach.
    pub fn claimable_total(&self) -> Units {
        let signed = self.voucher.as_ref().map(|voucher| voucher.max_claimable);
        self.charged
            .min(signed.unwrap_or_default())
            .min(self.on_chain.balance)
    }

    /// What a claim would bring now.
    pub fn unclaimed(&self) -> Units {
        let claimed = self.on_chain.total_claimed;
        self.claimable_total().minus(claimed).unwrap_or_default()
    }

    /// What was charged and is not in the channel any more, because its payer took it out before it was
    /// claimed: lost, unless the channel is filled again.
    pub fn uncovered(&self) -> Units {
        let charged = self.charged;
        charged.minus(self.on_chain.balance).unwrap_or_default()
    }

    fn opened(
        opening: &Arc<ChannelOpening>,
        on_chain: ChannelOnChain,
        charged_before: Units,
    ) -> Result<Self, TransitionError> {
        CreditKey::of(&opening.payer, &opening.network, &opening.asset)?;
        let malformed = |field| TransitionError::Malformed { field };
        if !is_address(&opening.contract) {
            return Err(malformed("contract"));
        }
        if !is_address(&opening.receiver) {
            return Err(malformed("receiver"));
        }
        on_chain.check()?;
        signed(charged_before)?;
        let charged = charged_before.max(on_chain.total_claimed);
        Ok(Self {
            opening: Arc::clone(opening),
            on_chain,
            voucher: None,
            charged,
            charged_elsewhere: charged,
            unclaimed_since_ms: (charged > on_chain.total_claimed).then_some(opening.at_ms),
            reserved: Units::ZERO,
            running: 0,
            last_used_ms: opening.at_ms,
        })
    }

    /// The voucher of a hold, if it is one on this very channel.
    fn used_by<'a>(&self, hold: &'a Hold) -> Result<&'a ChannelUse, TransitionError> {
        let opening = &self.opening;
        let same = hold.payer == opening.payer
            && hold.network == opening.network
            && hold.asset == opening.asset
            && hold.asset_decimals == opening.asset_decimals;
        hold.channel
            .as_ref()
            .filter(|used| same && used.channel == opening.channel)
            .ok_or(TransitionError::Malformed { field: "channel" })
    }

    /// Keeps a voucher if it lets us claim more than the one we have.
    fn keep(&mut self, max_claimable: Units, signature: &str) {
        let best = self.voucher.as_ref().map(|voucher| voucher.max_claimable);
        if best.is_none_or(|best| max_claimable > best) {
            self.voucher = Some(KeptVoucher {
                max_claimable,
                signature: signature.to_owned(),
            });
        }
    }

    fn release(&mut self, held: Units) -> Result<(), AmountError> {
        self.reserved = self.reserved.minus(held)?;
        self.running = self.running.checked_sub(1).ok_or(AmountError::Negative)?;
        Ok(())
    }
}

impl ChannelOnChain {
    /// Refuses figures that no sum could take.
    fn check(&self) -> Result<(), AmountError> {
        signed(self.balance)?;
        signed(self.total_claimed)?;
        Ok(())
    }
}

impl ChannelOpening {
    /// Whether both are the same channel, whenever they were taken into the books.
    pub fn same_terms(&self, other: &Self) -> bool {
        let at_ms = other.at_ms;
        Self {
            at_ms,
            ..self.clone()
        } == *other
    }
}

/// A signature that still buys something must not reach a log, so it is left out here.
impl fmt::Debug for KeptVoucher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptVoucher")
            .field("max_claimable", &self.max_claimable)
            .finish_non_exhaustive()
    }
}

/// As for the voucher.
impl fmt::Debug for ChannelUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelUse")
            .field("channel", &self.channel)
            .field("rule", &self.rule)
            .field("base", &self.base)
            .field("max_claimable", &self.max_claimable)
            .finish_non_exhaustive()
    }
}
