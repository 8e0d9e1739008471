//! The sections of the configuration and the limits of each member.

use super::Secret;
use super::rails::{self, RailKind};
use super::reader::{Mistake, Reader};
use super::template;
use crate::ledger::SettleWhen;
use crate::metering::{Dialect, Route};
use crate::money::{AssetDecimals, Units};
use crate::pricing::litellm::{self, ImportedRow};
use crate::pricing::{PriceRow, PriceText, Tokenizer, lint};
use alloy::primitives::Address;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How Groat itself listens, stores and stops (`[gateway]`).
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Where the HTTP server listens.
    pub listen: SocketAddr,
    /// The base URL that callers know Groat by; named as the resource in challenges.
    pub public_url: Option<String>,
    /// The folder of the ledger.
    pub data_dir: PathBuf,
    /// The largest request body, in bytes.
    pub body_bytes_max: usize,
    /// How many calls may run at once; more are answered 503.
    pub calls_max: usize,
    /// How many calls may run at once that cost nothing, for which anybody may ask.
    pub free_calls_max: usize,
    /// How long a stop waits for running calls.
    pub drain: Duration,
    /// The bearer token of `/admin/…`; without one those routes do not exist.
    pub admin_token: Option<Secret>,
    /// How long a finished answer is kept for the same credential.
    pub answer_ttl: Duration,
    /// The largest answer passed on, in bytes.
    pub answer_bytes_max: usize,
}

impl GatewayConfig {
    pub(super) fn read(mut r: Reader<'_>, mistakes: &mut Vec<Mistake>) -> Self {
        let default_listen = SocketAddr::from(([127, 0, 0, 1], 4021));
        let config = Self {
            listen: r.parsed(
                "listen",
                default_listen,
                "an address and port such as \"127.0.0.1:4021\"",
            ),
            public_url: http_url(&mut r, "public_url"),
            data_dir: PathBuf::from(
                r.text("data_dir")
                    .unwrap_or_else(|| "groat-data".to_owned()),
            ),
            body_bytes_max: size(r.number("body_bytes_max", 4 << 20, 1024..=64 << 20)),
            calls_max: size(r.number("calls_max", 4096, 1..=1_000_000)),
            free_calls_max: size(r.number("free_calls_max", 64, 1..=1_000_000)),
            drain: Duration::from_secs(r.number("drain_seconds", 30, 0..=3600)),
            admin_token: r.secret("admin_token"),
            answer_ttl: Duration::from_secs(r.number("answer_ttl_seconds", 600, 0..=86_400)),
            answer_bytes_max: size(r.number("answer_bytes_max", 16 << 20, 1024..=256 << 20)),
        };
        mistakes.extend(r.finish());
        config
    }
}

/// The chain that payments settle on (`[chain]`).
#[derive(Debug, Clone)]
pub struct ChainConfig {
    /// The JSON-RPC endpoint; a secret because providers put keys into it.
    pub rpc_url: Secret,
    /// The EIP-155 chain id.
    pub chain_id: u64,
    /// Blocks on top of a settlement, its own included, before it counts.
    pub confirmations: u64,
    /// Blocks for which a settlement is watched for a reorganisation.
    pub final_depth: u64,
    /// How long one RPC request may take.
    pub rpc_timeout: Duration,
    /// After how long a settlement that is not mined is sent again with a higher fee.
    pub bump_after: Duration,
}

impl ChainConfig {
    pub(super) fn read(mut r: Reader<'_>, mistakes: &mut Vec<Mistake>) -> Self {
        let written = http_url(&mut r, "rpc_url").map(Secret::new);
        let secret = r.secret("rpc_url_secret");
        let both_or_none = r.has("rpc_url") == r.has("rpc_url_secret");
        if both_or_none {
            r.wrong(
                "rpc_url",
                "give rpc_url = \"http…\", or rpc_url_secret = { env = … } when it holds a key",
            );
        }
        let config = Self {
            rpc_url: written.or(secret).unwrap_or_else(|| Secret::new("")),
            chain_id: r.number("chain_id", 0, 1..=u64::MAX >> 1),
            confirmations: r.number("confirmations", 1, 1..=64),
            final_depth: r.number("final_depth", 12, 1..=1024),
            rpc_timeout: Duration::from_millis(r.number("rpc_timeout_ms", 5000, 50..=60_000)),
            bump_after: Duration::from_millis(r.number("bump_after_ms", 15_000, 50..=600_000)),
        };
        if config.chain_id == 0 {
            r.wrong(
                "chain_id",
                "is required, for example chain_id = 8453 (Base)",
            );
        }
        mistakes.extend(r.finish());
        config
    }
}

