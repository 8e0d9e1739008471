//! x402 `batch-settlement`: a channel is filled once, and each call is paid by a voucher out of it
//! (x402 scheme_batch_settlement_evm).
//!
//! Its authorize is a signature and the channel's account in the ledger, and asks the chain only when
//! what is known of the channel is old; its hold keeps the voucher; its capture charges the account;
//! its void charges nothing; its refund gives back what the channel holds beyond all charges. What was
//! charged is claimed later, many calls and many channels at a time, by the [`Keeper`].

mod authorize;
mod claims;
mod deposit;
mod effect;
mod gate;
mod job;
mod keeper;
mod mirror;
mod offer;
mod refund;
mod watch;

pub use effect::Effect;
pub use gate::Lease;
pub(super) use gate::{Gate, Working};
pub use keeper::Keeper;
pub use offer::Paid;
pub use refund::Refunded;

use super::operation::Operations;
use super::rails::Payee;
use crate::chain::Rpc;
use crate::config::{Config, ContractsConfig};
use crate::ledger::{ChannelId, ChannelUse, Ledger, ReplayKey, RequestHash};
use crate::money::{AssetDecimals, Units};
use crate::protocol::Refusal;
use crate::protocol::channel::{
    self, ChannelConfig, Domain, Payload, Refused, Rule, Terms, Voucher,
};
use crate::protocol::eip3009::Proof;
use crate::protocol::payment_identifier::PaymentId;
use crate::protocol::permit2::eip2612;
use crate::protocol::signature::{Key, SignatureError};
use crate::protocol::x402::Credential;
use alloy::primitives::{Address, B256, Bytes};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use watch::Watched;

/// The rail, with everything it needs to judge a payment and to look after channels; clones are the
/// same.
#[derive(Debug, Clone)]
pub struct ChannelRail {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    rpc: Rpc,
    ledger: Ledger,
    operations: Operations,
    payee: Payee,
    contracts: ContractsConfig,
    rule: Rule,
    /// Those of every offer, but for its amount.
    terms: Terms,
    /// What every offer says of channels, but for its price row.
    extra: Map<String, Value>,
    withdraw_delay_seconds: u64,
    deposit_min: Units,
    /// Signs claims and refunds.
    authorizer: Key,
    gate: Gate,
    watched: Watched,
    /// Held while an answer of the chain is compared with what is known and written down.
    observing: tokio::sync::Mutex<()>,
    /// Held while the receiver is paid.
    settling: tokio::sync::Mutex<()>,
}

impl ChannelRail {
    /// The rail of a configuration; fails when the authorizer's key is none.
    pub(super) fn new(
        config: &Config,
        rpc: Rpc,
        payee: Payee,
        ledger: Ledger,
        operations: Operations,
    ) -> Result<Self, SignatureError> {
        let own = config.channels.authorizer_key.as_ref();
        let key = own.unwrap_or(&config.payment.relayer_key);
        let authorizer = Key::from_hex(key.reveal())?;
        let terms = terms(config, &payee, authorizer.address());
        Ok(Self {
            inner: Arc::new(Inner {
                rpc,
                ledger,
                operations,
                extra: channel::offer_extra(&terms),
                terms,
                payee,
                contracts: config.contracts,
                rule: match config.channels.strict {
                    true => Rule::Strict,
                    false => Rule::Late,
                },
                withdraw_delay_seconds: config.channels.withdraw_delay_seconds,
                deposit_min: config.channels.deposit_min,
                authorizer,
                gate: Gate::default(),
                watched: Watched::default(),
                observing: tokio::sync::Mutex::default(),
                settling: tokio::sync::Mutex::default(),
            }),
        })
    }

    /// Judges a payment without asking the chain: terms first, then the signatures.
    pub(super) fn check(
        &self,
        credential: &Credential,
        payload: &Payload,
        ceiling: Units,
        now_s: u64,
    ) -> Result<Proof, Refusal> {
        self.check_terms(credential, payload, ceiling, now_s)?;
        let terms = self.terms(self.offer_amount(ceiling));
        let config = payload.config();
        let proof = channel::check_voucher(config, payload.voucher(), terms.domain())?;
        if let Some(deposit) = payload.deposit() {
            channel::check_deposit_signature(config, deposit, &terms)?;
            if let Some(permit) = permit(credential)? {
                channel::check_permit(config, deposit, &permit, &terms, now_s)?;
            }
        }
        Ok(proof)
    }

