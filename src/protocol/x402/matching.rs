use super::{Extensions, Requirements};
use crate::protocol::Refusal;
use alloy::primitives::Address;
use serde_json::{Map, Value};

/// Whether the offer a client echoed is this one: the six fields equal (addresses in any case),
/// and our `extra` a recursive subset of the echoed one, since clients may add to it.
pub fn offer_matches(offered: &Requirements, accepted: &Value) -> bool {
    let theirs = |key: &str| accepted.get(key).unwrap_or(&Value::Null);
    let says = |key, ours: &str| theirs(key).as_str() == Some(ours);
    let names = |key, ours: Address| theirs(key).as_str().is_some_and(|text| is(ours, text));
    says("scheme", &offered.scheme)
        && says("amount", &offered.amount.to_string())
        && says("network", &offered.network.to_string())
        && names("asset", offered.asset)
        && names("payTo", offered.pay_to)
        && same(
            &offered.max_timeout_seconds.into(),
            theirs("maxTimeoutSeconds"),
        )
        && offered
            .extra
            .as_ref()
            .is_none_or(|ours| holds(ours, theirs("extra")))
}

/// Whether `text` is this address, in any case of letters.
fn is(address: Address, text: &str) -> bool {
    let mut digits = [0; 40];
    let whole = hex::encode_to_slice(address, &mut digits).is_ok();
    text.split_at_checked(2).is_some_and(|(prefix, theirs)| {
        whole
            && prefix.eq_ignore_ascii_case("0x")
            && theirs.as_bytes().eq_ignore_ascii_case(&digits)
    })
}

/// Checks the extensions a client echoed: each advertised one must still hold the advertised
/// `info`; those not advertised, or not echoed, are nobody's concern.
pub fn check_echo(advertised: &Extensions, echoed: &Extensions) -> Result<(), Refusal> {
    for (key, ours) in advertised {
        let Some(theirs) = echoed.get(key).filter(|v| !v.is_null()) else {
            continue;
        };
        if !info_echoed(key, info(ours), info(theirs)) {
            return Err(Refusal::ExtensionEcho(key.clone()));
        }
    }
    Ok(())
}

/// Members of an extension's info that an echo may change or lack: some are new with every challenge,
/// so that an earlier challenge's values are no mismatch; and kits before 2.27 put what they signed
/// in place of words for people.
const FREE: &[(&str, &[&str])] = &[
    (
        crate::protocol::siwx::KEY,
        &["nonce", "issuedAt", "expirationTime"],
    ),
    (crate::protocol::permit2::eip2612::KEY, &["description"]),
    (
        crate::protocol::permit2::erc20_approval::KEY,
        &["description"],
    ),
];

fn info_echoed(key: &str, ours: &Value, theirs: &Value) -> bool {
    let free = FREE
        .iter()
        .find(|row| row.0 == key)
        .map_or(&[][..], |row| row.1);
    match ours {
        Value::Object(ours) => ours
            .iter()
            .filter(|(name, _)| !free.contains(&name.as_str()))
            .all(|(name, value)| theirs.get(name).is_some_and(|v| contains(value, v))),
        _ => same(ours, theirs),
    }
}

fn info(extension: &Value) -> &Value {
    extension.get("info").unwrap_or(extension)
}

/// Whether `theirs` holds everything in `ours`, recursively through objects.
fn contains(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Object(ours), theirs) => holds(ours, theirs),
        _ => same(ours, theirs),
    }
}

fn holds(ours: &Map<String, Value>, theirs: &Value) -> bool {
    theirs.is_object()
        && ours
            .iter()
            .all(|(key, value)| theirs.get(key).is_some_and(|v| contains(value, v)))
}

/// Deep equality, but for the case of addresses and for `60` written as `60.0`.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::String(a), Value::String(b)) => {
            a == b || (is_address(a) && a.eq_ignore_ascii_case(b))
        }
        (Value::Number(a), Value::Number(b)) => whole(&a.to_string()) == whole(&b.to_string()),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, value)| b.get(key).is_some_and(|v| same(value, v)))
        }
        _ => ours == theirs,
    }
}

fn is_address(text: &str) -> bool {
    text.len() == 42
        && text
            .strip_prefix("0x")
            .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn whole(number: &str) -> &str {
    number.strip_suffix(".0").unwrap_or(number)
}
