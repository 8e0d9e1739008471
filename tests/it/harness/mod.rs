//! What the tests stand on: a chain, a scripted provider, the built gateway, and a payer.

mod books;
mod dev;
mod forge;
mod gateway;
mod payer;
mod stack;
mod tool;

pub(crate) use books::reconciled;
pub(crate) use dev::{Dev, descendants, ended, gone, groat, http, printed};
pub(crate) use forge::{encoded, payload, total};
pub(crate) use gateway::Gateway;
pub(crate) use payer::{Answer, Payer, chat};
pub(crate) use stack::{PRICE, Setup, Stack};
pub(crate) use tool::tool;

use std::time::Duration;

/// How long a test waits for an event that must come; far beyond what a loaded machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `event` gives something, asking again as fast as it answers.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut event: impl FnMut() -> F,
) -> T {
    let asked = async {
        loop {
            if let Some(found) = event().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, asked).await;
    found.unwrap_or_else(|_| panic!("{what}: did not happen within {PATIENCE:?}"))
}
