//! Reads a channel payload: strict, bounded, no key twice; integers as text or as whole numbers,
//! as the SDKs' own servers read them.

use super::config::ChannelConfig;
use super::deposit::{Authorization, Deposit, Erc3009, Permit2};
use super::payload::Payload;
use super::refused::Refused;
use super::voucher::Voucher;
use crate::json::{Object, unquoted};
use crate::money::Units;
use crate::protocol::Refusal;
use crate::protocol::fields::{self, address, object, wrong};
use crate::protocol::signature::EcdsaSignature;
use alloy::primitives::{B256, U256};

/// The first value that does not fit the contract's `uint40`.
const DELAY_END: u64 = 1 << 40;

/// Reads the `payload` of a `batch-settlement` payment (x402 scheme_batch_settlement_evm).
pub fn parse_payload(payload: &Object<'_>) -> Result<Payload, Refusal> {
    let kind = fields::text(payload, "type").map_err(|_| Refused::PayloadType)?;
    if !matches!(&*kind, "deposit" | "voucher" | "refund") {
        return Err(Refused::PayloadType.into());
    }
    let config = config(&object(payload, "channelConfig")?)?;
    let voucher = voucher(&object(payload, "voucher")?)?;
    Ok(match &*kind {
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
    let delay = integer(object, "withdrawDelay")?;
    let delay = u64::try_from(delay).ok().filter(|delay| *delay < DELAY_END);
    Ok(ChannelConfig {
        payer: address(object, "payer")?,
        payer_authorizer: address(object, "payerAuthorizer")?,
        receiver: address(object, "receiver")?,
        receiver_authorizer: address(object, "receiverAuthorizer")?,
        token: address(object, "token")?,
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
    let bytes = fields::signature(object)?;
    Ok(EcdsaSignature::from_bytes(&bytes).map_or(bytes, |key| key.to_bytes().to_vec()))
}

fn units(object: &Object<'_>, key: &str) -> Result<Units, Refusal> {
    let amount = integer(object, key)?;
    u128::try_from(amount)
        .map(Units::from_atomic)
        .map_err(|_| wrong(key))
}

/// Reads an integer of at most 256 bits: decimal text, `0x` and digits, or a whole number.
fn integer(object: &Object<'_>, key: &str) -> Result<U256, Refusal> {
    let raw = object.raw(key).unwrap_or_default();
    let number = match unquoted(raw) {
        Some(text) => fields::decimal(&text).or_else(|| hexadecimal(&text)),
        None => raw.parse::<u64>().ok().map(U256::from),
    };
    number.ok_or_else(|| wrong(key))
}

fn hexadecimal(text: &str) -> Option<U256> {
    let digits = text.strip_prefix("0x")?;
    let of_form = (1..=64).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    of_form
        .then(|| U256::from_str_radix(digits, 16).ok())
        .flatten()
}

fn bytes32(object: &Object<'_>, key: &str) -> Result<B256, Refusal> {
    fields::fixed(&fields::text(object, key)?, 66).ok_or_else(|| wrong(key))
}
