//! The sections about who answers: `[[upstream]]`, its keys and its models.

use super::Secret;
use super::affinity::{Affinity, cache_ttl};
use super::card::{ModelCard, ProviderCard};
use super::pay::PayConfig;
use super::reader::{Mistake, Reader};
use super::sections::http_url;
use super::{UnpricedModel, template};
use crate::metering::{Dialect, Route};
use crate::pricing::litellm::{self, ImportedRow};
use crate::pricing::{PriceRow, PriceText, Tokenizer, lint};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a model's weights can be stored in, by OpenRouter's names.
pub const QUANTIZATIONS: [&str; 12] = [
    "int4", "int8", "fp4", "mxfp4", "nvfp4", "fp6", "fp8", "mxfp8", "fp16", "bf16", "fp32",
    "unknown",
];

/// One provider or router that calls are forwarded to (`[[upstream]]`).
#[derive(Debug, Clone)]
pub struct UpstreamConfig {
    /// Its name in receipts and metrics.
    pub name: String,
    /// Its base URL, up to and including `/v1`.
    pub base_url: String,
    /// How it reports usage.
    pub dialect: Dialect,
    /// The routes it speaks itself, and where.
    pub routes: BTreeMap<Route, String>,
    /// Its API keys: sent as bearer tokens, to Anthropic's Messages as it asks for; none for an upstream
    /// that takes calls without.
    pub keys: Vec<UpstreamKey>,
    /// How it is paid, where it is paid for each call.
    pub pay: Option<PayConfig>,
    /// What is told of it.
    pub card: ProviderCard,
    /// Where it stands, as callers may ask for it (`eu`, `us-east5`).
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
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long the head of an answer may take.
    pub first_byte_timeout: Duration,
    /// How long the first token of a stream may take.
    pub first_token_timeout: Duration,
    /// How long a stream may be silent.
    pub idle_timeout: Duration,
    /// How long a whole call may take.
    pub call_timeout: Duration,
    /// Whether it says itself what its models cost.
    pub catalogue: bool,
    /// The models it serves.
    pub models: Vec<ModelConfig>,
    /// The models it serves at what its catalogue says.
    pub unpriced: Vec<UnpricedModel>,
}

/// One of an upstream's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamKey {
    /// The key.
    pub secret: Secret,
    /// Its share of new conversations, beside the other keys' weights.
    pub weight: u64,
}

impl UpstreamConfig {
    pub(super) fn read_all(readers: Vec<Reader<'_>>, mistakes: &mut Vec<Mistake>) -> Vec<Self> {
        readers
            .into_iter()
            .map(|r| Self::read(r, mistakes))
            .collect()
    }

