use super::AmountError;
use super::decimal::{DecimalError, parse_scaled};
use super::pusd::{Pusd, USD_SCALE, decimal_string_serde};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// An amount of the payment asset in its atomic units (USDC: 10⁻⁶). On the wire: a decimal string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Units(u128);

impl Units {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount of `n` atomic units.
    pub const fn from_atomic(n: u128) -> Self {
        Self(n)
    }

    /// The count of atomic units.
    pub const fn atomic(self) -> u128 {
        self.0
    }

    /// Whether this is no money at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Reads decimal text in whole units of the asset (`"1.50"`); fails when not exact.
    pub fn from_asset_text(text: &str, decimals: AssetDecimals) -> Result<Self, DecimalError> {
        parse_scaled(text, u32::from(decimals.get())).map(Self)
    }

    /// The sum; fails on overflow.
    pub fn plus(self, other: Self) -> Result<Self, AmountError> {
        self.0
            .checked_add(other.0)
            .map(Self)
            .ok_or(AmountError::Overflow)
    }

    /// The difference; fails when `other` is larger.
    pub fn minus(self, other: Self) -> Result<Self, AmountError> {
        self.0
            .checked_sub(other.0)
            .map(Self)
            .ok_or(AmountError::Negative)
    }

    /// The amount of a dollar stablecoin in 10⁻¹² USD, rounded up; fails on overflow.
    pub fn to_pusd_ceil(self, decimals: AssetDecimals) -> Result<Pusd, AmountError> {
        let places = u32::from(decimals.get());
        let scale = |exponent: u32| 10u128.checked_pow(exponent).ok_or(AmountError::Overflow);
        let pico = if places <= USD_SCALE {
            let factor = scale(USD_SCALE.saturating_sub(places))?;
            self.0.checked_mul(factor).ok_or(AmountError::Overflow)?
        } else {
            self.0.div_ceil(scale(places.saturating_sub(USD_SCALE))?)
        };
        Ok(Pusd::from_pico(pico))
    }

    /// The amount as plain decimal text in whole units of the asset (`"0.000042"`).
    pub fn asset_text(self, decimals: AssetDecimals) -> String {
        decimal_text(self.0, u32::from(decimals.get()))
    }
}

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

decimal_string_serde!(Units, u128);

/// How many decimal places an asset's atomic unit has; at most 18.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct AssetDecimals(u8);

impl AssetDecimals {
    /// USDC's six decimal places.
    pub const USDC: Self = Self(6);

    /// The count of decimal places.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for AssetDecimals {
    type Error = AmountError;

    /// Fails for more than 18 decimal places.
    fn try_from(n: u8) -> Result<Self, AmountError> {
        if n <= 18 {
            Ok(Self(n))
        } else {
            Err(AmountError::Overflow)
        }
    }
}

impl From<AssetDecimals> for u8 {
    fn from(d: AssetDecimals) -> Self {
        d.0
    }
}

/// Writes `value` × 10^-`scale` as decimal text without trailing zeros.
pub(super) fn decimal_text(value: u128, scale: u32) -> String {
    let width = usize::try_from(scale).unwrap_or(0);
    let digits = format!("{value:0>0$}", width.saturating_add(1));
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(width));
    match fraction.trim_end_matches('0') {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }
}