/// The stablecoin that is taken (`[asset]`); one unit of it is one US dollar.
#[derive(Debug, Clone)]
pub struct AssetConfig {
    /// The token contract.
    pub address: Address,
    /// The `name` of the token's EIP-712 domain.
    pub name: String,
    /// The `version` of the token's EIP-712 domain.
    pub version: String,
    /// Decimal places of its atomic unit.
    pub decimals: AssetDecimals,
}

impl AssetConfig {
    pub(super) fn read(mut r: Reader<'_>, mistakes: &mut Vec<Mistake>) -> Self {
        let decimals = u8::try_from(r.number("decimals", 6, 0..=18)).unwrap_or(6);
        let config = Self {
            address: r.required_address("address"),
            name: r.required_text("name", "USD Coin"),
            version: r.required_text("version", "2"),
            decimals: AssetDecimals::try_from(decimals).unwrap_or(AssetDecimals::USDC),
        };
        mistakes.extend(r.finish());
        config
    }
}

/// Who is paid, when settlements are sent, and with which keys (`[payment]`).
#[derive(Debug, Clone)]
pub struct PaymentConfig {
    /// The address that payments go to.
    pub pay_to: Address,
    /// The ways to pay, in the order they are offered in.
    pub rails: Vec<RailKind>,
    /// When a settlement of `exact` is sent.
    pub settle: SettleWhen,
    /// How long a signed payment must stay valid, in seconds.
    pub max_timeout_seconds: u64,
    /// How long before a payment expires its settlement is sent at the latest, so that it can still be
    /// mined: a call that lasts longer is ended then.
    pub settle_margin: Duration,
    /// How long an offer at an old price is still taken after the price changed.
    pub quote_grace: Duration,
    /// How long a caller is kept waiting for a settlement before it is told to come back.
    pub settlement_patience: Duration,
    /// The largest amount one call may be quoted, in the asset's atomic units.
    pub ceiling_max: Units,
    /// Added on top of list prices, in basis points.
    pub markup_bps: u32,
    /// Sends settlements and pays their gas.
    pub relayer_key: Secret,
    /// Keys of earlier configurations, by address, that are gone for good: what only they could have
    /// finished does not keep the gateway from starting.
    pub relayers_gone: Vec<Address>,
    /// Holds the funds that withdrawals are paid from; without it withdrawals are refused.
    pub payout_key: Option<Secret>,
    /// Signs receipts.
    pub receipt_key: Secret,
}

