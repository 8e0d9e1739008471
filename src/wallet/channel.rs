//! What a wallet knows of one channel, and the rule by which it signs: the base is what receipts
//! that hold have shown, and one call is signed for at a time. Pure: the file and the wire are
//! elsewhere.

use crate::money::{AmountError, Units};
use crate::protocol::addresses::{BATCH_SETTLEMENT, ERC3009_COLLECTOR, PERMIT2, PERMIT2_COLLECTOR};
use crate::protocol::channel::{
    Book, ChannelConfig, Deposit, Domain, Method, Payload, Terms, WITHDRAW_DELAY_SECONDS_MAX,
    WITHDRAW_DELAY_SECONDS_MIN, signed_voucher,
};
use crate::protocol::receipt::Hash;
use crate::protocol::signature::Key;
use crate::protocol::x402::{Requirements, SettleResponse};
use alloy::primitives::{Address, B256, keccak256};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The scheme of channels.
pub(super) const SCHEME: &str = "batch-settlement";

/// The terms of a channel's offer, with the contracts at the addresses that every client knows and
/// nowhere else; `None` when it is of another scheme or lacks what the scheme needs.
pub(super) fn terms(offer: &Requirements) -> Option<Terms> {
    let extra = offer.extra.as_ref().filter(|_| offer.scheme == SCHEME)?;
    let receiver_authorizer: Address = offer.extra_text("receiverAuthorizer")?.parse().ok()?;
    let withdraw_delay = extra.get("withdrawDelay").and_then(Value::as_u64)?;
    let delays = WITHDRAW_DELAY_SECONDS_MIN..=WITHDRAW_DELAY_SECONDS_MAX;
    let method = match offer.extra_text("assetTransferMethod") {
        None | Some("eip3009") => Method::Eip3009,
        Some("permit2") => Method::Permit2,
        Some(_) => return None,
    };
    let min_deposit = offer.extra_text("minDeposit");
    let terms = Terms {
        domain: Domain::new(offer.network, BATCH_SETTLEMENT),
        asset: offer.asset,
        pay_to: offer.pay_to,
        receiver_authorizer,
        withdraw_delay,
        amount: offer.amount,
        min_deposit: min_deposit.and_then(|text| text.parse().ok()),
        method,
        token_name: offer.extra_text("name")?.to_owned(),
        token_version: offer.extra_text("version")?.to_owned(),
        erc3009_collector: ERC3009_COLLECTOR,
        permit2_collector: PERMIT2_COLLECTOR,
        permit2: PERMIT2,
    };
    (!receiver_authorizer.is_zero() && delays.contains(&withdraw_delay)).then_some(terms)
}

/// What tells this wallet's channels from those that other clients of the same key open (their salt
/// is zero): only so do its receipts say all that a channel was charged.
const SALT: &[u8] = b"groat wallet";

/// The payer's channel under these terms: always the same one, so that a wallet that lost its file
/// finds its channel again.
pub(super) fn config(payer: Address, terms: &Terms) -> ChannelConfig {
    ChannelConfig {
        payer,
        payer_authorizer: payer,
        receiver: terms.pay_to,
        receiver_authorizer: terms.receiver_authorizer,
        token: terms.asset,
        withdraw_delay: terms.withdraw_delay,
        salt: keccak256(SALT),
    }
}

/// One channel in the wallet's file; amounts in the token's atomic units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Its id.
    pub id: B256,
    /// What it is.
    pub config: ChannelConfig,
    /// What went in, and what receipts that hold have charged.
    pub book: Book,
    /// The highest ceiling ever signed.
    pub signed_max: Units,
    /// What may have been charged besides: the most that calls whose receipts never came can have
    /// cost.
    pub unseen: Units,
    /// A deposit of which it is not known whether it arrived.
    pub deposit_unknown: Units,
    /// The call that was signed for last, until its receipt is there.
    pub open_call: Option<OpenCall>,
    /// The call of the last receipt that held.
    pub last_receipt: Option<String>,
    /// A withdrawal under way: when it may be finalised, in Unix seconds.
    pub withdrawal_from: Option<u64>,
    /// Why no voucher will be signed any more.
    pub blocked: Option<String>,
}

/// A call that was signed for and whose receipt is not there yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCall {
    /// The offer's amount: the most it may cost.
    pub amount: Units,
    /// The deposit that went along.
    pub deposit: Units,
    /// The model asked for.
    pub model: String,
    /// SHA-256 of the request's body.
    pub request: Hash,
    /// Its id, once the gateway has told it.
    pub call: Option<String>,
    /// The channel's charge as the answer's header reported it.
    pub reported: Option<Units>,
}

