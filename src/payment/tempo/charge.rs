//! `tempo/charge` of MPP: one transfer on Tempo of exactly the ceiling, in a transaction that its payer
//! signed whole (draft-tempo-charge).
//!
//! Such a transaction expires within half a minute, so it is settled before the call is forwarded: its
//! authorize reads what it does, its hold is the intent to send it, its capture books the difference to
//! the bill as the payer's credit. What the payer sent beforehand is settled the same way, but for the
//! sending; from then on no failure is answered by a fresh challenge.

use super::judge::Judge;
use super::stored::Stored;
use crate::chain::bindings::IEip3009Token;
use crate::chain::{ChainError, Rpc};
use crate::clock::now_ms;
use crate::config::{Config, RailKind};
use crate::ledger::{Event, ReplayKey, SettleWhen, Takes};
use crate::money::Units;
use crate::payment::authorized::{AuthorizeFailure, Authorized};
use crate::payment::rails::Payee;
use crate::protocol::mpp::tempo::{self, Charge, Means, Signed};
use crate::protocol::mpp::{self, Refused, evm};
use crate::protocol::x402::Requirements;
use crate::protocol::{Network, Refusal};
use alloy::primitives::U256;
use alloy::sol_types::SolCall;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// What an offer of it is called within; x402 has no such scheme.
const SCHEME: &str = "tempo/charge";

/// The rail, with everything it needs to judge a payment.
#[derive(Debug)]
pub(in crate::payment) struct ChargeRail {
    rpc: Rpc,
    payee: Payee,
    judge: Judge,
}

impl ChargeRail {
    /// `None` where it is not offered.
    pub(in crate::payment) fn of(config: &Config, rpc: &Rpc, payee: &Payee) -> Option<Self> {
        let offered = config.payment.rails.contains(&RailKind::TempoCharge);
        let judge = offered.then(|| Judge::of(config)).flatten()?;
        Some(Self {
            rpc: rpc.clone(),
            payee: payee.clone(),
            judge,
        })
    }

    /// What a charge of this amount asks for.
    pub(in crate::payment) fn charge(&self, amount: Units) -> Charge {
        Charge {
            amount,
            currency: self.payee.asset.address,
            recipient: self.payee.pay_to,
            network: self.payee.network,
            fee_payer: self.judge.pays_gas(),
        }
    }

    /// The same in the form of every other offer: the same for the same two, always.
    pub(in crate::payment) fn offer(&self, amount: Units, price_row: &str) -> Requirements {
        self.offer_of(&self.charge(amount), price_row)
    }

    /// What was accepted by who paid this charge.
    pub(in crate::payment) fn offer_of(&self, charge: &Charge, price_row: &str) -> Requirements {
        let extra = [
            ("priceRow", Value::from(price_row)),
            ("feePayer", Value::from(charge.fee_payer)),
        ];
        let extra = extra.map(|(key, value)| (key.to_owned(), value));
        Requirements {
            scheme: SCHEME.to_owned(),
            network: charge.network,
            amount: charge.amount,
            asset: charge.currency,
            pay_to: charge.recipient,
            max_timeout_seconds: self.payee.max_timeout_seconds,
            extra: Some(Map::from_iter(extra)),
        }
    }

    /// Reads who pays and how; costs one signature recovery.
    pub(in crate::payment) fn read(
        &self,
        credential: &mpp::Credential,
        network: Network,
    ) -> Result<Signed, Refused> {
        let means = tempo::means(credential)?;
        let payer = match &means {
            Means::Pull(transaction) => self.judge.sender(transaction)?,
            Means::Push(_) => tempo::named_payer(credential, network).ok_or_else(|| {
                Refused::Elsewhere("its source does not name the account that paid".to_owned())
            })?,
        };
        tempo::check_source(credential, network, payer)?;
        Ok(Signed {
            credential: credential.clone(),
            payer,
            means,
        })
    }

