use super::UpstreamFailure;
use super::headers::passable_answer_headers;
use crate::config::{ModelConfig, Secret, UpstreamConfig};
use crate::metering::{Dialect, Route};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

/// The headers of Anthropic's Messages, and the version of callers that name none.
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const ANTHROPIC_VERSION_DEFAULT: HeaderValue = HeaderValue::from_static("2023-06-01");

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
    /// Where it answers its routes; one that is no URL is reached by no call.
    urls: BTreeMap<Route, reqwest::Url>,
    /// Whether its messages take the key as Anthropic's do.
    key_of_anthropic: bool,
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
            urls: upstream
                .routes
                .iter()
                .filter_map(|(route, url)| Some((*route, url.parse().ok()?)))
                .collect(),
            key_of_anthropic: upstream.dialect == Dialect::Anthropic,
            key: upstream.key.clone(),
            first_byte_timeout: upstream.first_byte_timeout,
            idle_timeout: upstream.idle_timeout,
        }
    }

    /// The id the upstream knows the model by.
    pub fn upstream_id(&self) -> &str {
        self.model.upstream_id.as_deref().unwrap_or(&self.model.id)
    }

    /// Whether the model answers on a route.
    pub fn speaks(&self, route: Route) -> bool {
        self.model.routes.contains(&route)
    }

    /// The name of its price row in offers of a route, which no other route's offer bears.
    pub fn price_row_on(&self, route: Route) -> Cow<'_, str> {
        match route {
            Route::Chat => Cow::Borrowed(&self.price_row),
            _ => Cow::Owned(format!("{}.{route}", self.price_row)),
        }
    }

    /// Sends a body to a route and waits for the head of the answer.
    ///
    /// Fails with the reason when nothing usable came: then no byte has reached the caller.
    pub async fn send(
        &self,
        route: Route,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<UpstreamAnswer, UpstreamFailure> {
        let url = self.urls.get(&route).cloned();
        let url = url.ok_or(UpstreamFailure::Unreachable)?;
        let named = headers.contains_key(ANTHROPIC_VERSION);
        let mut request = self.client.post(url).headers(headers).body(body);
        request = request
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT_ENCODING, "identity");
        if route == Route::Messages && !named {
            request = request.header(ANTHROPIC_VERSION, ANTHROPIC_VERSION_DEFAULT);
        }
        if let Some((name, value)) = self.credential(route)? {
            request = request.header(name, value);
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

    /// The header that carries the key.
    fn credential(
        &self,
        route: Route,
    ) -> Result<Option<(HeaderName, HeaderValue)>, UpstreamFailure> {
        let Some(key) = &self.key else {
            return Ok(None);
        };
        let (name, text) = match route {
            Route::Messages if self.key_of_anthropic => (X_API_KEY, key.reveal().to_owned()),
            _ => (header::AUTHORIZATION, format!("Bearer {}", key.reveal())),
        };
        let mut value = HeaderValue::try_from(text).map_err(|_| UpstreamFailure::Unreachable)?;
        value.set_sensitive(true);
        Ok(Some((name, value)))
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
