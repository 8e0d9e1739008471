//! The x402 extension `eip2612GasSponsoring`: with the payment comes an EIP-2612 permit that lets
//! Permit2 move the payer's tokens, so that a payer who never approved Permit2 needs no transaction
//! of its own. The proxies' `settleWithPermit` hands it to the token first.

use super::{TokenPermissions, typed};
use crate::protocol::eip3009::VALIDITY_LEFT_SECONDS;
use crate::protocol::signature::{EcdsaSignature, Key};
use crate::protocol::x402::{Extensions, Requirements};
use crate::protocol::{Network, decimal, fields};
use alloy::primitives::{Address, B256, U256};
use alloy::sol_types::{SolStruct, eip712_domain};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The extension's key in `extensions`.
pub const KEY: &str = "eip2612GasSponsoring";

/// The extension's version.
const VERSION: &str = "1";

/// Why an EIP-2612 permit was refused; [`Refused::reason`] is the string the x402 SDKs use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A member is missing or not of its form, or the signature is not one of a single key.
    #[error(
        "The EIP-2612 permit is not of its form. Send from, asset, spender, amount, nonce, deadline, a signature of 65 bytes (r, s, v), and version."
    )]
    Format,
    /// The permit is another owner's.
    #[error("The EIP-2612 permit is not the payer's. Sign it with `owner` = the payment's from.")]
    From,
    /// The permit is for another token.
    #[error(
        "The EIP-2612 permit is for another token than the payment. Sign for the offer's asset."
    )]
    Asset,
    /// The permit does not name Permit2 as spender.
    #[error("The EIP-2612 permit's spender is not Permit2. Sign for the Permit2 contract.")]
    Spender,
    /// The permit's value is not the permitted amount, which the proxies demand.
    #[error(
        "The EIP-2612 permit's amount is not the payment's permitted amount. Sign exactly that amount."
    )]
    Amount,
    /// The permit has expired or is about to.
    #[error("The EIP-2612 permit has expired or has less than 6 seconds left. Sign a new one.")]
    Expired,
    /// The owner's key did not sign: the token will not heed it, and Permit2 stays unapproved.
    #[error(
        "The EIP-2612 permit's signature is not the payer's. Check the token's EIP-712 name and version in `extra`, the nonce and the signing key."
    )]
    Signature,
}

impl Refused {
    /// The machine-readable reason, as the x402 SDKs' facilitators give it. Of a wrong signature
    /// they see only what follows from it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Format => "invalid_eip2612_extension_format",
            Self::From => "eip2612_from_mismatch",
            Self::Asset => "eip2612_asset_mismatch",
            Self::Spender => "eip2612_spender_not_permit2",
            Self::Amount => "permit2_2612_amount_mismatch",
            Self::Expired => "eip2612_deadline_expired",
            Self::Signature => "permit2_allowance_required",
        }
    }
}

/// What the owner of tokens signs: `spender` may move `amount` of them.
/// On the wire: the extension's `info`, beside `signature` and `version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permit {
    /// The owner.
    #[serde(serialize_with = "decimal::checksummed")]
    pub from: Address,
    /// The token contract.
    #[serde(serialize_with = "decimal::checksummed")]
    pub asset: Address,
    /// Who may move the tokens: Permit2.
    #[serde(serialize_with = "decimal::checksummed")]
    pub spender: Address,
    /// How much, in the token's atomic units.
    #[serde(with = "decimal")]
    pub amount: U256,
    /// The owner's next nonce at the token.
    #[serde(with = "decimal")]
    pub nonce: U256,
    /// Unix seconds until which the token takes it.
    #[serde(with = "decimal")]
    pub deadline: U256,
}

/// A permit with its signature: the permit's `amount` and `deadline` and the signature's r, s and v
/// are the argument of `settleWithPermit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    /// What was signed.
    pub permit: Permit,
    /// The signature. The proxies take r, s and v only, so a contract cannot be the owner.
    pub signature: EcdsaSignature,
}

impl Signed {
    /// The extension's `info` as a client sends it.
    pub fn info(&self) -> Value {
        let mut info = json!(self.permit);
        if let Some(info) = info.as_object_mut() {
            let signature = format!("0x{}", hex::encode(self.signature.to_bytes()));
            info.insert("signature".to_owned(), signature.into());
            info.insert("version".to_owned(), VERSION.into());
        }
        info
    }
}

/// A token's EIP-712 domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenDomain {
    /// The chain.
    pub network: Network,
    /// The token contract.
    pub asset: Address,
    /// The domain's `name`.
    pub name: String,
    /// The domain's `version`.
    pub version: String,
}