    fn read(mut r: Reader<'_>, mistakes: &mut Vec<Mistake>) -> Self {
        template::fill(&mut r);
        let base_url = http_url(&mut r, "base_url").unwrap_or_default();
        if base_url.is_empty() {
            r.wrong(
                "base_url",
                "is required, for example base_url = \"https://api.deepseek.com/v1\", or template = \"deepseek\"",
            );
        }
        let base_url = base_url.trim_end_matches('/').to_owned();
        let dialect = r.parsed(
            "dialect",
            Dialect::OpenAi,
            "a usage dialect such as \"openai\" or \"deepseek\"",
        );
        let routes = urls(&mut r, &base_url, mistakes);
        let millis = |r: &mut Reader<'_>, key: &str, default: u64| {
            Duration::from_millis(r.number(key, default, 1..=3_600_000))
        };
        let name = r.required_text("name", "deepseek");
        let zdr = r.flag("zdr", false);
        let catalogue = r.flag("catalogue", false);
        let above = Above {
            upstream: name.clone(),
            dialect,
            routes: routes.clone(),
            cancel_abandoned: r.flag("cancel_abandoned", false),
        };
        let listed = r.tables("model");
        if listed.is_empty() {
            r.wrong("model", "at least one [[upstream.model]] is required");
        }
        let (unpriced, priced): (Vec<_>, Vec<_>) = listed
            .into_iter()
            .partition(|model| catalogue && !model.has("price") && !model.has("litellm"));
        let config = Self {
            dialect,
            keys: keys(&mut r, mistakes),
            pay: PayConfig::read(&mut r, mistakes),
            card: ProviderCard::read(&mut r),
            region: r.text("region"),
            zdr,
            collects_data: collects_data(&mut r, zdr),
            affinity: r.parsed(
                "affinity",
                Affinity::of(dialect, &base_url),
                "\"none\", \"session_id\", \"prompt_cache_key\", \"x-grok-conv-id\" or \"x-session-affinity\"",
            ),
            cache_ttl: Duration::from_secs(r.number(
                "cache_ttl_seconds",
                cache_ttl(dialect).as_secs(),
                1..=2_592_000,
            )),
            bill_reported_cost: bill_reported_cost(&mut r, dialect),
            connect_timeout: millis(&mut r, "connect_timeout_ms", 5_000),
            first_byte_timeout: millis(&mut r, "first_byte_timeout_ms", 120_000),
            first_token_timeout: millis(&mut r, "first_token_timeout_ms", 120_000),
            idle_timeout: millis(&mut r, "idle_timeout_ms", 60_000),
            call_timeout: millis(&mut r, "call_timeout_ms", 600_000),
            catalogue,
            models: priced
                .into_iter()
                .filter_map(|model| ModelConfig::read(model, &above, None, mistakes))
                .collect(),
            unpriced: unpriced
                .into_iter()
                .filter_map(|model| UnpricedModel::read(model, &above, mistakes))
                .collect(),
            name,
            base_url,
            routes,
        };
        if config.pay.is_some() && !config.keys.is_empty() {
            r.wrong(
                "pay",
                "must not stand beside a key: an upstream knows us by one or is paid by the other",
            );
        }
        mistakes.extend(r.finish());
        config
    }

    /// The ids, tags and aliases of all its models.
    fn names(&self) -> impl Iterator<Item = (&String, &String, &Vec<String>)> {
        let priced = self.models.iter().map(|m| (&m.id, &m.tag, &m.aliases));
        priced.chain(self.unpriced.iter().map(|m| (&m.id, &m.tag, &m.aliases)))
    }
}

/// `key` for one key, `keys` for a pool of them.
fn keys(r: &mut Reader<'_>, mistakes: &mut Vec<Mistake>) -> Vec<UpstreamKey> {
    // A pool goes before the one key that a template names.
    let one = match r.has("keys") {
        true => r.take("key").and(None),
        false => r.secret("key"),
    };
    let one = one.map(|secret| UpstreamKey { secret, weight: 1 });
    let pool = r.tables("keys").into_iter().filter_map(|mut r| {
        let secret = r.own_secret();
        let weight = r.number("weight", 1, 1..=1_000_000);
        mistakes.extend(r.finish());
        Some(UpstreamKey {
            secret: secret?,
            weight,
        })
    });
    let pool: Vec<UpstreamKey> = pool.collect();
    let distinct: BTreeSet<&str> = pool.iter().map(|key| key.secret.reveal()).collect();
    if distinct.len() < pool.len() {
        r.wrong("keys", "a key stands twice");
    }
    one.into_iter().chain(pool).collect()
}

fn bill_reported_cost(r: &mut Reader<'_>, dialect: Dialect) -> bool {
    let wanted = r.flag("bill_reported_cost", false);
    if wanted && !dialect.reports_cost() {
        r.wrong(
            "bill_reported_cost",
            format!("a provider of the dialect {dialect} does not say what a call cost"),
        );
    }
    wanted
}

/// What nobody says is not promised, so the default is that it does.
fn collects_data(r: &mut Reader<'_>, zdr: bool) -> bool {
    match r.text("data_collection").as_deref() {
        None => !zdr,
        Some("deny") => false,
        Some("allow") if !zdr => true,
        Some("allow") => {
            r.wrong("data_collection", "must be \"deny\" where zdr is true");
            false
        }
        Some(_) => {
            r.wrong("data_collection", "must be \"allow\" or \"deny\"");
            true
        }
    }
}

