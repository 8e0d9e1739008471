//! Decimal text to scaled integers, exactly or not at all.

/// Why a decimal text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// The text is not of the form `12`, `12.5`, `1.2e-7` (no sign, no spaces).
    #[error("{0:?} is not a non-negative decimal number")]
    NotDecimal(String),
    /// The text has more decimal places than the unit can hold.
    #[error("{0:?} is finer than the smallest unit (10^-{1})")]
    TooFine(String, u32),
    /// The number does not fit.
    #[error("{0:?} is too large")]
    TooLarge(String),
}

/// Reads `text` as an integer count of 10^-`scale`, refusing what is not exact.
///
/// An exponent is allowed because published price maps write `2.8e-08`.
pub(super) fn parse_scaled(text: &str, scale: u32) -> Result<u128, DecimalError> {
    let bad = || DecimalError::NotDecimal(text.to_owned());
    let large = || DecimalError::TooLarge(text.to_owned());
    if text.len() > 80 {
        return Err(bad());
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((m, e)) => (m, e.parse::<i32>().map_err(|_| bad())?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits_only = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits_only(whole) || !digits_only(fraction) {
        return Err(bad());
    }
    let fraction = fraction.trim_end_matches('0');
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Ok(0);
    }
    let value: u128 = digits.parse().map_err(|_| large())?;
    let places = i64::try_from(fraction.len()).map_err(|_| bad())?;
    let shift = i64::from(scale)
        .checked_add(i64::from(exponent))
        .and_then(|s| s.checked_sub(places))
        .ok_or_else(large)?;
    let power = |n: i64| u32::try_from(n).ok().and_then(|n| 10u128.checked_pow(n));
    if shift >= 0 {
        power(shift)
            .and_then(|p| value.checked_mul(p))
            .ok_or_else(large)
    } else {
        let too_fine = || DecimalError::TooFine(text.to_owned(), scale);
        let divisor = power(shift.saturating_neg()).ok_or_else(too_fine)?;
        match (value.checked_rem(divisor), value.checked_div(divisor)) {
            (Some(0), Some(q)) => Ok(q),
            _ => Err(too_fine()),
        }
    }
}
