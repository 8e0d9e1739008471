//! Connections: bounded in number and in the time that headers may take, and ended in good order.

use super::Threads;
use axum::Router;
use axum::extract::Request;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt;

/// Connections open at once; more wait in the system's queue.
const CONNECTIONS_MAX: usize = 16_384;

/// How long a request's headers may take to arrive.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait when the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `routes` until `shutdown` resolves, then until the connections under way are done; the
/// caller says how long that may take by dropping this future, which ends them.
pub async fn serve(
    listener: TcpListener,
    threads: Threads,
    routes: Router,
    shutdown: impl Future<Output = ()> + Send,
) {
    let mut builder = Builder::new(threads.spread());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(HEADER_TIMEOUT));
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Some((stream, slot)) = accepted else {
            continue;
        };
        let routes = routes.clone();
        let service = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
            let answered = routes.clone().oneshot(request.map(axum::body::Body::new));
            async move { Ok::<_, Infallible>(answered.await.unwrap_or_else(|never| match never {})) }
        });
        let served = threads.serve(stream, |stream| {
            let io = TokioIo::new(stream);
            let connection = builder.serve_connection(io, TowerToHyperService::new(service));
            let connection = graceful.watch(connection.into_owned());
            async move {
                if let Err(error) = connection.await {
                    tracing::debug!(error, "a connection broke");
                }
                drop(slot);
            }
        });
        if let Err(error) = served {
            tracing::warn!(%error, "a connection could not be taken over");
        }
    }
    drop(listener);
    graceful.shutdown().await;
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // Without this a stream's chunks wait for the peer's delayed acknowledgements.
            let _ = stream.set_nodelay(true);
            Some((stream, slot))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}
