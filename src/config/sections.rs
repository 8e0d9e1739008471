//! The sections of the configuration and the limits of each member.

use super::Secret;
use super::rails::{self, RailKind};
use super::reader::{Mistake, Reader};
use crate::ledger::SettleWhen;
use crate::money::{AssetDecimals, Units};
use alloy::primitives::Address;
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
    /// How long nobody may listen to a stream before it is cancelled, at upstreams where that is right.
    pub abandon_after: Duration,
    /// How often the catalogues of upstreams are read.
    pub catalogue_every: Duration,
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
            abandon_after: Duration::from_millis(r.number(
                "abandon_after_ms",
                10_000,
                0..=3_600_000,
            )),
            catalogue_every: Duration::from_millis(r.number(
                "catalogue_every_ms",
                300_000,
                50..=86_400_000,
            )),
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

pub(super) fn http_url(r: &mut Reader<'_>, key: &str) -> Option<String> {
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
