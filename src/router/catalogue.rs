//! What an upstream says of its models, as text: one request for each.

use crate::config::{Secret, UpstreamConfig};
use futures::StreamExt;
use http::{HeaderValue, StatusCode, header};
use std::time::Duration;

/// The largest answer that is read, in bytes.
const BYTES_MAX: usize = 4 << 20;

/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Reads an upstream's catalogue.
#[derive(Debug, Clone)]
pub struct Catalogue {
    client: reqwest::Client,
    base: reqwest::Url,
    key: Option<Secret>,
}

/// Why nothing was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// No connection, or not within the time.
    #[error("it cannot be reached")]
    Unreachable,
    /// Another status than success.
    #[error("it answered with status {0}")]
    Status(StatusCode),
    /// The answer is too large, or no text.
    #[error("its answer is no text of a reasonable size")]
    Unreadable,
}

impl Catalogue {
    /// The catalogue of an upstream; `None` when it has none that can be read.
    pub fn of(upstream: &UpstreamConfig) -> Option<Self> {
        if !upstream.catalogue {
            return None;
        }
        let client = reqwest::Client::builder()
            .connect_timeout(upstream.connect_timeout)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("groat/", env!("CARGO_PKG_VERSION")))
            .build();
        Some(Self {
            client: client.ok()?,
            base: upstream.base_url.parse().ok()?,
            key: upstream.keys.first().map(|key| key.secret.clone()),
        })
    }

    /// Reads `GET /models/{author}/{slug}/endpoints`.
    pub async fn read(&self, model: &str) -> Result<String, Unread> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Unread::Unreachable)?
            .pop_if_empty()
            .push("models")
            .extend(model.split('/'))
            .push("endpoints");
        let mut request = self.client.get(url);
        // Speeds are told only to those who are known.
        if let Some(key) = &self.key {
            let mut value = HeaderValue::try_from(format!("Bearer {}", key.reveal()))
                .map_err(|_| Unread::Unreachable)?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let answer = request.send().await.map_err(|_| Unread::Unreachable)?;
        if !answer.status().is_success() {
            return Err(Unread::Status(answer.status()));
        }
        let mut body = answer.bytes_stream();
        let mut bytes = Vec::new();
        while let Some(next) = body.next().await {
            bytes.extend_from_slice(&next.map_err(|_| Unread::Unreachable)?);
            if bytes.len() > BYTES_MAX {
                return Err(Unread::Unreadable);
            }
        }
        String::from_utf8(bytes).map_err(|_| Unread::Unreadable)
    }
}