/// One model at one upstream (`[[upstream.model]]`): an endpoint.
#[derive(Debug, Clone)]
pub struct ModelConfig {
    /// The id that callers ask for.
    pub id: String,
    /// What is told of it.
    pub card: ModelCard,
    /// Other names that callers may ask for it by.
    pub aliases: Vec<String>,
    /// The id that the upstream knows it by, when it is another.
    pub upstream_id: Option<String>,
    /// The endpoint's slug (`deepinfra/fp4`), by which callers and receipts name it; by default the
    /// upstream's name. No two endpoints of one model have the same.
    pub tag: String,
    /// What its weights are stored in, one of [`QUANTIZATIONS`].
    pub quantization: String,
    /// The request members that it is known to obey, beside those that every endpoint does.
    pub parameters: BTreeSet<String>,
    /// The routes it answers on.
    pub routes: BTreeSet<Route>,
    /// How this model reports usage.
    pub dialect: Dialect,
    /// Its context length in tokens, when known.
    pub context_tokens: Option<u64>,
    /// The output cap in tokens that is imposed when the caller names none.
    pub output_cap: u64,
    /// The largest output in tokens that a caller may ask for.
    pub output_max: u64,
    /// How prompt tokens are bounded in a quote.
    pub tokenizer: Tokenizer,
    /// Whether a stream that nobody listens to any more is cancelled: its provider must bill no more of it
    /// then, and nothing that it did not deliver.
    pub cancel_abandoned: bool,
    /// What its tokens cost.
    pub price: PriceRow,
}

/// What a model has from its upstream where it says nothing itself.
#[derive(Debug, Clone)]
pub(super) struct Above {
    upstream: String,
    dialect: Dialect,
    routes: BTreeMap<Route, String>,
    cancel_abandoned: bool,
}

