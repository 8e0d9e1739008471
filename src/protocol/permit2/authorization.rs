use crate::json::Object;
use crate::protocol::{Refusal, decimal, fields};
use alloy::primitives::{Address, U256};
use serde::{Deserialize, Serialize};

/// What the payer signs: Permit2 lets `spender`, an x402 proxy, move at most `permitted` from
/// `from`, once, and only as `witness` says.
/// On the wire: the `permit2Authorization` of a payload, all numbers decimal text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Authorization {
    /// The payer.
    #[serde(serialize_with = "decimal::checksummed")]
    pub from: Address,
    /// What may be moved.
    pub permitted: TokenPermissions,
    /// The scheme's proxy, which alone may use this.
    #[serde(serialize_with = "decimal::checksummed")]
    pub spender: Address,
    /// The payer's random number that makes it good for one transfer.
    #[serde(with = "decimal")]
    pub nonce: U256,
    /// Unix seconds until which it is valid.
    #[serde(with = "decimal")]
    pub deadline: U256,
    /// What the proxy holds the transfer against.
    pub witness: Witness,
}

/// A token, and how much of it may be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenPermissions {
    /// The token contract.
    #[serde(serialize_with = "decimal::checksummed")]
    pub token: Address,
    /// The amount in the token's atomic units: of `exact` the price, of `upto` the most.
    #[serde(with = "decimal")]
    pub amount: U256,
}

/// What the payer signs beside Permit2's own members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Witness {
    /// The payee.
    #[serde(serialize_with = "decimal::checksummed")]
    pub to: Address,
    /// Who may settle and say how much; `upto` has one, `exact` has none.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "checksummed_if_any"
    )]
    pub facilitator: Option<Address>,
    /// Unix seconds from which it is valid.
    #[serde(with = "decimal")]
    pub valid_after: U256,
}

fn checksummed_if_any<S: serde::Serializer>(a: &Option<Address>, s: S) -> Result<S::Ok, S::Error> {
    match a {
        Some(address) => decimal::checksummed(address, s),
        None => s.serialize_none(),
    }
}

/// An authorization with the payer's signature, of any length: as it came in, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// What was signed.
    pub authorization: Authorization,
    /// The signature's bytes.
    pub signature: Vec<u8>,
}

/// Reads the `payload` of a payment by Permit2 (x402 scheme_exact_evm, "Permit2", and
/// scheme_upto_evm); whether it has a facilitator is for the terms to judge.
pub fn parse_payload(payload: &Object<'_>) -> Result<Signed, Refusal> {
    let key = "permit2Authorization";
    if payload.raw(key).is_none_or(|raw| raw == "null") {
        return Err(Refusal::UnsupportedPayload);
    }
    let authorization = fields::object(payload, key)?;
    let permitted = fields::object(&authorization, "permitted")?;
    let witness = fields::object(&authorization, "witness")?;
    let facilitator = witness
        .raw("facilitator")
        .map(|_| fields::address(&witness, "facilitator"));
    Ok(Signed {
        authorization: Authorization {
            from: fields::address(&authorization, "from")?,
            permitted: TokenPermissions {
                token: fields::address(&permitted, "token")?,
                amount: fields::integer(&permitted, "amount")?,
            },
            spender: fields::address(&authorization, "spender")?,
            nonce: fields::integer(&authorization, "nonce")?,
            deadline: fields::integer(&authorization, "deadline")?,
            witness: Witness {
                to: fields::address(&witness, "to")?,
                facilitator: facilitator.transpose()?,
                valid_after: fields::integer(&witness, "validAfter")?,
            },
        },
        signature: fields::signature(payload)?,
    })
}
