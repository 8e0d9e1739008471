//! x402 `exact` by EIP-3009 (x402 scheme_exact_evm): checks in order of cost, the chain asked last.

use super::authorized::{AuthorizeFailure, Authorized};
use super::exposure::{Draws, Exposure, Full};
use super::rails::Payee;
use super::stored::StoredTransfer;
use crate::chain::{Preflight, RevertReason, Rpc, Transfer};
use crate::config::{AssetConfig, RailKind};
use crate::ledger::{ReplayKey, SettleWhen, Takes};
use crate::money::Units;
use crate::protocol::eip712::Separator;
use crate::protocol::eip3009::{self, Proof, Signed, Terms};
use crate::protocol::mpp::evm::Charge;
use crate::protocol::x402::{Credential, EXACT, Requirements};
use crate::protocol::{Network, Refusal};
use alloy::primitives::{Address, U256};
use serde_json::{Map, Value};

/// The rail, with everything it needs to judge a payment.
#[derive(Debug, Clone)]
pub(super) struct ExactRail {
    rpc: Rpc,
    payee: Payee,
    /// The asset's.
    domain: Separator,
    settle_when: SettleWhen,
    relayer: Address,
    exposure: Exposure,
}

impl ExactRail {
    pub(super) fn new(
        rpc: Rpc,
        payee: Payee,
        settle_when: SettleWhen,
        relayer: Address,
        exposure: Exposure,
    ) -> Self {
        let AssetConfig {
            address,
            name,
            version,
            ..
        } = &payee.asset;
        Self {
            rpc,
            domain: Separator::of_token(payee.network, *address, name, version),
            payee,
            settle_when,
            relayer,
            exposure,
        }
    }

    /// The offer of one amount at one price row (its hash, which version 2 clients echo, so that an
    /// offer made at an old price is known by it): the same for the same two, always.
    pub(super) fn offer(&self, amount: Units, price_row: &str) -> Requirements {
        let extra = [
            ("name", self.payee.asset.name.as_str()),
            ("version", &self.payee.asset.version),
            ("priceRow", price_row),
        ];
        let extra: Map<String, Value> = extra
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(key, text)| (key.to_owned(), Value::from(text)))
            .collect();
        Requirements {
            scheme: EXACT.to_owned(),
            network: self.payee.network,
            amount,
            asset: self.payee.asset.address,
            pay_to: self.payee.pay_to,
            max_timeout_seconds: self.payee.max_timeout_seconds,
            extra: Some(extra),
        }
    }

    /// The same as MPP asks for it.
    pub(super) fn charge(&self, amount: Units) -> Charge {
        Charge {
            amount,
            currency: self.payee.asset.address,
            recipient: self.payee.pay_to,
            network: self.payee.network,
            decimals: self.payee.asset.decimals.get(),
        }
    }

    /// When the operator wants payments settled.
    pub(super) fn settle_when(&self) -> SettleWhen {
        self.settle_when
    }

    pub(super) fn replay_key(&self, network: Network, signed: &Signed) -> ReplayKey {
        let authorization = &signed.authorization;
        ReplayKey::from_bytes(eip3009::replay_key(
            network,
            self.payee.asset.address,
            authorization.from,
            authorization.nonce,
        ))
    }

    pub(super) fn check(
        &self,
        credential: &Credential,
        signed: &Signed,
        amount: Units,
        now_s: u64,
    ) -> Result<Proof, Refusal> {
        self.check_terms(credential, signed, amount, now_s)?;
        eip3009::check_signature(signed, &self.terms(amount))
    }

    pub(super) fn check_terms(
        &self,
        credential: &Credential,
        signed: &Signed,
        amount: Units,
        now_s: u64,
    ) -> Result<(), Refusal> {
        eip3009::check_terms(credential, signed, &self.terms(amount), now_s)?;
        let expires = signed.authorization.valid_before;
        let lifetime = self.payee.lifetime;
        match lifetime.suffices(expires, self.settle_when, now_s) {
            true => Ok(()),
            false => Err(Refusal::Expired),
        }
    }

    /// `settle_when` is the operator's choice, or `before` for a payer who must prepay.
    pub(super) async fn authorize(
        &self,
        signed: &Signed,
        amount: Units,
        proof: &Proof,
        settle_when: SettleWhen,
    ) -> Result<Authorized, AuthorizeFailure> {
        let authorization = &signed.authorization;
        let transfer = Transfer {
            asset: self.payee.asset.address,
            from: authorization.from,
            to: authorization.to,
            value: authorization.value,
            valid_after: authorization.valid_after,
            valid_before: authorization.valid_before,
            nonce: authorization.nonce,
            signature: signed.signature.clone().into(),
            digest: eip3009::digest(authorization, &self.terms(amount)),
        };
        let preflight = self
            .rpc
            .preflight(&transfer, self.relayer)
            .await
            .map_err(|error| {
                tracing::warn!(%error, "the chain cannot be asked about a payment");
                AuthorizeFailure::Unknown
            })?;
        judge(&preflight, proof, transfer.value).map_err(AuthorizeFailure::Refused)?;
        let (payer, balance) = (authorization.from, preflight.balance);
        let draws = Draws::BalanceAlone;
        let reserved = self
            .exposure
            .reserve_exact(payer, amount, balance, settle_when, draws);
        let (settle_when, reservation) = reserved.map_err(|full| match full {
            Full::Limit => Refusal::UnsettledLimit,
            Full::Balance | Full::Allowance => Refusal::InsufficientBalance,
        })?;
        Ok(Authorized {
            rail: RailKind::Exact,
            payer: authorization.from,
            settle_when,
            takes: Takes::Held,
            stored: StoredTransfer::of(&transfer, preflight.payer_has_code).to_json(),
            reservation: Some(reservation),
            channel: None,
            end_waits: false,
            sent: None,
        })
    }

    fn terms(&self, amount: Units) -> Terms {
        Terms {
            network: self.payee.network,
            asset: self.payee.asset.address,
            pay_to: self.payee.pay_to,
            amount,
            domain: self.domain,
        }
    }
}

/// Turns what the chain said into the SDKs' reasons, the most telling one first.
fn judge(preflight: &Preflight, proof: &Proof, value: U256) -> Result<(), Refusal> {
    if !preflight.asset_has_code {
        return Err(Refusal::AssetNotContract);
    }
    // An account with code is asked, and only it: a delegated key's own signature is no fallback.
    let signed = match preflight.contract_signature_valid {
        Some(valid) => valid,
        None => matches!(proof, Proof::Payer),
    };
    if !signed {
        return Err(Refusal::Signature("it is another key's".to_owned()));
    }
    if preflight.nonce_used {
        return Err(Refusal::NonceUsed);
    }
    if preflight.balance < value {
        return Err(Refusal::InsufficientBalance);
    }
    match &preflight.simulation {
        Ok(()) => Ok(()),
        Err(reason) => Err(simulated(reason)),
    }
}

fn simulated(reason: &RevertReason) -> Refusal {
    tracing::info!(%reason, "a payment's simulation reverted");
    Refusal::SimulationFailed
}
