//! MPP beside x402: one 402 for both, one settlement, one charge.

mod clients;
mod conformance;
mod copies;
mod discovery;
mod flows;
mod paying;
mod wallet;

pub(crate) use wallet::challenges;
use wallet::{credential, pay};
