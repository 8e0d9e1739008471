//! x402 `exact` by EIP-3009 (x402 scheme_exact_evm): checks in order of cost, the chain asked last.

use super::exposure::{Exposure, Reservation};
use super::settlement::{stored, stored_signature};
use crate::chain::{Preflight, RevertReason, Rpc, Transfer};
use crate::config::{AssetConfig, PaymentConfig};
use crate::ledger::{Hold, ReplayKey};
use crate::money::Units;
use crate::protocol::eip3009::{self, Proof, Terms};
use crate::protocol::x402::{
    Credential, EXACT, Requirements, SettleResponse, Version, offer_matches,
};
use crate::protocol::{Network, Refusal};
use alloy::primitives::{Address, U256};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The rail's name in holds and receipts.
pub const RAIL_EXACT: &str = "x402-exact";

/// The rail, with everything it needs to judge a payment.
#[derive(Debug, Clone)]
pub struct ExactRail {
    rpc: Rpc,
    network: Network,
    asset: AssetConfig,
    pay_to: Address,
    max_timeout_seconds: u64,
    relayer: Address,
    exposure: Exposure,
}

/// A payment that is good: it may be held.
#[derive(Debug)]
pub struct Authorized {
    /// Who pays.
    pub payer: Address,
    /// What the payment can be spent under only once.
    pub replay_key: ReplayKey,
    /// The transfer to settle with, and its calldata.
    pub transfer: Transfer,
    /// Whether the payer is a contract.
    pub payer_has_code: bool,
    /// Its share of what the payer owes unsettled; to be dropped once the settlement is known.
    pub reservation: Reservation,
}

/// Why a payment is not taken.
#[derive(Debug, Clone)]
pub enum AuthorizeFailure {
    /// It is not good, for this reason.
    Refused(Refusal),
    /// The chain did not say; it may be good.
    Unknown,
}

impl Authorized {
    /// What a hold keeps to settle this payment with.
    pub fn stored(&self) -> Value {
        stored(&self.transfer, self.payer_has_code)
    }
}

impl ExactRail {
    /// The rail of a configuration; `relayer` is the account that will settle.
    pub fn new(
        rpc: Rpc,
        network: Network,
        asset: &AssetConfig,
        payment: &PaymentConfig,
        relayer: Address,
    ) -> Self {
        Self {
            rpc,
            network,
            asset: asset.clone(),
            pay_to: payment.pay_to,
            max_timeout_seconds: payment.max_timeout_seconds,
            relayer,
            exposure: Exposure::default(),
        }
    }

    /// The chain that is paid on.
    pub fn network(&self) -> Network {
        self.network
    }

    /// The asset that is paid in.
    pub fn asset(&self) -> &AssetConfig {
        &self.asset
    }