/// Why a wallet does not go on with a channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// It was given up before.
    #[error("this channel is given up: {0} (groat wallet close gets back what is left)")]
    Blocked(String),
    /// The last call's receipt is still missing.
    #[error("the last call's receipt is not there yet; nothing more is signed before it is")]
    ReceiptMissing,
    /// A withdrawal is under way.
    #[error("a withdrawal from this channel is under way")]
    Withdrawing,
    /// What is in the channel is too little.
    #[error("the channel lacks {0} atomic units for this call")]
    Lacks(Units),
    /// A deposit was sent and never answered.
    #[error("whether the last deposit arrived is not known: say --rpc-url to look")]
    DepositUnknown,
    /// The gateway says more was charged than receipts show.
    #[error("the gateway counts {told} atomic units as charged, but receipts show {seen}")]
    Unreceipted {
        /// What the gateway says.
        told: Units,
        /// What receipts show, and what was lost at most.
        seen: Units,
    },
    /// The answer's report of its charge is no report.
    #[error("the answer's report of what was charged cannot be read, or is above the offer")]
    Report,
    /// A receipt charges more than the offer.
    #[error("the receipt charges {charged} atomic units, but the offer was {amount}")]
    AboveOffer {
        /// What the receipt charges.
        charged: Units,
        /// What the offer said.
        amount: Units,
    },
    /// A correction that proves nothing.
    #[error("the gateway's correction is not borne out by a voucher of this wallet and the chain")]
    Unproven,
    /// A correction that only the chain can bear out.
    #[error("the gateway counts differently; say --rpc-url, so that the chain can be asked")]
    NeedsChain,
    /// The sums do not fit.
    #[error("the channel's sums do not fit an amount")]
    Overflow,
}

impl From<AmountError> for Distrust {
    fn from(_: AmountError) -> Self {
        Self::Overflow
    }
}

/// A channel as the contract has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnChain {
    /// Deposits less refunds and withdrawals.
    pub balance: Units,
    /// What was claimed.
    pub claimed: Units,
    /// The withdrawal under way, and when it may be finalised in Unix seconds.
    pub withdrawal: Option<(Units, u64)>,
}

impl Channel {
    /// A channel that the wallet's file does not know. What the chain already says of it counts as
    /// charged without a receipt, since a file that is gone may have held them.
    pub fn new(config: ChannelConfig, domain: Domain, chain: Option<&OnChain>) -> Self {
        let (balance, claimed) = chain.map_or_else(Default::default, |c| (c.balance, c.claimed));
        Self {
            id: config.id(domain),
            config,
            book: Book {
                charged: claimed,
                balance,
            },
            signed_max: Units::ZERO,
            unseen: balance.minus(claimed).unwrap_or_default(),
            deposit_unknown: Units::ZERO,
            open_call: None,
            last_receipt: None,
            withdrawal_from: None,
            blocked: None,
        }
    }

    /// What is left to sign for.
    pub fn left(&self) -> Units {
        self.book
            .balance
            .minus(self.book.charged)
            .unwrap_or_default()
    }

    /// Whether a call of this amount can be signed for without a deposit.
    pub fn has_room(&self, amount: Units) -> bool {
        self.blocked.is_none()
            && self.withdrawal_from.is_none()
            && self.deposit_unknown.is_zero()
            && amount <= self.left()
    }

    /// Signs for one call. What is returned may be sent once this channel, as it is afterwards, is
    /// in the file.
    pub fn sign(
        &mut self,
        key: &Key,
        domain: Domain,
        call: OpenCall,
        deposit: Option<Deposit>,
    ) -> Result<Payload, Distrust> {
        self.ready()?;
        let next = self.book.next(call.amount)?;
        let brought = deposit.as_ref().map(|d| d.amount).unwrap_or_default();
        if brought < next.lacks {
            return Err(Distrust::Lacks(next.lacks.minus(brought)?));
        }
        let voucher = signed_voucher(key, self.id, next.max_claimable, domain);
        self.signed_max = self.signed_max.max(next.max_claimable);
        self.open_call = Some(OpenCall {
            deposit: brought,
            ..call
        });
        let config = self.config.clone();
        Ok(match deposit {
            None => Payload::Voucher { config, voucher },
            Some(deposit) => Payload::Deposit {
                config,
                voucher,
                deposit: Box::new(deposit),
            },
        })
    }

    /// A refund voucher: for what receipts show and no more.
    pub fn sign_refund(&self, key: &Key, domain: Domain) -> Payload {
        Payload::Refund {
            config: self.config.clone(),
            voucher: signed_voucher(key, self.id, self.book.charged, domain),
            amount: None,
        }
    }

    /// Whether another voucher may be signed.
    pub fn ready(&self) -> Result<(), Distrust> {
        match &self.blocked {
            Some(why) => Err(Distrust::Blocked(why.clone())),
            None if self.open_call.is_some() => Err(Distrust::ReceiptMissing),
            None if self.withdrawal_from.is_some() => Err(Distrust::Withdrawing),
            None if !self.deposit_unknown.is_zero() => Err(Distrust::DepositUnknown),
            None => Ok(()),
        }
    }

