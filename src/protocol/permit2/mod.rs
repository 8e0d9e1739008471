//! Permit2 `PermitWitnessTransferFrom`: what an `exact` payment by Permit2 and every `upto` payment
//! sign, and the checks of it that need no chain, the cheap ones first (x402 scheme_exact_evm and
//! scheme_upto_evm, "Verification"). A witness with a facilitator is `upto`, one without is `exact`.

mod authorization;
pub mod eip2612;
pub mod erc20_approval;
mod refused;
mod typed;

pub use authorization::{Authorization, Signed, TokenPermissions, Witness, parse_payload};
pub use refused::Refused;

use super::addresses::{EXACT_PROXY, PERMIT2, UPTO_PROXY};
use super::eip712::{Separator, struct_hash};
use super::eip3009::{Proof, VALIDITY_LEFT_SECONDS, VALIDITY_MAX_SECONDS};
use super::signature::{EcdsaSignature, Key, SignatureError, SignatureKind};
use super::x402::{EXACT, Requirements};
use super::{Network, Refusal};
use crate::money::Units;
use alloy::primitives::{Address, B256, U256};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The scheme of an amount that is known after the call, signed as a ceiling; Permit2 only.
pub const UPTO: &str = "upto";

/// What an offer's `extra.assetTransferMethod` says when the payment goes by Permit2.
pub const METHOD: &str = "permit2";

/// What an authorization is held against: one offer, as typed values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Permit2's own EIP-712 domain.
    pub domain: Separator,
    /// The token contract.
    pub asset: Address,
    /// Who is paid.
    pub pay_to: Address,
    /// The permitted amount in the token's atomic units: of `exact` the price, of `upto` the ceiling.
    pub amount: Units,
    /// The scheme's proxy, which alone may use the authorization.
    pub proxy: Address,
    /// Who alone may settle, when the scheme is `upto`.
    pub facilitator: Option<Address>,
}

impl Terms {
    /// The terms of an `upto` offer, or of an `exact` offer by Permit2, with the contracts at the
    /// addresses that clients know; `None` when it is neither or lacks its facilitator.
    pub fn of(offer: &Requirements) -> Option<Self> {
        let by_permit2 = offer.extra_text("assetTransferMethod") == Some(METHOD);
        let (proxy, facilitator) = match offer.scheme.as_str() {
            EXACT if by_permit2 => (EXACT_PROXY, None),
            UPTO => {
                let facilitator = offer.extra_text("facilitatorAddress")?.parse().ok()?;
                (UPTO_PROXY, Some(facilitator))
            }
            _ => return None,
        };
        Some(Self {
            domain: Separator::of_permit2(offer.network, PERMIT2),
            asset: offer.asset,
            pay_to: offer.pay_to,
            amount: offer.amount,
            proxy,
            facilitator,
        })
    }

    /// What a payer signs to meet these terms (client side).
    pub fn authorization(&self, from: Address, nonce: U256, deadline: u64) -> Authorization {
        Authorization {
            from,
            permitted: TokenPermissions {
                token: self.asset,
                amount: U256::from(self.amount.atomic()),
            },
            spender: self.proxy,
            nonce,
            deadline: U256::from(deadline),
            witness: Witness {
                to: self.pay_to,
                facilitator: self.facilitator,
                valid_after: U256::ZERO,
            },
        }
    }
}

/// Holds the authorization against the terms at `now` (Unix seconds), but for its signature:
/// proxy, payee, facilitator, window, amount, token. It costs no cryptography. The network is the
/// credential's, and its caller's to compare.
pub fn check_terms(signed: &Signed, terms: &Terms, now: u64) -> Result<(), Refusal> {
    let authorization = &signed.authorization;
    let witness = &authorization.witness;
    if authorization.spender != terms.proxy {
        return Err(Refused::Spender.into());
    }
    if witness.to != terms.pay_to {
        return Err(Refused::Recipient.into());
    }
    if witness.facilitator.is_some() != terms.facilitator.is_some() {
        return Err(Refusal::UnsupportedPayload);
    }
    if witness.facilitator != terms.facilitator {
        return Err(Refused::Facilitator.into());
    }
    if authorization.deadline < U256::from(now.saturating_add(VALIDITY_LEFT_SECONDS)) {
        return Err(Refused::Expired.into());
    }
    if authorization.deadline > U256::from(now.saturating_add(VALIDITY_MAX_SECONDS)) {
        return Err(Refused::ValidTooLong.into());
    }
    if witness.valid_after > U256::from(now) {
        return Err(Refused::NotYetValid.into());
    }
    if authorization.permitted.amount != U256::from(terms.amount.atomic()) {
        return Err(Refused::Amount.into());
    }
    if authorization.permitted.token != terms.asset {
        return Err(Refused::Token.into());
    }
    Ok(())
}

