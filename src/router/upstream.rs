use super::UpstreamFailure;
use super::client::Client;
use super::headers::passable_answer_headers;
use super::paid::{Buyers, Paid, Purchase};
use crate::config::{Affinity, ProviderCard, Secret, UpstreamConfig, UpstreamKey};
use crate::metering::{Dialect, Route};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

/// The headers of Anthropic's Messages, and the version of callers that name none.
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const ANTHROPIC_VERSION_DEFAULT: HeaderValue = HeaderValue::from_static("2023-06-01");

/// The largest body of an upstream's refusal that is read, in bytes.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// One provider or router: where it is, by which keys it knows us, how long it may take.
#[derive(Debug)]
pub struct Upstream {
    /// Tells it from all others, after a restart as well.
    pub id: u64,
    /// Its name in the configuration.
    pub name: String,
    /// What is told of it.
    pub card: ProviderCard,
    /// Where it stands, when that is known.
    pub region: Option<String>,
    /// Whether it retains nothing of a call.
    pub zdr: bool,
    /// Whether it may use what it is sent for itself.
    pub collects_data: bool,
    /// How it is told which conversation a call belongs to.
    pub affinity: Affinity,
    /// How long its cache remembers a prompt at the longest.
    pub cache_ttl: Duration,
    /// Whether what it says that a call cost is billed, in place of tokens times prices.
    pub bill_reported_cost: bool,
    /// How long a whole call may take.
    pub call_timeout: Duration,
    /// How long the first token of a stream may take.
    pub first_token_timeout: Duration,
    /// The accounts that calls can be made on; never empty.
    pub accounts: Vec<Account>,
    /// How it is paid, where its calls are bought.
    pub(super) paid: Option<Paid>,
    client: Client,
    urls: BTreeMap<Route, reqwest::Url>,
    /// Whether its messages take the key as Anthropic's do.
    key_of_anthropic: bool,
    pub(super) first_byte_timeout: Duration,
    idle_timeout: Duration,
}

/// One of an upstream's keys, or the lack of one.
#[derive(Debug)]
pub struct Account {
    /// Names the key without telling it: the same after a restart and in any order of keys.
    pub id: u64,
    /// Its share of new conversations.
    pub weight: u64,
    secret: Option<Secret>,
}

/// The head of a good answer, and its body as it comes.
pub struct UpstreamAnswer {
    /// The headers that may go to the caller.
    pub headers: HeaderMap,
    /// Whether the body is an event stream.
    pub is_event_stream: bool,
    /// The body; it ends with a failure when the upstream stops before its end.
    pub body: BoxStream<'static, Result<Bytes, UpstreamFailure>>,
    /// The receipt that is due, where it was paid for.
    pub purchase: Option<Purchase>,
}

impl std::fmt::Debug for UpstreamAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamAnswer")
            .field("headers", &self.headers)
            .field("is_event_stream", &self.is_event_stream)
            .finish_non_exhaustive()
    }
}

impl Upstream {
    pub(super) fn new(config: &UpstreamConfig, buyers: &Buyers) -> Result<Self, reqwest::Error> {
        let mut accounts: Vec<Account> = config.keys.iter().map(Account::of).collect();
        if accounts.is_empty() {
            accounts.push(Account::NONE);
        }
        Ok(Self {
            id: stable_id(&[&config.name]),
            name: config.name.clone(),
            card: config.card.clone(),
            region: config.region.clone(),
            zdr: config.zdr,
            collects_data: config.collects_data,
            affinity: config.affinity,
            cache_ttl: config.cache_ttl,
            bill_reported_cost: config.bill_reported_cost,
            call_timeout: config.call_timeout,
            first_token_timeout: config.first_token_timeout,
            accounts,
            paid: config.pay.as_ref().map(|pay| Paid {
                call_max: pay.call_max,
                budget: pay.budget,
                buyer: buyers.of(&config.name),
                receipts: format!("{}/receipts/", config.base_url).parse().ok(),
            }),
            client: Client::new(config)?,
            // What is no URL is no route, which no call can reach then.
            urls: config
                .routes
                .iter()
                .filter_map(|(route, url)| Some((*route, url.parse().ok()?)))
                .collect(),
            key_of_anthropic: config.dialect == Dialect::Anthropic,
            first_byte_timeout: config.first_byte_timeout,
            idle_timeout: config.idle_timeout,
        })
    }

    /// Sends a body to a route and waits for the head of the answer.
    ///
    /// Fails with the reason when nothing usable came: then no byte has reached the caller.
    pub async fn send(
        &self,
        route: Route,
        account: &Account,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<UpstreamAnswer, UpstreamFailure> {
        let url = self.url(route).ok_or(UpstreamFailure::Unreachable)?;
        let headers = self.own_headers(route, headers);
        let client = self.client()?;
        let mut request = client.post(url).headers(headers).body(body);
        if let Some((name, value)) = self.credential(route, account)? {
            request = request.header(name, value);
        }
        let answer = timeout(self.first_byte_timeout, request.send())
            .await
            .map_err(|_| UpstreamFailure::TimedOut)?
            .map_err(|error| UpstreamFailure::of(&error))?;
        self.answered(answer).await
    }

    /// What this thread sends by.
    pub(super) fn client(&self) -> Result<&reqwest::Client, UpstreamFailure> {
        let client = self.client.of_this_thread();
        client.map_err(|error| UpstreamFailure::of(&error))
    }

    /// Where it answers a route.
    pub(super) fn url(&self, route: Route) -> Option<reqwest::Url> {
        self.urls.get(&route).cloned()
    }

    /// The caller's headers, and those that every call has.
    pub(super) fn own_headers(&self, route: Route, mut headers: HeaderMap) -> HeaderMap {
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        let identity = HeaderValue::from_static("identity");
        headers.insert(header::ACCEPT_ENCODING, identity);
        if route == Route::Messages {
            let version = headers.entry(ANTHROPIC_VERSION);
            version.or_insert(ANTHROPIC_VERSION_DEFAULT);
        }
        headers
    }

    /// The head of an answer, if it is a good one.
    pub(super) async fn answered(
        &self,
        answer: reqwest::Response,
    ) -> Result<UpstreamAnswer, UpstreamFailure> {
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
            purchase: None,
        })
    }

    /// The header that carries the key.
    fn credential(
        &self,
        route: Route,
        account: &Account,
    ) -> Result<Option<(HeaderName, HeaderValue)>, UpstreamFailure> {
        let Some(key) = &account.secret else {
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

impl Account {
    const NONE: Self = Self {
        id: 0,
        weight: 1,
        secret: None,
    };

    fn of(key: &UpstreamKey) -> Self {
        Self {
            id: stable_id(&["account", key.secret.reveal()]),
            weight: key.weight,
            secret: Some(key.secret.clone()),
        }
    }
}

/// A number for a name, the same at every start.
pub(super) fn stable_id(parts: &[&str]) -> u64 {
    let hash = Sha256::digest(parts.join("\0"));
    let first = hash.first_chunk();
    first.map_or(0, |first| u64::from_be_bytes(*first))
}
