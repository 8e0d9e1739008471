use super::Failure;
use std::time::Duration;

/// The commands' own HTTP client: it gives up on what does not connect and follows no redirect, so
/// that a payment or a token goes nowhere but where it was sent.
pub(super) fn client() -> Result<reqwest::Client, Failure> {
    let builder = reqwest::Client::builder().connect_timeout(Duration::from_secs(10));
    builder
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(Failure::other)
}
