use crate::json::{JsonError, Limits, Object, canonical};
use serde_json::Value;
use serde_json::value::RawValue;

/// The bounds on a receipt's text.
pub(super) const LIMITS: Limits = Limits {
    depth_max: 24,
    bytes_max: 256 << 10,
};

/// The text with its keys sorted and its white space gone, every number letter for letter as it
/// stands. A key that appears twice, at any depth, is refused.
///
/// Comparing this of a receipt's text with this of the receipt printed anew shows every digit
/// that reading it would have dropped: unknown members, twins of a member, decimals that a
/// floating-point number cannot hold.
pub(super) fn plain(text: &str) -> Result<String, JsonError> {
    let text = text.trim_ascii();
    match text.as_bytes().first() {
        Some(b'{') => {
            let object = Object::parse(text.as_bytes(), &LIMITS)?;
            let mut keys: Vec<_> = object.keys().collect();
            keys.sort_unstable();
            let members: Result<Vec<_>, _> = keys
                .into_iter()
                .map(|key| {
                    let value = plain(object.raw(key).unwrap_or_default())?;
                    Ok(format!("{}:{value}", Value::from(key)))
                })
                .collect();
            Ok(format!("{{{}}}", members?.join(",")))
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|e| syntax(&e))?;
            let items: Result<Vec<_>, _> = items.iter().map(|item| plain(item.get())).collect();
            Ok(format!("[{}]", items?.join(",")))
        }
        Some(b'"') => {
            let text: String = serde_json::from_str(text).map_err(|e| syntax(&e))?;
            Ok(Value::from(text).to_string())
        }
        _ => Ok(text.to_owned()),
    }
}

/// A provider's usage object in a form that survives being read and printed: numbers that a
/// floating-point number cannot hold exactly are rounded, once, here.
///
/// `None` when it is not a JSON object, or is one that a receipt cannot carry.
pub fn readable_numbers(raw_usage: &str) -> Option<Value> {
    let mut text = plain(raw_usage).ok().filter(|t| t.starts_with('{'))?;
    // Reading may round differently from printing, so one round is not always enough.
    for _ in 0..8 {
        let value: Value = serde_json::from_str(&text).ok()?;
        let printed = canonical(&value);
        if printed == text {
            return Some(value);
        }
        text = printed;
    }
    None
}

fn syntax(error: &serde_json::Error) -> JsonError {
    JsonError::Syntax {
        offset: error.column(),
        reason: "unexpected text".to_owned(),
    }
}
