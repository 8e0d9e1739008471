//! Wire formats and typed-data signatures: read, written and checked without sockets, clock or
//! randomness; whoever calls passes the time in.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

pub mod addresses;
pub mod channel;
mod decimal;
pub mod eip3009;
pub mod eip712;
mod fields;
mod header;
pub mod mpp;
mod network;
pub mod payment_identifier;
pub mod permit2;
pub mod receipt;
mod refusal;
pub mod signature;
pub mod siwx;
pub mod x402;

pub use header::{HEADER_BYTES_MAX, HeaderError};
pub use network::Network;
pub use refusal::Refusal;

#[cfg(test)]
mod tests;
