use super::UpstreamFailure;
use super::headers::passable_answer_headers;
use crate::config::{ModelConfig, Secret, UpstreamConfig};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use http::{HeaderMap, HeaderValue, header};
use std::time::Duration;
use tokio::time::timeout;

/// The largest body of an upstream's refusal that is read, in bytes.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// One model at one upstream: where it is, what it costs, how it counts.
#[derive(Debug)]
pub struct Endpoint {
    /// The model as configured: ids, limits, price row.
    pub model: ModelConfig,
    /// The name of its price row in offers: the beginning of the row's hash, in hexadecimal.
    pub price_row: String,
    /// The upstream's name.
    pub upstream: String,
    /// How long a whole call may take.
    pub call_timeout: Duration,
    client: reqwest::Client,
    /// `None` when it is no URL, which no call can reach then.
    url: Option<reqwest::Url>,
    key: Option<Secret>,
    first_byte_timeout: Duration,
    idle_timeout: Duration,
}

/// The head of a good answer, and its body as it comes.
pub struct UpstreamAnswer {
    /// The headers that may go to the caller.
    pub headers: HeaderMap,
    /// Whether the body is an event stream.
    pub is_event_stream: bool,
    /// The body; it ends with a failure when the upstream stops before its end.
    pub body: BoxStream<'static, Result<Bytes, UpstreamFailure>>,
}

impl std::fmt::Debug for UpstreamAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamAnswer")
            .field("headers", &self.headers)
            .field("is_event_stream", &self.is_event_stream)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    pub(super) fn new(
        client: reqwest::Client,
        upstream: &UpstreamConfig,
        model: &ModelConfig,
    ) -> Self {
        let hash = model.price.sha256();
        Self {
            model: model.clone(),
            price_row: hex::encode(hash.first_chunk::<8>().unwrap_or(&[0; 8])),
            upstream: upstream.name.clone(),
            call_timeout: upstream.call_timeout,
            client,
            url: format!("{}/chat/completions", upstream.base_url)
                .parse()
                .ok(),
            key: upstream.key.clone(),
            first_byte_timeout: upstream.first_byte_timeout,
            idle_timeout: upstream.idle_timeout,
        }
    }

    /// The id the upstream knows the model by.
    pub fn upstream_id(&self) -> &str {
        self.model.upstream_id.as_deref().unwrap_or(&self.model.id)
    }

    /// Sends a body and waits for the head of the answer.
    ///
    /// Fails with the reason when nothing usable came: then no byte has reached the caller.
    pub async fn send(
        &self,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<UpstreamAnswer, UpstreamFailure> {
        let url = self.url.clone().ok_or(UpstreamFailure::Unreachable)?;
        let mut request = self.client.post(url).headers(headers).body(body);
        request = request
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT_ENCODING, "identity");
        if let Some(key) = &self.key {
            let mut value = HeaderValue::try_from(format!("Bearer {}", key.reveal()))
                .map_err(|_| UpstreamFailure::Unreachable)?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let answer = timeout(self.first_byte_timeout, request.send())
            .await
            .map_err(|_| UpstreamFailure::TimedOut)?
            .map_err(|error| UpstreamFailure::of(&error))?;
        if !answer.status().is_success() {
            return Err(self.refusal(answer).await);
        }
        let content_type = answer.headers().get(header::CONTENT_TYPE);
        let is_event_stream = content_type
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.trim_start().starts_with("text/event-stream"));
        Ok(UpstreamAnswer {
            headers: passable_answer_headers(answer.headers()),
            is_event_stream,
            body: self.bounded(answer),
        })
    }

    fn bounded(
        &self,
        answer: reqwest::Response,
    ) -> BoxStream<'static, Result<Bytes, UpstreamFailure>> {
        let idle = self.idle_timeout;
        let body = answer
            .bytes_stream()
            .map_err(|error| UpstreamFailure::of(&error))
            .boxed();
        futures::stream::unfold(Some(body), move |body| async move {
            let mut body = body?;
            match timeout(idle, body.next()).await {
                Ok(None) => None,
                Ok(Some(Ok(bytes))) => Some((Ok(bytes), Some(body))),
                Ok(Some(Err(failure))) => Some((Err(failure), None)),
                Err(_) => Some((Err(UpstreamFailure::TimedOut), None)),
            }
        })
        .boxed()
    }

    async fn refusal(&self, answer: reqwest::Response) -> UpstreamFailure {
        let status = answer.status();
        let retry_after = answer.headers().get(header::RETRY_AFTER).cloned();
        let mut body = self.bounded(answer);
        let mut text = Vec::new();
        while let Some(Ok(bytes)) = body.next().await {
            text.extend_from_slice(&bytes);
            if text.len() > REFUSAL_BYTES_MAX {
                text.clear();
                break;
            }
        }
        UpstreamFailure::Refused {
            status,
            retry_after,
            body: text.into(),
        }
    }
}

/// The HTTP client of one upstream: redirects are never followed, answers never decompressed.
pub(super) fn client(upstream: &UpstreamConfig) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .connect_timeout(upstream.connect_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .tcp_nodelay(true)
        .pool_idle_timeout(Duration::from_secs(60))
        .user_agent(concat!("groat/", env!("CARGO_PKG_VERSION")))
        .build()
}
