//! How signed members are written: integers as decimal text, not as hexadecimal, and addresses
//! with their checksum.

use alloy::primitives::{Address, U256};
use serde::{Deserialize, Deserializer, Serializer};
use std::borrow::Cow;

pub(super) fn serialize<S: Serializer>(n: &U256, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(n)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<U256, D::Error> {
    let text = Cow::<'de, str>::deserialize(d)?;
    U256::from_str_radix(&text, 10).map_err(serde::de::Error::custom)
}

pub(super) fn checksummed<S: Serializer>(address: &Address, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(address)
}
