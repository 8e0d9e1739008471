use super::PaymentRequired;
use crate::money::Units;
use crate::protocol::HeaderError;
use crate::protocol::header::{encode_json, json};
use serde_json::{Map, Value};

/// A challenge printed once: of two requests of one kind, only the amounts of the offers differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blank {
    header: Form,
    body: Form,
}

/// What a 402 carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// The value of the header `PAYMENT-REQUIRED`.
    pub header: String,
    /// The JSON body, for version 1 clients and for people.
    pub body: String,
}

impl Blank {
    /// Prints a challenge but for its amounts, with what else is said in the body.
    pub fn of(required: &PaymentRequired, more: Map<String, Value>) -> Result<Self, HeaderError> {
        let mut required = required.clone();
        let mut marks = Vec::new();
        // No token has that many units: what is printed of them stands nowhere else.
        for (offer, n) in required.accepts.iter_mut().zip(0..) {
            offer.amount = Units::from_atomic(u128::MAX.saturating_sub(n));
            marks.push(format!("\"{}\"", offer.amount));
        }
        Ok(Self {
            header: Form::of(&json(&required)?, &marks),
            body: Form::of(&json(&required.to_body(more))?, &marks),
        })
    }

    /// The challenge with these amounts, in the order of its offers; fails when it is too long.
    pub fn fill(&self, amounts: &[Units]) -> Result<Printed, HeaderError> {
        Ok(Printed {
            header: encode_json(&self.header.fill(amounts))?,
            body: self.body.fill(amounts),
        })
    }
}

/// A text with gaps for amounts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Form {
    /// A piece of text, and which amount comes behind it.
    pieces: Vec<(String, usize)>,
    end: String,
}

impl Form {
    /// Cuts `text` where one of the marks stands.
    fn of(text: &str, marks: &[String]) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, mark, behind)) = first(rest, marks) {
            pieces.push((before.to_owned(), mark));
            rest = behind;
        }
        let end = rest.to_owned();
        Self { pieces, end }
    }

    fn fill(&self, amounts: &[Units]) -> String {
        // An amount takes 41 bytes at most, and hardly ever half of that.
        let pieces = self
            .pieces
            .iter()
            .map(|(text, _)| text.len().saturating_add(20));
        let mut filled = String::with_capacity(pieces.fold(self.end.len(), usize::saturating_add));
        for (text, amount) in &self.pieces {
            filled.push_str(text);
            filled.push('"');
            let amount = amounts.get(*amount).copied().unwrap_or_default();
            filled.push_str(&amount.to_string());
            filled.push('"');
        }
        filled.push_str(&self.end);
        filled
    }
}

/// What stands before the first mark in `text`, which mark it is, and what stands behind it.
fn first<'t>(text: &'t str, marks: &[String]) -> Option<(&'t str, usize, &'t str)> {
    let found = marks.iter().enumerate().filter_map(|(n, mark)| {
        let (before, behind) = text.split_once(mark.as_str())?;
        Some((before, n, behind))
    });
    found.min_by_key(|(before, _, _)| before.len())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test stops where it fails")]
    use super::*;
    use crate::protocol::HEADER_BYTES_MAX;
    use proptest::prelude::*;
    use serde_json::json;

    /// A challenge of three offers, of which version 1 clients can read the first.
    fn required(amounts: [Units; 3], model: &str) -> PaymentRequired {
        let offer = |scheme: &str, amount: Units| {
            json!({
                "scheme": scheme,
                "network": "eip155:84532",
                "amount": amount,
                "asset": "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
                "payTo": "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
                "maxTimeoutSeconds": 300,
                "extra": { "name": "USDC", "version": "2", "minDeposit": "100000" },
            })
        };
        let [exact, channel, upto] = amounts;
        let required = json!({
            "x402Version": 2,
            "error": "payment_required",
            "resource": { "url": "https://groat.example/v1/chat/completions", "description": model },
            "accepts": [
                offer("exact", exact),
                offer("batch-settlement", channel),
                offer("upto", upto),
            ],
        });
        serde_json::from_value(required).unwrap()
    }

    fn told(sentence: &str) -> Map<String, Value> {
        [("detail".to_owned(), Value::from(sentence))]
            .into_iter()
            .collect()
    }

    proptest! {
        #[test]
        fn a_blank_filled_is_the_challenge_printed(
            amounts in any::<[u128; 3]>(),
            others in any::<[u128; 3]>(),
            model in ".{0,40}",
            sentence in ".{0,40}",
        ) {
            let (amounts, others) = (amounts.map(Units::from_atomic), others.map(Units::from_atomic));
            let whole = required(amounts, &model);
            let blank = Blank::of(&required(others, &model), told(&sentence)).unwrap();
            let printed = blank.fill(&amounts).unwrap();
            prop_assert_eq!(&printed.header, &whole.to_header().unwrap());
            let body: Value = serde_json::from_str(&printed.body).unwrap();
            let mut expected = json!(whole.to_v1().unwrap());
            let members = expected.as_object_mut().unwrap();
            members.extend(told(&sentence));
            prop_assert_eq!(body, expected);
        }
    }

    #[test]
    fn what_version_1_cannot_read_is_a_sentence_and_what_is_too_long_is_refused() {
        let mut none = required([Units::ZERO; 3], "m");
        none.accepts.remove(0);
        let printed = Blank::of(&none, told("pay"))
            .unwrap()
            .fill(&[Units::ZERO; 2]);
        assert_eq!(printed.unwrap().body, r#"{"detail":"pay"}"#);
        let long = required([Units::ZERO; 3], &"m".repeat(HEADER_BYTES_MAX));
        let filled = Blank::of(&long, told("pay"))
            .unwrap()
            .fill(&[Units::ZERO; 3]);
        assert_eq!(filled, Err(HeaderError::TooLarge));
    }
}
