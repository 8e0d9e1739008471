//! Reads a channel payload: strict, bounded, no key twice; integers as text or as whole numbers,
//! as the SDKs' own servers read them.

use super::config::ChannelConfig;
use super::deposit::{Authorization, Deposit, Erc3009, Permit2};
use super::payload::Payload;
use super::refused::Refused;
use super::voucher::Voucher;
use crate::json::{JsonError, Object};
use crate::money::Units;
use crate::protocol::Refusal;
use crate::protocol::header::HEADER_LIMITS;
use crate::protocol::signature::EcdsaSignature;
use alloy::primitives::{B256, U256};
use serde_json::Value;
use std::str::FromStr;

/// The longest signature read, in bytes; a smart wallet's may be long, but not without end.
const SIGNATURE_BYTES_MAX: usize = 2 << 10;

/// The first value that does not fit the contract's `uint40`.
const DELAY_END: u64 = 1 << 40;

/// Reads the `payload` of a `batch-settlement` payment (x402 scheme_batch_settlement_evm).
pub fn parse_payload(payload: &Object<'_>) -> Result<Payload, Refusal> {
    let kind = text(payload, "type").map_err(|_| Refused::PayloadType)?;
    if !matches!(kind.as_str(), "deposit" | "voucher" | "refund") {
        return Err(Refused::PayloadType.into());
    }
    let config = config(&object(payload, "channelConfig")?)?;
    let voucher = voucher(&object(payload, "voucher")?)?;
    Ok(match kind.as_str() {
        "deposit" => Payload::Deposit {
            deposit: Box::new(deposit(&object(payload, "deposit")?)?),
            config,
            voucher,
        },
        "voucher" => Payload::Voucher { config, voucher },
        _ => Payload::Refund {
            amount: match payload.raw("amount").filter(|raw| *raw != "null") {
                Some(_) => Some(refund_amount(payload)?),
                None => None,
            },
            config,
            voucher,
        },
    })
}

fn config(object: &Object<'_>) -> Result<ChannelConfig, Refusal> {
    let address = |key| text(object, key).and_then(|t| fixed(key, &t, 42));
    let delay = integer(object, "withdrawDelay")?;
    let delay = u64::try_from(delay).ok().filter(|delay| *delay < DELAY_END);
    Ok(ChannelConfig {
        payer: address("payer")?,
        payer_authorizer: address("payerAuthorizer")?,
        receiver: address("receiver")?,
        receiver_authorizer: address("receiverAuthorizer")?,
        token: address("token")?,
        withdraw_delay: delay.ok_or_else(|| wrong("withdrawDelay"))?,
        salt: bytes32(object, "salt")?,
    })
}

fn voucher(object: &Object<'_>) -> Result<Voucher, Refusal> {
    Ok(Voucher {
        channel_id: bytes32(object, "channelId").map_err(|_| Refused::ChannelIdInvalid)?,
        max_claimable: units(object, "maxClaimableAmount")?,
        signature: signature(object)?,
    })
}

fn deposit(parent: &Object<'_>) -> Result<Deposit, Refusal> {
    let authorization = object(parent, "authorization")?;
    let given = |key| authorization.raw(key).is_some_and(|raw| raw != "null");
    let authorization = match (given("erc3009Authorization"), given("permit2Authorization")) {
        (true, false) => {
            Authorization::Erc3009(erc3009(&object(&authorization, "erc3009Authorization")?)?)
        }
        (false, true) => {
            Authorization::Permit2(permit2(&object(&authorization, "permit2Authorization")?)?)
        }
        _ => return Err(Refused::PayloadType.into()),
    };
    Ok(Deposit {
        amount: units(parent, "amount")?,
        authorization,
    })
}

fn erc3009(object: &Object<'_>) -> Result<Erc3009, Refusal> {
    Ok(Erc3009 {
        valid_after: integer(object, "validAfter")?,
        valid_before: integer(object, "validBefore")?,
        salt: integer(object, "salt")?,
        signature: signature(object)?,
    })
}