    /// What a payment is spent under: a transfer's memo names its challenge, so a challenge is paid once,
    /// by whatever transaction.
    pub(in crate::payment) fn replay_key(signed: &Signed) -> ReplayKey {
        let mut hash = Sha256::new();
        hash.update(b"groat/tempo-charge\0");
        hash.update(signed.credential.challenge.id.as_bytes());
        ReplayKey::from_bytes(hash.finalize().into())
    }

    /// Judges what can be told without reading the transaction.
    pub(in crate::payment) fn check_terms(
        &self,
        signed: &Signed,
        amount: Units,
        now_s: u64,
    ) -> Result<(), Refusal> {
        let judged = self.judge_terms(signed, amount, now_s);
        judged.map_err(|why| signed.refused(why))
    }

    fn judge_terms(&self, signed: &Signed, amount: Units, now_s: u64) -> Result<(), Refusal> {
        let challenge = &signed.credential.challenge;
        let charge = Charge::from_request(&challenge.request).ok_or(Refused::NotTaken)?;
        let asked = self.charge(amount);
        if charge.network != asked.network {
            return Err(Refusal::Network);
        }
        if charge.recipient != asked.recipient || charge.currency != asked.currency {
            return Err(Refusal::Recipient);
        }
        if charge.amount != amount {
            return Err(Refusal::Value);
        }
        let expires = challenge.expires.as_deref().and_then(evm::unix_seconds);
        match expires.is_some_and(|expires| now_s < expires) {
            true => Ok(()),
            // What was sent in time is taken a little late: the money has moved.
            false if matches!(signed.means, Means::Push(_)) => Ok(()),
            false => Err(Refusal::Expired),
        }
    }

    /// Reads what the transaction does, and asks the chain whether it can.
    pub(in crate::payment) async fn authorize(
        &self,
        signed: &Signed,
        amount: Units,
    ) -> Result<Authorized, AuthorizeFailure> {
        self.judge.validate(signed).await?;
        let stored = match &signed.means {
            Means::Push(hash) => Stored::pushed(*hash, self.payee.pay_to),
            Means::Pull(transaction) => {
                let stored = self
                    .judge
                    .stored(transaction, (signed.payer, self.payee.pay_to))
                    .map_err(Refusal::from)?;
                // What is in the chain by now needs no money any more.
                if let Err(failure) = self.simulate(signed, amount).await
                    && !self.is_mined(&stored).await?
                {
                    return Err(failure);
                }
                stored
            }
        };
        let sent = Event::SettlementSent {
            relayer: format!("{:#x}", signed.payer),
            lane_nonce: 0,
            transaction: format!("{:#x}", stored.transaction()),
            raw_transaction: String::new(),
            at_ms: now_ms(),
        };
        Ok(Authorized {
            rail: RailKind::TempoCharge,
            payer: signed.payer,
            settle_when: SettleWhen::Before,
            takes: Takes::Held,
            stored: stored.to_json(signed.means.bytes()),
            reservation: None,
            channel: None,
            end_waits: false,
            sent: Some(sent),
        })
    }

    async fn is_mined(&self, stored: &Stored) -> Result<bool, AuthorizeFailure> {
        let receipt = self.rpc.receipt(stored.transaction()).await;
        receipt
            .map(|receipt| receipt.is_some())
            .map_err(|_| AuthorizeFailure::Unknown)
    }

    /// Whether the transfer would succeed now: a payer learns sooner why not, and gas that we pay is not
    /// wasted.
    async fn simulate(&self, signed: &Signed, amount: Units) -> Result<(), AuthorizeFailure> {
        let transfer = IEip3009Token::transferCall {
            to: self.payee.pay_to,
            value: U256::from(amount.atomic()),
        };
        let asset = self.payee.asset.address;
        let calldata = transfer.abi_encode().into();
        match self.rpc.call_as(signed.payer, asset, &calldata).await {
            Ok(_) => Ok(()),
            Err(ChainError::Reverted(reason)) => {
                tracing::info!(%reason, "a transfer's simulation reverted");
                Err(Refusal::InsufficientBalance.into())
            }
            Err(error) => {
                tracing::warn!(%error, "the chain cannot be asked about a payment");
                Err(AuthorizeFailure::Unknown)
            }
        }
    }
}
