//! The provider simulator behind `groat sim`: an LLM API with a true prefix cache, every usage
//! dialect and scripted faults. It imports nothing from the rest of the crate, so that a mistake in
//! how we read providers cannot hide behind the same mistake in how they are played.

mod answer;
mod anthropic;
mod calls;
mod catalogue;
mod completion;
mod completions;
mod config;
mod delivery;
mod dialect;
mod embeddings;
mod model;
mod openai;
mod prefix_cache;
mod prompt;
mod refusal;
mod responses;
mod routes;
mod usage;

pub use calls::{CallRecord, SimStats};
pub use config::{Behaviour, CacheMode, CachedSpelling, CostTold, SimConfig, SimKey};
pub use dialect::{Dialect, UnknownDialect};
pub use model::ModelNameError;

use std::future::Future;
use std::io;
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio_util::sync::CancellationToken;

/// How long connections may take to end once the simulator was told to stop.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// The simulator as an axum router, with its own empty cache and call record.
pub fn router(config: SimConfig) -> axum::Router {
    routes::router(config, CancellationToken::new())
}

/// Serves the simulator until `shutdown` resolves; hanging and slow answers are cut off then.
pub async fn serve(
    listener: tokio::net::TcpListener,
    config: SimConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let closing = CancellationToken::new();
    let app = routes::router(config, closing.clone());
    // Without this a stream's chunks wait for the peer's delayed acknowledgements.
    let listener = listener.tap_io(|socket| {
        let _ = socket.set_nodelay(true);
    });
    let stopping = closing.clone();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        shutdown.await;
        stopping.cancel();
    });
    tokio::select! {
        ended = async { server.await } => ended,
        () = async { closing.cancelled().await; tokio::time::sleep(DRAIN_MAX).await } => Ok(()),
    }
}

#[cfg(test)]
mod tests;
