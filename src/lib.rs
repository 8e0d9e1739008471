//! Groat: a payment proxy for LLMs. It answers an unpaid request with 402, takes a signed stablecoin
//! payment for it, forwards the body byte for byte, and bills what the call really used, with the
//! provider's cache discount on a signed receipt.
//!
//! The modules are layers and imports point down; `ARCHITECTURE.md` has the map and the rules.

pub mod buying;
pub mod call;
pub mod chain;
pub mod cli;
pub mod clock;
pub mod config;
mod failpoint;
pub mod gateway;
pub mod json;
pub mod ledger;
pub mod metering;
pub mod money;
pub mod payment;
pub mod pricing;
pub mod protocol;
pub mod router;
pub mod sim;
pub mod stats;
pub mod wallet;
