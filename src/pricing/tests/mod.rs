#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

mod bill;
mod corpus;
mod cost;
mod import;
mod openrouter;
mod properties;
mod quote;
mod row;
mod shape;
mod tokens;

use super::*;
use crate::money::Rate;

/// DeepSeek V3.2's prices with a made-up long-context tier, as configuration writes them.
const ROW: &str = r#"
prompt = "0.28"
completion = "0.40"
cache_read = "0.028"
cache_write_5m = "0.35"
reasoning = "0.50"
request = "0.001"

[[tier]]
above_prompt_tokens = 1000
prompt = "0.56"
cache_read = "0.056"
"#;

fn text(toml: &str) -> PriceText {
    toml::from_str(toml).unwrap()
}

fn row() -> PriceRow {
    text(ROW).parse().unwrap()
}

fn rate(pico: u64) -> Rate {
    Rate::from_pico(pico)
}