impl PaymentConfig {
    pub(super) fn read(
        mut r: Reader<'_>,
        decimals: AssetDecimals,
        mistakes: &mut Vec<Mistake>,
    ) -> Self {
        let settle = match r.text("settle").as_deref() {
            None | Some("on_first_byte") => SettleWhen::OnFirstByte,
            Some("before") => SettleWhen::Before,
            Some("after") => SettleWhen::After,
            Some(_) => {
                r.wrong(
                    "settle",
                    "must be \"before\", \"on_first_byte\" or \"after\"",
                );
                SettleWhen::OnFirstByte
            }
        };
        let ceiling = r
            .text("ceiling_max_usd")
            .unwrap_or_else(|| "1.00".to_owned());
        let ceiling_max = Units::from_asset_text(&ceiling, decimals).unwrap_or_else(|error| {
            r.wrong("ceiling_max_usd", error.to_string());
            Units::ZERO
        });
        let config = Self {
            pay_to: r.required_address("pay_to"),
            rails: rails::rails(&mut r),
            settle,
            max_timeout_seconds: r.number("max_timeout_seconds", 300, 30..=3600),
            settle_margin: Duration::from_secs(r.number("settle_margin_seconds", 30, 5..=600)),
            quote_grace: Duration::from_secs(r.number("quote_grace_seconds", 300, 0..=3600)),
            settlement_patience: Duration::from_millis(r.number(
                "settlement_patience_ms",
                20_000,
                100..=300_000,
            )),
            ceiling_max,
            markup_bps: u32::try_from(r.number("markup_bps", 0, 0..=10_000)).unwrap_or(0),
            relayer_key: required_key(&mut r, "relayer_key"),
            relayers_gone: r.addresses("relayers_gone"),
            payout_key: r.secret("payout_key"),
            receipt_key: required_key(&mut r, "receipt_key"),
        };
        if config.payout_key.as_ref().is_some_and(|key| !is_key(key)) {
            r.wrong("payout_key", KEY_FORM);
        }
        if config.settle_margin.as_secs() > config.max_timeout_seconds / 2 {
            r.wrong(
                "settle_margin_seconds",
                "must be at most half of max_timeout_seconds, or no time is left for the answer",
            );
        }
        mistakes.extend(r.finish());
        config
    }
}

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
    /// Its API key: sent as a bearer token, to Anthropic's Messages as it asks for.
    pub key: Option<Secret>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long the first byte of an answer may take.
    pub first_byte_timeout: Duration,
    /// How long a stream may be silent.
    pub idle_timeout: Duration,
    /// How long a whole call may take.
    pub call_timeout: Duration,
    /// The models it serves.
    pub models: Vec<ModelConfig>,
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
        let config = Self {
            name: r.required_text("name", "deepseek"),
            base_url,
            dialect,
            key: r.secret("key"),
            connect_timeout: millis(&mut r, "connect_timeout_ms", 5_000),
            first_byte_timeout: millis(&mut r, "first_byte_timeout_ms", 120_000),
            idle_timeout: millis(&mut r, "idle_timeout_ms", 60_000),
            call_timeout: millis(&mut r, "call_timeout_ms", 600_000),
            models: {
                let models = r.tables("model");
                if models.is_empty() {
                    r.wrong("model", "at least one [[upstream.model]] is required");
                }
                models
                    .into_iter()
                    .filter_map(|m| ModelConfig::read(m, dialect, &routes, mistakes))
                    .collect()
            },
            routes,
        };
        mistakes.extend(r.finish());
        config
    }
}

/// One model at one upstream (`[[upstream.model]]`).
#[derive(Debug, Clone)]
pub struct ModelConfig {
    /// The id that callers ask for.
    pub id: String,
    /// The id that the upstream knows it by, when it is another.
    pub upstream_id: Option<String>,
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
    /// What its tokens cost.
    pub price: PriceRow,
}

impl ModelConfig {
    /// `None` for a model without a good price, which the mistakes then name.
    fn read(
        mut r: Reader<'_>,
        upstream_dialect: Dialect,
        upstream_routes: &BTreeMap<Route, String>,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Self> {
        let listed = listed(&mut r);
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
            upstream_dialect,
            "a usage dialect such as \"openai\"",
        );
        let routes = match routes(&mut r) {
            Some(routes) => routes,
            None => upstream_routes.keys().copied().collect(),
        };
        if let Some(route) = routes
            .iter()
            .find(|route| !upstream_routes.contains_key(route))
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
        mistakes.extend(r.finish());
        Some(Self {
            id,
            upstream_id,
            routes,
            dialect,
            context_tokens: (context > 0).then_some(context),
            output_cap,
            output_max,
            tokenizer,
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

pub(super) const KEY_FORM: &str = "the secret must be a private key: 32 bytes in hex";

fn required_key(r: &mut Reader<'_>, key: &str) -> Secret {
    match r.secret(key) {
        Some(secret) => {
            if !is_key(&secret) {
                r.wrong(key, KEY_FORM);
            }
            secret
        }
        None => {
            if !r.has(key) {
                r.wrong(
                    key,
                    "is required: { env = \"NAME\" } or { file = \"path\" }",
                );
            }
            Secret::new("")
        }
    }
}

pub(super) fn is_key(secret: &Secret) -> bool {
    let text = secret
        .reveal()
        .strip_prefix("0x")
        .unwrap_or(secret.reveal());
    hex::decode(text).is_ok_and(|bytes| k256::ecdsa::SigningKey::from_slice(&bytes).is_ok())
}

fn http_url(r: &mut Reader<'_>, key: &str) -> Option<String> {
    let text = r.text(key)?;
    match reqwest::Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Some(text),
        _ => {
            r.wrong(key, "must be an absolute http or https URL");
            None
        }
    }
}

fn size(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
