//! Number text of the map to rates.

use crate::money::{DecimalError, Rate};

/// Every decimal of up to 15 digits survives a 64-bit float; digits after that are noise.
const FLOAT_DIGITS: usize = 15;

/// Reads US dollars per token. Text that a float has been through, `2.0000000000000002e-07`, is
/// read to the 15 digits that a float carries; what is still finer than 10⁻¹² USD is refused.
pub(in crate::pricing) fn rate(text: &str) -> Result<Rate, DecimalError> {
    let exact = Rate::from_usd_per_token_text(text);
    match (&exact, without_noise(text)) {
        (Err(DecimalError::TooFine(..)), Some(clean)) => {
            Rate::from_usd_per_token_text(&clean).or(exact)
        }
        _ => exact,
    }
}

/// The number rounded to [`FLOAT_DIGITS`] digits, when it has more.
fn without_noise(text: &str) -> Option<String> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let dropped = digits.len().checked_sub(FLOAT_DIGITS).filter(|n| *n > 0)?;
    let kept: u64 = digits.get(..FLOAT_DIGITS)?.parse().ok()?;
    let round_up = digits
        .as_bytes()
        .get(FLOAT_DIGITS)
        .is_some_and(|d| *d >= b'5');
    let kept = kept.checked_add(u64::from(round_up))?;
    let exponent = exponent
        .parse::<i64>()
        .ok()?
        .checked_sub(i64::try_from(fraction.len()).ok()?)?
        .checked_add(i64::try_from(dropped).ok()?)?;
    Some(format!("{kept}e{exponent}"))
}