    /// The answer's headers are there: its call id, and what it reports.
    pub fn answered(
        &mut self,
        call: Option<String>,
        response: Option<&SettleResponse>,
    ) -> Result<(), Distrust> {
        let Some(open) = &mut self.open_call else {
            return Ok(());
        };
        open.call = call.or_else(|| open.call.take());
        let Some(response) = response.filter(|response| response.success) else {
            return Ok(());
        };
        self.book.balance = self.book.balance.plus(open.deposit)?;
        open.deposit = Units::ZERO;
        let extra = response.extra.clone().unwrap_or_default();
        let charge = text_units(&extra, "chargedAmount");
        let cumulative = extra
            .get("channelState")
            .and_then(Value::as_object)
            .and_then(|state| text_units(state, "chargedCumulativeAmount"));
        match (charge, cumulative) {
            (Some(Ok(charge)), _) if charge > open.amount => self.block(Distrust::Report),
            (Some(Err(())), _) | (_, Some(Err(()))) => self.block(Distrust::Report),
            (_, Some(Ok(cumulative))) => {
                open.reported = Some(cumulative);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The open call's receipt holds and charges this much: the base moves, unless what the answer
    /// reported does not fit it.
    pub fn receipted(&mut self, charged: Units, receipt_call: &str) -> Result<(), Distrust> {
        let Some(open) = self.open_call.take() else {
            return Ok(());
        };
        let before = self.book.charged;
        let after = before.plus(charged)?;
        self.book.charged = after;
        self.last_receipt = Some(receipt_call.to_owned());
        if charged > open.amount {
            let amount = open.amount;
            return self.block(Distrust::AboveOffer { charged, amount });
        }
        // A stream's header leaves before its own charge is known, a whole answer's after it.
        match open.reported {
            None => Ok(()),
            Some(told) if told == before || told == after => Ok(()),
            Some(told) if told < before => self.block(Distrust::Unreceipted { told, seen: after }),
            Some(told) => {
                let known = if told > after { after } else { before };
                self.adopt(told.minus(known)?, told)
            }
        }
    }

    /// The open call was void: it cost nothing.
    pub fn voided(&mut self) {
        self.open_call = None;
    }

    /// The payment was refused before anything was taken of it.
    pub fn refused(&mut self) {
        self.open_call = None;
    }

    /// The open call will never show a receipt: it may have cost its whole amount.
    pub fn lost(&mut self) -> Result<(), Distrust> {
        let Some(open) = self.open_call.take() else {
            return Ok(());
        };
        self.unseen = self.unseen.plus(open.amount)?;
        self.deposit_unknown = self.deposit_unknown.plus(open.deposit)?;
        Ok(())
    }

    /// What the contract says now. A deposit that was in doubt is there, or comes to light later.
    pub fn observe(&mut self, chain: &OnChain) -> Result<(), Distrust> {
        let leaving = chain.withdrawal.map(|(amount, _)| amount);
        self.book.balance = chain.balance.minus(leaving.unwrap_or_default())?;
        self.withdrawal_from = chain.withdrawal.map(|(_, from)| from);
        self.deposit_unknown = Units::ZERO;
        let seen = self.book.charged.plus(self.unseen)?;
        if chain.claimed > seen {
            let told = chain.claimed;
            return self.block(Distrust::Unreceipted { told, seen });
        }
        Ok(())
    }

    /// Takes what a corrective 402 proves: `extra` is that of its offer. Without the chain, only a
    /// voucher of this wallet's own proves anything, and of a channel that is new to the file nothing
    /// does.
    pub fn correct(
        &mut self,
        extra: &Map<String, Value>,
        domain: Domain,
        chain: Option<&OnChain>,
    ) -> Result<(), Distrust> {
        let shown = extra.get("voucherState").is_some_and(|v| !v.is_null());
        if chain.is_none() && (!shown || self.book == Book::default()) {
            return Err(Distrust::NeedsChain);
        }
        let (balance, claimed) = chain.map_or((self.book.balance, Units::ZERO), |chain| {
            (chain.balance, chain.claimed)
        });
        let told = Book::corrected(extra, &self.config, domain, balance, claimed)
            .ok_or(Distrust::Unproven)?;
        let before = self.book.charged;
        self.book.balance = told.balance;
        if told.charged > before {
            return self.adopt(told.charged.minus(before)?, told.charged);
        }
        self.book.charged = told.charged;
        Ok(())
    }

    /// All that was left was paid back: what remains is what was charged. The channel can be filled
    /// again, and its sums go on from here.
    pub fn refunded(&mut self) {
        self.book.balance = self.book.charged;
        self.withdrawal_from = None;
        self.blocked = None;
    }

    /// Counts charges without a receipt, as far as calls were lost that can have made them.
    fn adopt(&mut self, more: Units, told: Units) -> Result<(), Distrust> {
        let seen = self.book.charged.plus(self.unseen)?;
        let Ok(unseen) = self.unseen.minus(more) else {
            return self.block(Distrust::Unreceipted { told, seen });
        };
        self.unseen = unseen;
        self.book.charged = self.book.charged.plus(more)?;
        Ok(())
    }

    fn block(&mut self, why: Distrust) -> Result<(), Distrust> {
        self.blocked = Some(why.to_string());
        Err(why)
    }
}

fn text_units(object: &Map<String, Value>, key: &str) -> Option<Result<Units, ()>> {
    let value = object.get(key).filter(|value| !value.is_null())?;
    let text = value.as_str().ok_or(());
    Some(text.and_then(|text| text.parse().map_err(|_| ())))
}

#[cfg(test)]
mod tests;