    /// The offer of one amount at one price row (its hash, which version 2 clients echo, so that an
    /// offer made at an old price is known by it): the same for the same two, always.
    pub fn offer(&self, amount: Units, price_row: &str) -> Requirements {
        let extra = [
            ("name", self.asset.name.as_str()),
            ("version", &self.asset.version),
            ("priceRow", price_row),
        ];
        let extra: Map<String, Value> = extra
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(key, text)| (key.to_owned(), Value::from(text)))
            .collect();
        Requirements {
            scheme: EXACT.to_owned(),
            network: self.network,
            amount,
            asset: self.asset.address,
            pay_to: self.pay_to,
            max_timeout_seconds: self.max_timeout_seconds,
            extra: Some(extra),
        }
    }

    /// Whether a credential accepted the offer of this amount; version 1 echoes no price row.
    pub fn accepts(&self, credential: &Credential, amount: Units, price_row: &str) -> bool {
        match (&credential.accepted, credential.version) {
            (Some(accepted), _) => offer_matches(&self.offer(amount, price_row), accepted),
            (None, Version::V1) => {
                credential.network == self.network
                    && credential.authorization.value == U256::from(amount.atomic())
            }
            (None, Version::V2) => false,
        }
    }

    /// What a credential can be spent under only once.
    pub fn replay_key(&self, credential: &Credential) -> ReplayKey {
        let authorization = &credential.authorization;
        ReplayKey::from_bytes(eip3009::replay_key(
            credential.network,
            self.asset.address,
            authorization.from,
            authorization.nonce,
        ))
    }

    /// The key of a payer's own payment identifier.
    pub fn payment_id_key(&self, credential: &Credential) -> Option<ReplayKey> {
        let id = credential.payment_id.as_ref()?;
        let mut hash = Sha256::new();
        hash.update(b"groat/payment-identifier\0");
        hash.update(credential.authorization.from);
        hash.update(id.as_str());
        Some(ReplayKey::from_bytes(hash.finalize().into()))
    }

    /// Judges a payment of `amount` without asking the chain: terms first, then the signature.
    ///
    /// Costs one signature recovery at most, so it runs off the reactor's threads.
    pub fn check(
        &self,
        credential: &Credential,
        amount: Units,
        now_s: u64,
    ) -> Result<Proof, Refusal> {
        let terms = self.terms(amount);
        eip3009::check_terms(credential, &terms, now_s)?;
        eip3009::check_signature(credential, &terms)
    }

    /// Asks the chain, in one batch, whether a payment that passed [`Self::check`] will settle.
    pub async fn authorize(
        &self,
        credential: &Credential,
        amount: Units,
        proof: &Proof,
    ) -> Result<Authorized, AuthorizeFailure> {
        let authorization = &credential.authorization;
        let transfer = Transfer {
            asset: self.asset.address,
            from: authorization.from,
            to: authorization.to,
            value: authorization.value,
            valid_after: authorization.valid_after,
            valid_before: authorization.valid_before,
            nonce: authorization.nonce,
            signature: credential.signature.clone().into(),
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
        let reservation = self
            .exposure
            .reserve(authorization.from, amount, preflight.balance)
            .ok_or(AuthorizeFailure::Refused(Refusal::InsufficientBalance))?;
        Ok(Authorized {
            reservation,
            payer: authorization.from,
            replay_key: self.replay_key(credential),
            payer_has_code: preflight.payer_has_code,
            transfer,
        })
    }

    /// Which field of a credential is not as offered, where that can be told.
    pub fn mismatch(&self, credential: &Credential, amount: Units, now_s: u64) -> Refusal {
        let checked = eip3009::check_terms(credential, &self.terms(amount), now_s);
        checked.err().unwrap_or(Refusal::NoMatchingOffer)
    }

    /// Whether a hold was made with this very credential, signature included.
    pub fn same_credential(&self, hold: &Hold, credential: &Credential) -> bool {
        stored_signature(hold).is_some_and(|signature| signature.as_ref() == credential.signature)
    }

    /// What the header of a paid answer says.
    pub fn settle_response(
        &self,
        payer: Address,
        amount: Units,
        transaction: &str,
        version: Version,
    ) -> SettleResponse {
        SettleResponse {
            success: true,
            error_reason: None,
            error_message: None,
            payer: Some(payer),
            transaction: transaction.to_owned(),
            network: self.network_text(version),
            amount: Some(amount),
            extensions: None,
            extra: None,
        }
    }

    /// What the header of a failed settlement says.
    pub fn failure_response(
        &self,
        payer: Option<Address>,
        reason: &str,
        version: Version,
    ) -> SettleResponse {
        SettleResponse {
            success: false,
            error_reason: Some(reason.to_owned()),
            error_message: None,
            payer,
            transaction: String::new(),
            network: self.network_text(version),
            amount: None,
            extensions: None,
            extra: None,
        }
    }

    fn network_text(&self, version: Version) -> String {
        match (version, self.network.v1_name()) {
            (Version::V1, Some(name)) => name.to_owned(),
            _ => self.network.to_string(),
        }
    }

    fn terms(&self, amount: Units) -> Terms {
        Terms {
            network: self.network,
            asset: self.asset.address,
            pay_to: self.pay_to,
            amount,
            token_name: self.asset.name.clone(),
            token_version: self.asset.version.clone(),
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
