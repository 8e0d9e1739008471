//! EIP-3009 `TransferWithAuthorization`: what an `exact` payment signs, and the checks of it
//! that need no chain, the cheap ones first (x402 scheme_exact_evm, "Verification").

mod typed;

use super::eip712::{Separator, struct_hash};
use super::signature::{Key, SignatureKind};
use super::x402::{Credential, Requirements, Version};
use super::{Network, Refusal, decimal};
use crate::money::Units;
use alloy::primitives::{Address, B256, U256};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The seconds an authorization must still be valid for when it is verified and when it is settled.
pub const VALIDITY_LEFT_SECONDS: u64 = 6;

/// The furthest a `validBefore` may lie ahead, in seconds: beyond a year it is a mistake, and
/// the payer's money would hang on our keeping the nonce spent for ever.
pub const VALIDITY_MAX_SECONDS: u64 = 366 * 24 * 3600;

/// What the payer signs: move `value` from `from` to `to` once, within a time window.
/// On the wire: the `authorization` of an `exact` payload, all numbers decimal strings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Authorization {
    /// The payer.
    #[serde(serialize_with = "decimal::checksummed")]
    pub from: Address,
    /// The payee.
    #[serde(serialize_with = "decimal::checksummed")]
    pub to: Address,
    /// The amount in the token's atomic units.
    #[serde(with = "decimal")]
    pub value: U256,
    /// Unix seconds after which it is valid.
    #[serde(with = "decimal")]
    pub valid_after: U256,
    /// Unix seconds before which it is valid.
    #[serde(with = "decimal")]
    pub valid_before: U256,
    /// The payer's random number that makes it good for one transfer.
    pub nonce: B256,
}

/// An authorization with the payer's signature, of any length: as it came in, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// What was signed.
    pub authorization: Authorization,
    /// The signature's bytes.
    pub signature: Vec<u8>,
}

/// What an authorization is held against: one offer, as typed values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The chain.
    pub network: Network,
    /// The token contract.
    pub asset: Address,
    /// Who is paid.
    pub pay_to: Address,
    /// The exact amount in the token's atomic units.
    pub amount: Units,
    /// The token's EIP-712 domain.
    pub domain: Separator,
}

impl Terms {
    /// The terms of an `exact` offer; `None` when it lacks the token's domain.
    pub fn of(offer: &Requirements) -> Option<Self> {
        Some(Self {
            network: offer.network,
            asset: offer.asset,
            pay_to: offer.pay_to,
            amount: offer.amount,
            domain: Separator::of_token(
                offer.network,
                offer.asset,
                offer.extra_text("name")?,
                offer.extra_text("version")?,
            ),
        })
    }
}

/// Whose signature it is, as far as can be told without asking the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The payer's own key signed. (An account that has code must still be asked by ERC-1271.)
    Payer,
    /// The payer's key did not; only a contract at the payer's address could accept this.
    ContractOnly {
        /// The digest to ask `isValidSignature` about.
        digest: B256,
    },
}

/// Holds the payment that came in `credential` against the terms at `now` (Unix seconds), but for
/// its signature: network, asset, payee, amount, window. It costs no cryptography.
pub fn check_terms(
    credential: &Credential,
    signed: &Signed,
    terms: &Terms,
    now: u64,
) -> Result<(), Refusal> {
    let authorization = &signed.authorization;
    if credential.network != terms.network {
        return Err(Refusal::Network);
    }
    let asset = credential.accepted.as_ref().and_then(|a| a.get("asset"));
    let asset = asset.and_then(Value::as_str).map(str::parse::<Address>);
    if credential.version == Version::V2 && asset != Some(Ok(terms.asset)) {
        return Err(Refusal::NoMatchingOffer);
    }
    if authorization.to != terms.pay_to {
        return Err(Refusal::Recipient);
    }
    if authorization.value != U256::from(terms.amount.atomic()) {
        return Err(match credential.version {
            Version::V1 => Refusal::ValueV1,
            Version::V2 => Refusal::Value,
        });
    }
    if authorization.valid_after > U256::from(now) {
        return Err(Refusal::NotYetValid);
    }
    if authorization.valid_before < U256::from(now.saturating_add(VALIDITY_LEFT_SECONDS)) {
        return Err(Refusal::Expired);
    }
    if authorization.valid_before > U256::from(now.saturating_add(VALIDITY_MAX_SECONDS)) {
        return Err(Refusal::ValidTooLong);
    }
    Ok(())
}

/// Checks the signature alone; costs one recovery.
pub fn check_signature(signed: &Signed, terms: &Terms) -> Result<Proof, Refusal> {
    let authorization = &signed.authorization;
    let kind = SignatureKind::of(&signed.signature)?;
    let digest = digest(authorization, terms);
    let by_payer = match kind {
        SignatureKind::Ecdsa65(signature) => signature.recover(digest)? == authorization.from,
        SignatureKind::Other(_) => false,
    };
    Ok(if by_payer {
        Proof::Payer
    } else {
        Proof::ContractOnly { digest }
    })
}

/// The EIP-712 digest that is signed.
pub fn digest(authorization: &Authorization, terms: &Terms) -> B256 {
    let words = [
        authorization.from.into_word(),
        authorization.to.into_word(),
        authorization.value.into(),
        authorization.valid_after.into(),
        authorization.valid_before.into(),
        authorization.nonce,
    ];
    terms
        .domain
        .digest(struct_hash(*typed::TRANSFER_WITH_AUTHORIZATION, words))
}

/// What a ledger remembers so that an authorization is used once: SHA-256 over a label, the chain
/// id (8 bytes, big endian), the token, the payer and the nonce.
pub fn replay_key(network: Network, asset: Address, from: Address, nonce: B256) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"groat/eip3009\0");
    hash.update(network.chain_id().to_be_bytes());
    hash.update(asset);
    hash.update(from);
    hash.update(nonce);
    hash.finalize().into()
}

/// The wire's `payload` of a payment by `key` (client side).
pub fn signed_payload(key: &Key, authorization: &Authorization, terms: &Terms) -> Value {
    let signature = key.sign(digest(authorization, terms)).to_bytes();
    json!({
        "signature": format!("0x{}", hex::encode(signature)),
        "authorization": authorization,
    })
}

#[cfg(test)]
mod tests;