impl TokenDomain {
    /// The domain that an offer tells; `None` when it does not.
    pub fn of(offer: &Requirements) -> Option<Self> {
        Some(Self {
            network: offer.network,
            asset: offer.asset,
            name: offer.extra_text("name")?.to_owned(),
            version: offer.extra_text("version")?.to_owned(),
        })
    }
}

/// What a challenge advertises; clients echo all of it, so the schema is kept short.
pub fn advert() -> Value {
    json!({
        "info": {
            "description": "An EIP-2612 permit for Permit2 is taken with the payment, so that no approval transaction is needed.",
            "version": VERSION,
        },
        "schema": {
            "type": "object",
            "required": ["from", "asset", "spender", "amount", "nonce", "deadline", "signature", "version"],
        },
    })
}

/// The permit in a payment's echoed extensions; none when the client only echoed what was
/// advertised, and an error when what it added is not of its form.
pub fn extract(extensions: &Extensions) -> Result<Option<Signed>, Refused> {
    let info = extensions.get(KEY).and_then(|e| e.get("info"));
    info.filter(|info| info.get("signature").is_some_and(|s| !s.is_null()))
        .map(parse)
        .transpose()
}

/// Reads the extension's `info` as a client sends it.
pub fn parse(info: &Value) -> Result<Signed, Refused> {
    read(info).ok_or(Refused::Format)
}

fn read(info: &Value) -> Option<Signed> {
    let text = |key: &str| info.get(key)?.as_str();
    let address = |key| fields::fixed(text(key)?, 42);
    let integer = |key| fields::decimal(text(key)?);
    text("version").filter(|v| fields::is_version(v))?;
    let signature = fields::bytes(text("signature")?, 65)?;
    Some(Signed {
        permit: Permit {
            from: address("from")?,
            asset: address("asset")?,
            spender: address("spender")?,
            amount: integer("amount")?,
            nonce: integer("nonce")?,
            deadline: integer("deadline")?,
        },
        signature: EcdsaSignature::from_bytes(&signature).ok()?,
    })
}

/// Holds the permit against the payment it comes with at `now` (Unix seconds), but for its
/// signature. It costs no cryptography.
pub fn check_terms(
    permit: &Permit,
    owner: Address,
    permitted: &TokenPermissions,
    permit2: Address,
    now: u64,
) -> Result<(), Refused> {
    if permit.from != owner {
        return Err(Refused::From);
    }
    if permit.asset != permitted.token {
        return Err(Refused::Asset);
    }
    if permit.spender != permit2 {
        return Err(Refused::Spender);
    }
    if permit.deadline < U256::from(now.saturating_add(VALIDITY_LEFT_SECONDS)) {
        return Err(Refused::Expired);
    }
    if permit.amount != permitted.amount {
        return Err(Refused::Amount);
    }
    Ok(())
}

/// Checks that the owner's key signed, for this token; costs one recovery. Whether
/// the nonce is the owner's next is for the chain to say.
pub fn check_signature(signed: &Signed, token: &TokenDomain) -> Result<(), Refused> {
    match signed.signature.recover(digest(&signed.permit, token)) {
        Ok(signer) if signer == signed.permit.from => Ok(()),
        _ => Err(Refused::Signature),
    }
}

/// The EIP-712 digest that is signed, by the token's own domain.
pub fn digest(permit: &Permit, token: &TokenDomain) -> B256 {
    let message = typed::token::Permit {
        owner: permit.from,
        spender: permit.spender,
        value: permit.amount,
        nonce: permit.nonce,
        deadline: permit.deadline,
    };
    message.eip712_signing_hash(&eip712_domain! {
        name: token.name.clone(),
        version: token.version.clone(),
        chain_id: token.network.chain_id(),
        verifying_contract: token.asset,
    })
}

/// Signs a permit (client side).
pub fn sign(key: &Key, permit: Permit, token: &TokenDomain) -> Signed {
    let signature = key.sign(digest(&permit, token));
    Signed { permit, signature }
}

/// Adds a permit to the advertised extension, as a client does before it pays.
pub fn echo_with_permit(advertised: &Value, signed: &Signed) -> Value {
    let mut echoed = advertised.clone();
    if let (Some(info), Value::Object(ours)) = (
        echoed.get_mut("info").and_then(Value::as_object_mut),
        signed.info(),
    ) {
        info.extend(ours);
    }
    echoed
}

#[cfg(test)]
mod tests;
