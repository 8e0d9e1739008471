//! The Machine Payments Protocol over HTTP: the authentication scheme `Payment` on status 402
//! (draft-ietf-httpauth-payment), and its method `evm` with the intent `charge`.
//!
//! A challenge is sealed by an HMAC over its own parameters, so that a credential, which echoes all of
//! it, can be known as ours without anything being kept: what is unpaid has no side effect.

mod accept;
mod challenge;
mod credential;
mod digest;
pub mod evm;
mod issuer;
mod keys;
mod problem;
mod receipt;
mod refused;
mod request;
pub mod session;
mod syntax;
pub mod tempo;

pub use accept::Preferences;
pub use challenge::Challenge;
pub use credential::{Credential, find};
pub use digest::{body_digest, is_digest_of};
pub use issuer::{Bound, Issuer, Opened};
pub use keys::{KEY_BYTES_MIN, Keys, WeakKey};
pub use problem::Problem;
pub use receipt::Receipt;
pub use refused::Refused;
pub use syntax::SyntaxError;

/// The authentication scheme.
pub const SCHEME: &str = "Payment";
/// The response header with challenges.
pub const WWW_AUTHENTICATE: &str = "www-authenticate";
/// The request header with a credential, for callers whose `Authorization` says something else.
pub const PAYMENT_AUTHORIZATION: &str = "payment-authorization";
/// The header of a paid answer.
pub const PAYMENT_RECEIPT: &str = "payment-receipt";
/// The request header that says what its sender can pay by.
pub const ACCEPT_PAYMENT: &str = "accept-payment";
/// The media type of an error (RFC 9457).
pub const PROBLEM_JSON: &str = "application/problem+json";

#[cfg(test)]
mod tests;
