//! Payment channels, x402's `batch-settlement` on EVM chains: what a client deposits and signs,
//! the checks of it that need no chain, the rule by which vouchers are taken, and what answers
//! say (x402 scheme_batch_settlement_evm).
//!
//! A channel is a deposit in a contract. Each call is paid by a voucher, the payer's word that so
//! much may be claimed in all; the receiver claims what was charged, many calls at a time.

mod accept;
mod answer;
mod client;
mod config;
mod deposit;
mod parse;
mod payload;
mod refused;
mod typed;
mod voucher;

pub use accept::{
    Accepted, Account, ReportedCharge, Rule, Unfit, accept, accept_refund, refundable, report,
};
pub use answer::{ChannelState, correct, paid_extra, refund_body, refund_extra};
pub use client::{Book, Next, ReportError};
pub use config::{
    ChannelConfig, Domain, Method, Terms, WITHDRAW_DELAY_SECONDS_MAX, WITHDRAW_DELAY_SECONDS_MIN,
    check_config, offer_extra,
};
pub use deposit::{
    Authorization, Deposit, Erc3009, Permit2, check_deposit, check_deposit_signature, check_permit,
    deposit_digest, erc3009_nonce, signed_erc3009, signed_permit2,
};
pub use parse::parse_payload;
pub use payload::Payload;
pub use refused::Refused;
pub use voucher::{
    ClaimEntry, Voucher, check_voucher, claim_batch_digest, refund_digest, signed_voucher,
    voucher_digest,
};

#[cfg(test)]
mod tests;
