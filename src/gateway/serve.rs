use super::App;
use std::future::Future;
use tokio::net::TcpListener;

/// Serves the gateway until `shutdown` resolves; connections under way are finished by then or cut
/// when the process ends, and their calls go on without them.
pub async fn serve(
    listener: TcpListener,
    app: App,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, app.routes())
        .with_graceful_shutdown(shutdown)
        .await
}
