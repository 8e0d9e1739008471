use super::TransitionError;
use crate::money::{AmountError, Units};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A payer's credit in one asset, in atomic units. Signed, because a reorganisation can take back
/// money that was already paid out; each figure is the sum over that payer's calls and withdrawals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Credit {
    /// What the payer may withdraw; below zero after a reorganisation undid a paid-out credit.
    #[serde(serialize_with = "to_text", deserialize_with = "from_text")]
    pub available: i128,
    /// What becomes available once the settlement of a finished call is confirmed.
    #[serde(serialize_with = "to_text", deserialize_with = "from_text")]
    pub pending: i128,
    /// What is on its way to the payer.
    #[serde(serialize_with = "to_text", deserialize_with = "from_text")]
    pub withdrawing: i128,
    /// What was paid out.
    #[serde(serialize_with = "to_text", deserialize_with = "from_text")]
    pub withdrawn: i128,
}

impl Credit {
    /// What may be withdrawn now: the available credit, or nothing when that is negative.
    pub fn spendable(&self) -> Units {
        u128::try_from(self.available).map_or(Units::ZERO, Units::from_atomic)
    }

    /// This credit after one call or withdrawal changed its share from `old` to `new`.
    pub fn moved(&self, old: &Self, new: &Self) -> Result<Self, AmountError> {
        let step = |total: i128, old: i128, new: i128| {
            total
                .checked_sub(old)
                .and_then(|rest| rest.checked_add(new))
                .ok_or(AmountError::Overflow)
        };
        Ok(Self {
            available: step(self.available, old.available, new.available)?,
            pending: step(self.pending, old.pending, new.pending)?,
            withdrawing: step(self.withdrawing, old.withdrawing, new.withdrawing)?,
            withdrawn: step(self.withdrawn, old.withdrawn, new.withdrawn)?,
        })
    }
}

/// Whose credit, where, in what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CreditKey {
    /// The payer's address: 0x and 40 lowercase hexadecimal digits.
    pub payer: String,
    /// The chain, as CAIP-2.
    pub network: String,
    /// The asset.
    pub asset: String,
}

impl CreditKey {
    /// The key of these three; fails when one is not in the form that makes keys unambiguous.
    pub fn of(payer: &str, network: &str, asset: &str) -> Result<Self, TransitionError> {
        let plain = |text: &str| {
            (1..=128).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/')
        };
        let malformed = |field| TransitionError::Malformed { field };
        if !is_address(payer) {
            return Err(malformed("payer"));
        }
        if !plain(network) {
            return Err(malformed("network"));
        }
        if !plain(asset) {
            return Err(malformed("asset"));
        }
        Ok(Self {
            payer: payer.to_owned(),
            network: network.to_owned(),
            asset: asset.to_owned(),
        })
    }
}

/// Whether `text` is 0x and 40 lowercase hexadecimal digits.
pub(super) fn is_address(text: &str) -> bool {
    text.strip_prefix("0x").is_some_and(|digits| {
        digits.len() == 40
            && digits
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

/// `units` as a signed number; fails beyond 2¹²⁷.
pub(super) fn signed(units: Units) -> Result<i128, AmountError> {
    i128::try_from(units.atomic()).map_err(|_| AmountError::Overflow)
}

/// Decimal strings, like every amount on the wire.
fn to_text<S: Serializer>(n: &i128, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(n)
}

fn from_text<'de, D: Deserializer<'de>>(d: D) -> Result<i128, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
    text.parse().map_err(serde::de::Error::custom)
}
