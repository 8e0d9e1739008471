//! x402 over HTTP, versions 1 and 2: what a 402 offers, what a client sends, what a paid answer
//! carries (x402 specification v2 §5 and its HTTP transport).

mod blank;
mod credential;
mod matching;
mod v1;
mod v2;

pub use blank::{Blank, Printed};
pub use credential::{Credential, Payload, Version, decode_payment};
pub use matching::{check_echo, offer_matches};
pub use v1::{BodyV1, PaymentRequiredV1, RequirementsV1, payment_header_v1};
pub use v2::{
    Extensions, PaymentPayload, PaymentRequired, Requirements, ResourceInfo, SettleResponse,
};

/// The 402 response header with the offers, version 2.
pub const PAYMENT_REQUIRED: &str = "payment-required";
/// The request header with the payment, version 2.
pub const PAYMENT_SIGNATURE: &str = "payment-signature";
/// The response header with the settlement, version 2.
pub const PAYMENT_RESPONSE: &str = "payment-response";
/// The request header with the payment, version 1.
pub const X_PAYMENT: &str = "x-payment";
/// The response header with the settlement, version 1.
pub const X_PAYMENT_RESPONSE: &str = "x-payment-response";
/// The scheme of a fixed amount, signed and settled once.
pub const EXACT: &str = "exact";
/// The scheme of channels: many calls, one deposit.
pub const BATCH_SETTLEMENT: &str = "batch-settlement";
