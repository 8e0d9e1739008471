use super::decimal::{DecimalError, parse_scaled};
use super::{AmountError, AssetDecimals, Units};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Decimal places of one US dollar in the unit of [`Pusd`].
pub(super) const USD_SCALE: u32 = 12;

/// An amount of money in 10⁻¹² US dollars. On the wire: a decimal string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Pusd(u128);

impl Pusd {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// An amount of `n` × 10⁻¹² USD.
    pub const fn from_pico(n: u128) -> Self {
        Self(n)
    }

    /// The amount as a count of 10⁻¹² USD.
    pub const fn pico(self) -> u128 {
        self.0
    }

    /// Reads a decimal text in US dollars (`"0.25"`); fails when it is not exact in 10⁻¹² USD.
    pub fn from_usd_text(text: &str) -> Result<Self, DecimalError> {
        parse_scaled(text, USD_SCALE).map(Self)
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

    /// The share of this amount that `bps` basis points are, rounded up to 10⁻¹² USD.
    pub fn bps_ceil(self, bps: u32) -> Result<Self, AmountError> {
        self.0
            .checked_mul(u128::from(bps))
            .map(|n| Self(n.div_ceil(10_000)))
            .ok_or(AmountError::Overflow)
    }

    /// The amount in atomic units of a dollar stablecoin, rounded up: the one rounding of a bill.
    pub fn to_units_ceil(self, decimals: AssetDecimals) -> Result<Units, AmountError> {
        let places = u32::from(decimals.get());
        if places <= USD_SCALE {
            let divisor = 10u128
                .checked_pow(USD_SCALE.saturating_sub(places))
                .ok_or(AmountError::Overflow)?;
            Ok(Units::from_atomic(self.0.div_ceil(divisor)))
        } else {
            10u128
                .checked_pow(places.saturating_sub(USD_SCALE))
                .and_then(|factor| self.0.checked_mul(factor))
                .map(Units::from_atomic)
                .ok_or(AmountError::Overflow)
        }
    }

    /// The worth of atomic units of a dollar stablecoin, rounded down to 10⁻¹² USD; fails on overflow.
    pub fn from_units_floor(units: Units, decimals: AssetDecimals) -> Result<Self, AmountError> {
        let places = u32::from(decimals.get());
        let power = |n: u32| 10u128.checked_pow(n).ok_or(AmountError::Overflow);
        let pico = if places <= USD_SCALE {
            let factor = power(USD_SCALE.saturating_sub(places))?;
            units.atomic().checked_mul(factor)
        } else {
            units
                .atomic()
                .checked_div(power(places.saturating_sub(USD_SCALE))?)
        };
        pico.map(Self).ok_or(AmountError::Overflow)
    }

    /// The amount as plain decimal text in US dollars, without trailing zeros (`"0.000042"`).
    pub fn usd_text(self) -> String {
        super::units::decimal_text(self.0, USD_SCALE)
    }
}

impl fmt::Display for Pusd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A price of one token (or one request) in 10⁻¹² US dollars. On the wire: a decimal string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rate(u64);

impl Rate {
    /// A price of nothing, stated on purpose; a *missing* price is never this.
    pub const FREE: Self = Self(0);

    /// A rate of `n` × 10⁻¹² USD per token.
    pub const fn from_pico(n: u64) -> Self {
        Self(n)
    }

    /// The rate as a count of 10⁻¹² USD per token.
    pub const fn pico(self) -> u64 {
        self.0
    }

    /// Reads decimal text in US dollars per million tokens (`"0.28"`); fails when not exact.
    pub fn from_usd_per_million_text(text: &str) -> Result<Self, DecimalError> {
        Self::scaled(text, USD_SCALE.saturating_sub(6))
    }

    /// Reads decimal text in US dollars per token (`"2.8e-08"`); fails when not exact.
    pub fn from_usd_per_token_text(text: &str) -> Result<Self, DecimalError> {
        Self::scaled(text, USD_SCALE)
    }

    /// The price of `tokens` tokens; exact, fails only on overflow.
    pub fn times(self, tokens: u64) -> Result<Pusd, AmountError> {
        u128::from(self.0)
            .checked_mul(u128::from(tokens))
            .map(Pusd)
            .ok_or(AmountError::Overflow)
    }

    fn scaled(text: &str, scale: u32) -> Result<Self, DecimalError> {
        let n = parse_scaled(text, scale)?;
        u64::try_from(n)
            .map(Self)
            .map_err(|_| DecimalError::TooLarge(text.to_owned()))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Gives a newtype over an unsigned integer its wire form: a decimal string of the integer.
macro_rules! decimal_string_serde {
    ($type:ident, $int:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl FromStr for $type {
            type Err = DecimalError;

            /// Reads the canonical form only: ASCII digits, no sign, no leading zeros.
            fn from_str(text: &str) -> Result<Self, DecimalError> {
                let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                if !digits || (text.len() > 1 && text.starts_with('0')) {
                    return Err(DecimalError::NotDecimal(text.to_owned()));
                }
                text.parse::<$int>()
                    .map(Self)
                    .map_err(|_| DecimalError::TooLarge(text.to_owned()))
            }
        }
    };
}
pub(super) use decimal_string_serde;

decimal_string_serde!(Pusd, u128);
decimal_string_serde!(Rate, u64);
