//! What OpenRouter's catalogue says of one model: the answer to `GET /models/{author}/{slug}/endpoints`.
//!
//! A call may be answered by any of the endpoints behind it, so a quote must cover all of them: their prices
//! become one row that is nowhere below any endpoint's. Discounts are left out, hours of the day count at
//! their dearest, and thresholds of prompt length become tiers. A price that is absent, or that stands as
//! nothing beside prices that do not, is unpriced, never zero. Prices are read from their text.

mod covering;
mod prices;

use super::PriceRow;
use crate::money::Rate;
use covering::covering;
use prices::{Pricing, row};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// So many times the price that it was is odd.
const JUMP: u64 = 10;

/// One model, over all endpoints that may answer it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Prices that none of its endpoints is above.
    pub row: PriceRow,
    /// The longest prompt in tokens that any of them takes.
    pub context_tokens: Option<u64>,
    /// The longest output in tokens that any of them gives.
    pub output_max: Option<u64>,
    /// The request members that any of them obeys.
    pub parameters: BTreeSet<String>,
    /// How many there are.
    pub endpoints: usize,
}

/// Why an answer is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListingFault {
    /// It is not of the form that is documented.
    #[error("it is no list of endpoints: {0}")]
    Form(String),
    /// Nobody would answer.
    #[error("it has no endpoint")]
    Nobody,
    /// An endpoint's price is missing, or cannot be meant.
    #[error("the price {field:?} of its endpoint {endpoint:?} {why}")]
    Price {
        /// The endpoint's tag.
        endpoint: String,
        /// The member of its pricing.
        field: String,
        /// What is wrong with it.
        why: String,
    },
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    endpoints: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    tag: String,
    status: Option<i64>,
    context_length: Option<u64>,
    max_completion_tokens: Option<u64>,
    pricing: Pricing,
    #[serde(default)]
    supported_parameters: Vec<String>,
}

/// Reads an answer; fails when a single endpoint's prices cannot be meant, since that may answer too.
pub fn listing(json: &str) -> Result<Listing, ListingFault> {
    let answer: Answer =
        serde_json::from_str(json).map_err(|error| ListingFault::Form(error.to_string()))?;
    let (mut rows, mut items) = (Vec::new(), Vec::new());
    for item in answer.data.endpoints {
        match row(&item.pricing) {
            Ok(row) => {
                rows.push(row);
                items.push(item);
            }
            // What is out of service need not be priced.
            Err(_) if item.status.unwrap_or(0) != 0 => {}
            Err(wrong) => {
                return Err(ListingFault::Price {
                    endpoint: item.tag,
                    field: wrong.field.to_owned(),
                    why: wrong.why,
                });
            }
        }
    }
    let row = covering(&rows).ok_or(ListingFault::Nobody)?;
    // Where one of them says nothing, nothing is known of all.
    let most = |of: fn(&Item) -> Option<u64>| {
        let each: Option<Vec<u64>> = items.iter().map(of).collect();
        each.and_then(|each| each.into_iter().max())
    };
    Ok(Listing {
        row,
        context_tokens: most(|item| item.context_length),
        output_max: most(|item| item.max_completion_tokens),
        parameters: items
            .iter()
            .flat_map(|item| item.supported_parameters.iter().cloned())
            .collect(),
        endpoints: items.len(),
    })
}

impl Listing {
    /// Why a newer one is odd, so that it is read twice before it is believed; `None` when it is not.
    pub fn doubts(&self, newer: &Self) -> Option<&'static str> {
        let jumps = |old: Rate, new: Rate| {
            let (low, high) = (old.min(new).pico(), old.max(new).pico());
            high > low.saturating_mul(JUMP)
        };
        let (old, new) = (&self.row, &newer.row);
        if newer.endpoints.saturating_mul(2) < self.endpoints {
            Some("it has fewer than half of the endpoints that it had")
        } else if jumps(old.prompt, new.prompt) || jumps(old.completion, new.completion) {
            Some("its price is more than ten times what it was, or less than a tenth")
        } else {
            None
        }
    }
}