impl ModelConfig {
    /// `None` for a model without a good price, which the mistakes then name; `imported` is what is known of
    /// it from elsewhere.
    pub(super) fn read(
        mut r: Reader<'_>,
        above: &Above,
        imported: Option<ImportedRow>,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Self> {
        let listed = imported.or_else(|| listed(&mut r));
        let price = match &listed {
            Some(listed) if !r.has("price") => Some(listed.row.clone()),
            None if r.has("litellm") && !r.has("price") => None,
            _ => price(&mut r),
        };
        let context = listed.as_ref().and_then(|row| row.context_tokens);
        let context = r.number("context_tokens", context.unwrap_or(0), 0..=1 << 40);
        let output_cap = r.number("output_cap", 1024, 1..=1 << 32);
        let id = r.required_text("id", "deepseek/deepseek-v3.2");
        let upstream_id = r.text("upstream_id");
        let dialect = r.parsed(
            "dialect",
            above.dialect,
            "a usage dialect such as \"openai\"",
        );
        let routes = match routes(&mut r) {
            Some(routes) => routes,
            None => above.routes.keys().copied().collect(),
        };
        if let Some(route) = routes
            .iter()
            .find(|route| !above.routes.contains_key(route))
        {
            r.wrong(
                "routes",
                format!(
                    "the upstream's own routes do not have {route:?}",
                    route = route.name()
                ),
            );
        }
        let output_max = listed.and_then(|row| row.max_output_tokens).unwrap_or(8192);
        let output_max = r.number("output_max", output_cap.max(output_max), 1..=1 << 32);
        let tokenizer = r.parsed(
            "tokenizer",
            Tokenizer::Bytes,
            "\"bytes\", \"o200k_base\" or \"cl100k_base\"",
        );
        if output_cap > output_max {
            r.wrong("output_cap", "must not be above output_max");
        }
        let tag = r.text("tag").unwrap_or_else(|| above.upstream.clone());
        let quantization = quantization(&mut r);
        let aliases = r.texts("aliases").unwrap_or_default();
        let parameters = r.texts("supported_parameters").unwrap_or_default();
        let card = ModelCard::read(&mut r);
        let cancel_abandoned = r.flag("cancel_abandoned", above.cancel_abandoned);
        mistakes.extend(r.finish());
        Some(Self {
            id,
            card,
            aliases,
            upstream_id,
            routes,
            tag,
            quantization,
            parameters: parameters.into_iter().collect(),
            dialect,
            context_tokens: (context > 0).then_some(context),
            output_cap,
            output_max,
            tokenizer,
            cancel_abandoned,
            price: price?,
        })
    }
}

/// The routes that `routes` names; `None` when it is absent.
fn routes(r: &mut Reader<'_>) -> Option<BTreeSet<Route>> {
    let names = r.texts("routes")?;
    let read: Result<BTreeSet<Route>, _> = names.iter().map(|name| name.parse()).collect();
    if read.as_ref().map_or(true, BTreeSet::is_empty) {
        let known: Vec<&str> = Route::ALL.iter().map(|route| route.name()).collect();
        r.wrong(
            "routes",
            format!("must be a list of some of {}", known.join(", ")),
        );
    }
    read.ok()
}

/// Where the upstream answers each of its routes: below its base URL, unless `urls` says otherwise.
fn urls(
    r: &mut Reader<'_>,
    base_url: &str,
    mistakes: &mut Vec<Mistake>,
) -> BTreeMap<Route, String> {
    let routes = routes(r).unwrap_or_else(|| BTreeSet::from([Route::Chat]));
    let mut own = r.table("urls");
    let mut url = |route: Route| {
        let below = route.path().trim_start_matches("/v1");
        http_url(&mut own, route.name()).unwrap_or_else(|| format!("{base_url}{below}"))
    };
    let urls = routes
        .into_iter()
        .map(|route| (route, url(route)))
        .collect();
    mistakes.extend(own.finish());
    urls
}

/// What LiteLLM's map says of a model that names its row there.
fn listed(r: &mut Reader<'_>) -> Option<ImportedRow> {
    let key = r.text("litellm")?;
    litellm::pinned(&key)
        .map_err(|error| r.wrong("litellm", error.to_string()))
        .ok()
}

fn quantization(r: &mut Reader<'_>) -> String {
    let unknown = || "unknown".to_owned();
    let Some(text) = r.text("quantization") else {
        return unknown();
    };
    if QUANTIZATIONS.contains(&text.as_str()) {
        return text;
    }
    let known = QUANTIZATIONS.join(", ");
    r.wrong("quantization", format!("must be one of {known}"));
    unknown()
}

fn price(r: &mut Reader<'_>) -> Option<PriceRow> {
    let Some(value) = r.take("price") else {
        r.wrong(
            "price",
            "is required: a model without a price is unpriced, not free",
        );
        return None;
    };
    let text: PriceText = match value.try_into() {
        Ok(text) => text,
        Err(error) => {
            r.wrong("price", error.to_string().trim().to_owned());
            return None;
        }
    };
    let mistakes = match text.parse() {
        Ok(row) => {
            for refused in lint(&row).iter().filter(|remark| remark.refuses()) {
                r.wrong("price", refused.to_string());
            }
            return Some(row);
        }
        Err(mistakes) => mistakes,
    };
    for mistake in mistakes {
        r.wrong(&format!("price.{}", mistake.field), mistake.message);
    }
    None
}

/// Names that stand for two things: upstreams, endpoints of one model, ids and aliases of models.
pub(super) fn clashes(upstreams: &[UpstreamConfig]) -> Vec<String> {
    let mut mistakes = Vec::new();
    let mut names = BTreeSet::new();
    let mut endpoints = BTreeSet::new();
    for upstream in upstreams {
        if !names.insert(&upstream.name) {
            mistakes.push(format!("the name {:?} is defined twice", upstream.name));
        }
        for (id, tag, _) in upstream.names() {
            if !endpoints.insert((id, tag)) {
                mistakes.push(format!(
                    "model id {id:?} is defined twice with the tag {tag:?}"
                ));
            }
        }
    }
    let names = || upstreams.iter().flat_map(UpstreamConfig::names);
    let ids: BTreeSet<&String> = names().map(|(id, ..)| id).collect();
    let aliases: BTreeSet<(&String, &String)> = names()
        .flat_map(|(id, _, aliases)| aliases.iter().map(move |alias| (alias, id)))
        .collect();
    let mut named = BTreeSet::new();
    for (alias, id) in aliases {
        if ids.contains(alias) || !named.insert(alias) {
            mistakes.push(format!(
                "the alias {alias:?} of {id:?} stands for another model as well"
            ));
        }
    }
    mistakes
}

/// The upstreams of a TOML text, for tests of what routes between them.
#[cfg(test)]
pub(crate) fn upstreams_of(text: &str) -> Vec<UpstreamConfig> {
    let table: toml::Table = text.parse().expect("TOML");
    let mut mistakes = Vec::new();
    let mut root = Reader::new(table, "", &|name| Some(name.to_owned()));
    let upstreams = UpstreamConfig::read_all(root.tables("upstream"), &mut mistakes);
    assert_eq!(mistakes, [], "mistakes in {text}");
    upstreams
}
