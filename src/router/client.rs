//! The HTTP client of one upstream.

use crate::config::UpstreamConfig;
use std::time::Duration;
use thread_local::ThreadLocal;

/// One for each thread, so that a call does not wake another thread than its own to be sent: a connection is
/// looked after by the runtime that it was opened on.
#[derive(Debug)]
pub(super) struct Client {
    connect_timeout: Duration,
    clients: ThreadLocal<reqwest::Client>,
}

impl Client {
    /// Fails when a client cannot be built.
    pub(super) fn new(upstream: &UpstreamConfig) -> Result<Self, reqwest::Error> {
        let client = Self {
            connect_timeout: upstream.connect_timeout,
            clients: ThreadLocal::new(),
        };
        client.of_this_thread()?;
        Ok(client)
    }

    /// Redirects are never followed, answers never decompressed.
    pub(super) fn of_this_thread(&self) -> Result<&reqwest::Client, reqwest::Error> {
        self.clients.get_or_try(|| {
            reqwest::Client::builder()
                .connect_timeout(self.connect_timeout)
                .redirect(reqwest::redirect::Policy::none())
                .tcp_nodelay(true)
                .pool_idle_timeout(Duration::from_secs(60))
                .user_agent(concat!("groat/", env!("CARGO_PKG_VERSION")))
                .build()
        })
    }
}