fn permit2(parent: &Object<'_>) -> Result<Permit2, Refusal> {
    let address = |object, key| text(object, key).and_then(|t| fixed(key, &t, 42));
    let permitted = object(parent, "permitted")?;
    let witness = object(parent, "witness")?;
    Ok(Permit2 {
        from: address(parent, "from")?,
        token: address(&permitted, "token")?,
        amount: integer(&permitted, "amount")?,
        spender: address(parent, "spender")?,
        nonce: integer(parent, "nonce")?,
        deadline: integer(parent, "deadline")?,
        channel_id: bytes32(&witness, "channelId")?,
        signature: signature(parent)?,
    })
}

fn refund_amount(object: &Object<'_>) -> Result<Units, Refused> {
    units(object, "amount")
        .ok()
        .filter(|amount| !amount.is_zero())
        .ok_or(Refused::RefundAmount)
}

/// Reads the signature as contracts take it: where 65 bytes are a key's, the last becomes 27 or
/// 28, since the contracts refuse the 0 and 1 that some signers write.
fn signature(object: &Object<'_>) -> Result<Vec<u8>, Refusal> {
    let bytes = text(object, "signature")?
        .strip_prefix("0x")
        .and_then(|digits| hex::decode(digits).ok())
        .filter(|bytes| bytes.len() <= SIGNATURE_BYTES_MAX)
        .ok_or_else(|| wrong("signature"))?;
    Ok(EcdsaSignature::from_bytes(&bytes).map_or(bytes, |key| key.to_bytes().to_vec()))
}

fn units(object: &Object<'_>, key: &str) -> Result<Units, Refusal> {
    let amount = integer(object, key)?;
    u128::try_from(amount)
        .map(Units::from_atomic)
        .map_err(|_| wrong(key))
}

/// Reads an integer of at most 256 bits: decimal or `0x` text, or a whole number.
fn integer(object: &Object<'_>, key: &str) -> Result<U256, Refusal> {
    let value: Option<Value> = object.get(key).map_err(malformed)?;
    let text = match value {
        Some(Value::String(text)) => text,
        Some(Value::Number(number)) if number.is_u64() => number.to_string(),
        _ => return Err(wrong(key)),
    };
    let (digits, radix, len_max) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16, 64),
        None => (text.as_str(), 10, 78),
    };
    let digits_only = digits
        .bytes()
        .all(|b| b.is_ascii_digit() || (radix == 16 && b.is_ascii_hexdigit()));
    if !(1..=len_max).contains(&digits.len()) || !digits_only {
        return Err(wrong(key));
    }
    U256::from_str_radix(digits, radix).map_err(|_| wrong(key))
}

fn bytes32(object: &Object<'_>, key: &str) -> Result<B256, Refusal> {
    text(object, key).and_then(|t| fixed(key, &t, 66))
}

/// Reads `0x` and hexadecimal digits, `len` characters in all.
fn fixed<T: FromStr>(key: &str, text: &str, len: usize) -> Result<T, Refusal> {
    if text.len() != len || !text.starts_with("0x") {
        return Err(wrong(key));
    }
    text.parse().map_err(|_| wrong(key))
}

fn object<'a>(parent: &Object<'a>, key: &str) -> Result<Object<'a>, Refusal> {
    let raw = parent.raw(key).ok_or_else(|| wrong(key))?;
    Object::parse(raw.as_bytes(), &HEADER_LIMITS).map_err(malformed)
}

fn text(object: &Object<'_>, key: &str) -> Result<String, Refusal> {
    object
        .get(key)
        .map_err(malformed)?
        .ok_or_else(|| wrong(key))
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn malformed(error: JsonError) -> Refusal {
    Refusal::Malformed(error.to_string())
}

fn wrong(key: &str) -> Refusal {
    Refusal::Malformed(format!("{key:?} is missing or not of its form"))
}