    /// Judges everything but the signatures.
    pub(super) fn check_terms(
        &self,
        credential: &Credential,
        payload: &Payload,
        ceiling: Units,
        now_s: u64,
    ) -> Result<(), Refusal> {
        if credential.network != self.inner.payee.network {
            return Err(Refused::Network.into());
        }
        let terms = self.terms(self.offer_amount(ceiling));
        let config = payload.config();
        channel::check_config(config, payload.voucher().channel_id, &terms)?;
        if let Some(deposit) = payload.deposit() {
            channel::check_deposit(config, deposit, &terms, now_s)?;
            // Each deposit costs us a transaction.
            if deposit.amount < self.inner.deposit_min {
                return Err(Refused::DepositBelowMin.into());
            }
        }
        Ok(())
    }

    /// Judges only whose voucher it is, whatever it is worth.
    pub(super) fn check_signer(
        &self,
        credential: &Credential,
        payload: &Payload,
    ) -> Result<Proof, Refusal> {
        if credential.network != self.inner.payee.network {
            return Err(Refused::Network.into());
        }
        let terms = self.terms(Units::ZERO);
        let (config, voucher) = (payload.config(), payload.voucher());
        channel::check_config(config, voucher.channel_id, &terms)?;
        Ok(channel::check_voucher(config, voucher, terms.domain())?)
    }

    /// What a voucher is spent under. Calls in parallel and after a lost answer carry the same one, and
    /// by the letter too two calls may: the charge and the next offer can make the same sum again. So it
    /// counts for one request, and again at the next turn.
    pub(super) fn replay_key(
        &self,
        payload: &Payload,
        request: RequestHash,
        payment_id: Option<&PaymentId>,
        turn: u32,
    ) -> ReplayKey {
        let voucher = payload.voucher();
        let mut hash = Sha256::new();
        hash.update(b"groat/channel-voucher\0");
        hash.update(voucher.channel_id);
        hash.update(voucher.max_claimable.atomic().to_be_bytes());
        hash.update(request.as_bytes());
        hash.update(turn.to_be_bytes());
        hash.update(payment_id.map_or("", PaymentId::as_str));
        ReplayKey::from_bytes(hash.finalize().into())
    }

    fn terms(&self, amount: Units) -> Terms {
        Terms {
            amount,
            ..self.inner.terms.clone()
        }
    }

    fn contract(&self) -> Address {
        self.inner.contracts.batch_settlement
    }

    fn decimals(&self) -> AssetDecimals {
        self.inner.payee.asset.decimals
    }

    /// How a call is paid by this voucher; it cannot be for less than the offer.
    fn used(&self, voucher: &Voucher, amount: Units) -> Result<ChannelUse, Refused> {
        let base = voucher.max_claimable.minus(amount);
        Ok(ChannelUse {
            channel: ledger_id(voucher.channel_id),
            rule: self.inner.rule,
            base: base.map_err(|_| Refused::Mismatch)?,
            max_claimable: voucher.max_claimable,
            signature: Bytes::copy_from_slice(&voucher.signature).to_string(),
        })
    }
}

fn terms(config: &Config, payee: &Payee, receiver_authorizer: Address) -> Terms {
    let contracts = &config.contracts;
    let deposit_min = config.channels.deposit_min;
    Terms {
        domain: Domain::new(payee.network, contracts.batch_settlement),
        asset: payee.asset.address,
        pay_to: payee.pay_to,
        receiver_authorizer,
        withdraw_delay: config.channels.withdraw_delay_seconds,
        amount: Units::ZERO,
        min_deposit: Some(deposit_min).filter(|min| !min.is_zero()),
        method: config.channels.deposit_by,
        token_name: payee.asset.name.clone(),
        token_version: payee.asset.version.clone(),
        erc3009_collector: contracts.erc3009_collector,
        permit2_collector: contracts.permit2_collector,
        permit2: contracts.permit2,
    }
}

/// The EIP-2612 permit that came with a deposit by Permit2.
fn permit(credential: &Credential) -> Result<Option<eip2612::Signed>, Refused> {
    Ok(eip2612::extract(&credential.extensions)?)
}

fn ledger_id(channel: B256) -> ChannelId {
    ChannelId::from_bytes(channel.0)
}

fn chain_id(channel: &ChannelId) -> B256 {
    B256::from(*channel.as_bytes())
}

/// The configuration that a channel was opened with.
pub(super) fn config_of(opening: &crate::ledger::ChannelOpening) -> Option<ChannelConfig> {
    serde_json::from_value(opening.config.clone()).ok()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
