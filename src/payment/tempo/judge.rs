//! What a payer on Tempo signed, as the published kit reads it: is it the transfer that the challenge
//! asked for, with its memo, and may its gas be paid for?

use super::session::Read;
use super::stored::{Stored, ill_timed, in_time};
use crate::config::Config;
use crate::payment::authorized::AuthorizeFailure;
use crate::protocol::Refusal;
use crate::protocol::mpp::Refused;
use crate::protocol::mpp::tempo::{Charge, Means, Signed};
use alloy::consensus::transaction::SignerRecoverable as _;
use alloy::eips::{Decodable2718 as _, Encodable2718 as _};
use alloy::primitives::{Address, Bytes, TxKind, keccak256};
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use mpp::protocol::core::PaymentCredential;
use mpp::protocol::intents::ChargeRequest;
use mpp::protocol::methods::tempo::{FeePayerEnvelope78, TEMPO_FEE_PAYER_ENVELOPE_TYPE_ID};
use mpp::server::{
    ChargeMethod as _, ErrorCode, TempoChargeMethod, TempoProvider, VerificationError,
    tempo_provider,
};
use serde_json::json;
use std::fmt;
use std::num::NonZeroU64;
use tempo_alloy::primitives::AASigned;

/// Reads payers' transactions.
pub(super) struct Judge {
    kit: TempoChargeMethod<TempoProvider>,
    /// Pays for gas, and in which token.
    sponsor: Option<PrivateKeySigner>,
    asset: Address,
}

impl fmt::Debug for Judge {
    /// Leaves the key out, and the node's URL within the kit.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").finish_non_exhaustive()
    }
}

impl Judge {
    /// `None` when the chain's URL or the sponsor's key is none; both were checked before.
    pub(super) fn of(config: &Config) -> Option<Self> {
        let sponsor = match &config.tempo.fee_payer_key {
            Some(key) => Some(key.reveal().parse().ok()?),
            None => None,
        };
        Self::new(config.chain.rpc_url.reveal(), config.asset.address, sponsor)
    }

    fn new(rpc_url: &str, asset: Address, sponsor: Option<PrivateKeySigner>) -> Option<Self> {
        let mut kit = TempoChargeMethod::new(tempo_provider(rpc_url).ok()?);
        if let Some(sponsor) = &sponsor {
            kit = kit
                .with_fee_payer(sponsor.clone())
                .with_fee_payer_allowed_fee_tokens(vec![asset])
                .with_fee_payer_fee_token(asset);
        }
        Some(Self {
            kit,
            sponsor,
            asset,
        })
    }

    /// Whether payers' gas is paid for.
    pub(super) const fn pays_gas(&self) -> bool {
        self.sponsor.is_some()
    }

    /// Who signed a transaction, or its sender's half.
    pub(super) fn sender(&self, transaction: &[u8]) -> Result<Address, Refused> {
        let signed = decoded(transaction)?;
        signed
            .recover_signer()
            .map_err(|_| Refused::Payload("nobody signed the transaction".to_owned()))
    }

    /// Holds a payment against its challenge; what its payer sent is looked up on the chain.
    pub(super) async fn validate(&self, signed: &Signed) -> Result<(), AuthorizeFailure> {
        let (credential, request) = in_the_kits_words(signed).map_err(Refusal::from)?;
        let validated = self.kit.validate(&credential, &request).await;
        validated
            .map(drop)
            .map_err(|error| refused(error, &signed.means))
    }

    /// What a transaction calls, of one whose gas its payer pays; it may have expired.
    pub(super) fn read(&self, transaction: &[u8]) -> Result<Read, Refused> {
        let signed = decoded(transaction)?;
        let raw: Bytes = signed.encoded_2718().into();
        let valid_before = valid_before(&signed)?;
        let calls = signed.tx().calls.iter().filter_map(|call| match call.to {
            TxKind::Call(to) => Some((to, call.input.clone())),
            TxKind::Create => None,
        });
        Ok(Read {
            sender: self.sender(transaction)?,
            calls: calls.collect(),
            transaction: keccak256(&raw),
            raw,
            valid_before,
        })
    }