/// Checks the signature alone; costs one recovery.
pub fn check_signature(signed: &Signed, terms: &Terms) -> Result<Proof, Refusal> {
    let refused = |error| match error {
        SignatureError::Eip6492 => Refusal::UndeployedWallet,
        other => Refused::Signature(other.to_string()).into(),
    };
    let kind = SignatureKind::of(&signed.signature).map_err(refused)?;
    let digest = digest(&signed.authorization, terms);
    let by_payer = match kind {
        SignatureKind::Ecdsa65(signature) => {
            signature.recover(digest).map_err(refused)? == signed.authorization.from
        }
        SignatureKind::Other(_) => false,
    };
    Ok(if by_payer {
        Proof::Payer
    } else {
        Proof::ContractOnly { digest }
    })
}

/// The signature as Permit2 takes it. A wallet may write a key's `v` as 0 or 1; Permit2 knows only
/// 27 and 28. What only a contract can judge stays as it is.
pub fn settling_signature(signature: &[u8]) -> Vec<u8> {
    EcdsaSignature::from_bytes(signature)
        .map_or_else(|_| signature.to_vec(), |ecdsa| ecdsa.to_bytes().to_vec())
}

/// The EIP-712 digest that is signed.
pub fn digest(authorization: &Authorization, terms: &Terms) -> B256 {
    let Authorization {
        permitted: TokenPermissions { token, amount },
        spender,
        nonce,
        deadline,
        ..
    } = *authorization;
    let transfer = match authorization.witness.facilitator {
        None => *typed::exact::TRANSFER,
        Some(_) => *typed::upto::TRANSFER,
    };
    let permitted = [token.into_word(), amount.into()];
    let words = [
        struct_hash(*typed::TOKEN_PERMISSIONS, permitted),
        spender.into_word(),
        nonce.into(),
        deadline.into(),
        witness_hash(&authorization.witness),
    ];
    terms.domain.digest(struct_hash(transfer, words))
}

/// The witness's EIP-712 struct hash, as the proxies hand it to Permit2.
pub fn witness_hash(witness: &Witness) -> B256 {
    let (to, valid_after) = (witness.to.into_word(), witness.valid_after.into());
    match witness.facilitator {
        None => struct_hash(*typed::exact::WITNESS, [to, valid_after]),
        Some(facilitator) => {
            let words = [to, facilitator.into_word(), valid_after];
            struct_hash(*typed::upto::WITNESS, words)
        }
    }
}

/// What a ledger remembers so that an authorization is used once: SHA-256 over a label, the chain
/// id (8 bytes, big endian), the Permit2 contract, the payer and the nonce (32 bytes, big endian).
/// Permit2 counts nonces for each payer, whatever the token, the proxy or the scheme.
pub fn replay_key(network: Network, permit2: Address, owner: Address, nonce: U256) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"groat/permit2\0");
    hash.update(network.chain_id().to_be_bytes());
    hash.update(permit2);
    hash.update(owner);
    hash.update(nonce.to_be_bytes::<32>());
    hash.finalize().into()
}

/// The wire's `payload` of a payment by `key` (client side).
pub fn signed_payload(key: &Key, authorization: &Authorization, terms: &Terms) -> Value {
    let signature = key.sign(digest(authorization, terms)).to_bytes();
    json!({
        "signature": format!("0x{}", hex::encode(signature)),
        "permit2Authorization": authorization,
    })
}

#[cfg(test)]
mod tests;