    /// The complete transaction, gas paid for if we do that, as a hold keeps it.
    pub(super) fn stored(
        &self,
        transaction: &[u8],
        (payer, to): (Address, Address),
    ) -> Result<Stored, Refused> {
        let signed = decoded(transaction)?;
        let valid_before = valid_before(&signed)?;
        in_time(valid_before)?;
        let complete = match &self.sponsor {
            None => signed,
            Some(sponsor) => sponsored(signed, payer, sponsor, self.asset)?,
        };
        let raw = complete.encoded_2718().into();
        Ok(Stored::pulled(raw, valid_before, to))
    }
}

/// When a transaction expires. What never does could be sent by anybody, long after we had given it up.
fn valid_before(signed: &AASigned) -> Result<u64, Refused> {
    let end = signed.tx().valid_before.map(NonZeroU64::get);
    end.ok_or_else(|| ill_timed("it never expires"))
}

/// Adds the payee's half: the token that gas is paid in, and the signature of who pays it. The same
/// halves make the same transaction.
fn sponsored(
    signed: AASigned,
    payer: Address,
    sponsor: &PrivateKeySigner,
    fee_token: Address,
) -> Result<AASigned, Refused> {
    let (mut transaction, signature, _) = signed.into_parts();
    transaction.fee_token = Some(fee_token);
    transaction.fee_payer_signature = None;
    let hash = transaction.fee_payer_signature_hash(payer);
    // A key in memory does not fail to sign.
    let paid = sponsor
        .sign_hash_sync(&hash)
        .map_err(|error| Refused::Transaction(error.to_string()))?;
    transaction.fee_payer_signature = Some(paid);
    Ok(transaction.into_signed(signature))
}

fn decoded(transaction: &[u8]) -> Result<AASigned, Refused> {
    let wrong = || Refused::Payload("\"signature\" is no transaction of Tempo's".to_owned());
    if transaction.first() == Some(&TEMPO_FEE_PAYER_ENVELOPE_TYPE_ID) {
        let envelope = FeePayerEnvelope78::decode_envelope(transaction).map_err(|_| wrong())?;
        return Ok(envelope.to_recoverable_signed());
    }
    let mut rest = transaction;
    let signed = AASigned::decode_2718(&mut rest).map_err(|_| wrong())?;
    match rest.is_empty() {
        true => Ok(signed),
        false => Err(wrong()),
    }
}

/// The credential and what its challenge asks for, as the kit's own types.
fn in_the_kits_words(signed: &Signed) -> Result<(PaymentCredential, ChargeRequest), Refused> {
    let malformed = |error: serde_json::Error| Refused::Payload(error.to_string());
    let credential = &signed.credential;
    let payload: serde_json::Value =
        serde_json::from_str(&credential.payload).map_err(malformed)?;
    let credential: PaymentCredential = serde_json::from_value(json!({
        "challenge": credential.challenge,
        "source": credential.source,
        "payload": payload,
    }))
    .map_err(malformed)?;
    let charge = Charge::from_request(&signed.credential.challenge.request);
    let charge = charge.ok_or(Refused::NotTaken)?;
    let request: ChargeRequest = serde_json::from_value(charge.to_json()).map_err(malformed)?;
    Ok((credential, request))
}

/// The kit's word for what is wrong. Where money has moved no other payment would mend it.
fn refused(error: VerificationError, means: &Means) -> AuthorizeFailure {
    let ours = matches!(
        error.code,
        Some(ErrorCode::NetworkError | ErrorCode::Internal)
    );
    if ours || error.retryable {
        // Its text may hold the node's URL, with the key in it.
        tracing::warn!(code = ?error.code, "the chain cannot be asked about a payment");
        return AuthorizeFailure::Unknown;
    }
    let reverted = error.code == Some(ErrorCode::TransactionFailed);
    let refused = match means {
        Means::Push(_) if !reverted => Refused::Elsewhere(error.message),
        Means::Push(_) | Means::Pull(_) => Refused::Transaction(error.message),
    };
    AuthorizeFailure::Refused(refused.into())
}

#[cfg(test)]
mod tests;
