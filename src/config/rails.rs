//! The sections about the ways to pay: which rails, what may be owed, channels, the settler, and
//! where the x402 contracts stand.

use super::Secret;
use super::reader::{Mistake, Reader};
use crate::money::{AssetDecimals, Units};
use crate::protocol::addresses;
use crate::protocol::channel::Method;
use crate::protocol::mpp::KEY_BYTES_MIN;
use alloy::primitives::Address;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// One way to pay that this gateway can offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RailKind {
    /// x402 `exact` by EIP-3009: the ceiling in one transfer, the change as credit.
    Exact,
    /// x402 `exact` by Permit2, for tokens without EIP-3009.
    ExactPermit2,
    /// x402 `upto`: the bill and nothing else, one transaction a call.
    Upto,
    /// x402 `batch-settlement`: a channel that many calls are paid from.
    Channel,
    /// MPP `tempo/charge`: the ceiling in one transfer on Tempo, the change as credit.
    TempoCharge,
    /// MPP `tempo/session`: a channel on Tempo that streams are paid from as they go.
    TempoSession,
}

impl RailKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Exact,
        Self::ExactPermit2,
        Self::Upto,
        Self::Channel,
        Self::TempoCharge,
        Self::TempoSession,
    ];

    /// Whether it is asked for by x402; MPP asks for the others alone.
    pub const fn is_x402(self) -> bool {
        !matches!(self, Self::TempoCharge | Self::TempoSession)
    }

    /// Its name in the configuration and in the header by which a caller asks for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::ExactPermit2 => "exact-permit2",
            Self::Upto => "upto",
            Self::Channel => "batch-settlement",
            Self::TempoCharge => "tempo-charge",
            Self::TempoSession => "tempo-session",
        }
    }
}

impl fmt::Display for RailKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for RailKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or(())
    }
}

/// The rails in the order they are offered in (`payment.rails`).
pub(super) fn rails(r: &mut Reader<'_>) -> Vec<RailKind> {
    let Some(names) = r.texts("rails") else {
        // A client takes the first offer it has a scheme for: `exact` needs no set-up of any wallet.
        return vec![RailKind::Exact, RailKind::Channel, RailKind::Upto];
    };
    let mut rails = Vec::new();
    for name in names {
        match name.parse() {
            Ok(kind) if rails.contains(&kind) => r.wrong("rails", format!("{name:?} stands twice")),
            Ok(RailKind::TempoCharge | RailKind::TempoSession) if !cfg!(feature = "tempo") => r.wrong(
                "rails",
                format!("{name:?} is not in this build: build with `--features tempo`"),
            ),
            Ok(kind) => rails.push(kind),
            Err(()) => r.wrong(
                "rails",
                format!(
                    "{name:?} is no rail: write \"exact\", \"upto\", \"batch-settlement\", \"exact-permit2\", \"tempo-charge\" or \"tempo-session\""
                ),
            ),
        }
    }
    if rails.is_empty() {
        r.wrong("rails", "at least one rail is needed");
    }
    rails
}

/// How payments are asked for by MPP's `Payment` scheme, beside x402 (`[mpp]`).
#[derive(Debug, Clone)]
pub struct MppConfig {
    /// Whether they are, where the rail `exact` is offered.
    pub enabled: bool,
    /// Who asks; by default the host of the public URL.
    pub realm: Option<String>,
    /// Seals challenges; without one a secret derived from the receipt key does.
    pub secret: Option<Secret>,
    /// Sealed the challenges that are still alive.
    pub secret_previous: Option<Secret>,
    /// How long a challenge can be paid.
    pub expires: Duration,
}

impl MppConfig {
    pub(super) fn read(
        mut r: Reader<'_>,
        max_timeout_seconds: u64,
        mistakes: &mut Vec<Mistake>,
    ) -> Self {
        let seconds = r.number("expires_seconds", max_timeout_seconds, 30..=3600);
        let config = Self {
            enabled: r.flag("enabled", true),
            realm: r.text("realm"),
            secret: r.secret("secret"),
            secret_previous: r.secret("secret_previous"),
            expires: Duration::from_secs(seconds),
        };
        let secrets = [
            ("secret", &config.secret),
            ("secret_previous", &config.secret_previous),
        ];
        for (key, secret) in secrets {
            let short = |secret: &Secret| secret.reveal().len() < KEY_BYTES_MIN;
            if secret.as_ref().is_some_and(short) {
                r.wrong(key, format!("must be at least {KEY_BYTES_MIN} bytes long"));
            }
        }
        mistakes.extend(r.finish());
        config
    }
}

/// What may be owed before it is settled (`[exposure]`): by `upto`, and by `exact` when
/// `payment.settle` is "after".
#[derive(Debug, Clone, Copy)]
pub struct ExposureConfig {
    /// What one payer may owe at first; it grows by what the payer has settled.
    pub payer_first: Units,
    /// What one payer may owe at most, however much was settled.
    pub payer_max: Units,
    /// How many unsettled calls one payer may have.
    pub payer_calls: u64,
    /// What all payers together may owe.
    pub total_max: Units,
    /// How many unsettled calls there may be in all.
    pub total_calls: u64,
}

impl ExposureConfig {
    pub(super) fn read(
        mut r: Reader<'_>,
        decimals: AssetDecimals,
        mistakes: &mut Vec<Mistake>,
    ) -> Self {
        let config = Self {
            payer_first: usd(&mut r, "payer_first_usd", "1.00", decimals),
            payer_max: usd(&mut r, "payer_max_usd", "10.00", decimals),
            payer_calls: r.number("payer_calls", 128, 1..=100_000),
            total_max: usd(&mut r, "total_usd", "100.00", decimals),
            total_calls: r.number("total_calls", 4096, 1..=1_000_000),
        };
        if config.payer_first > config.payer_max {
            r.wrong("payer_first_usd", "must not be above payer_max_usd");
        }
        mistakes.extend(r.finish());
        config
    }
}

/// How channels are offered and looked after (`[channels]`).
#[derive(Debug, Clone)]
pub struct ChannelsConfig {
    /// The letter of the specification: one call at a time, and vouchers that equal the charge plus
    /// the offer. Otherwise calls run side by side and charges are reported late.
    pub strict: bool,
    /// How long a payer's withdrawal waits on chain, in seconds: the time there is to claim.
    pub withdraw_delay_seconds: u64,
    /// How deposits are made: by EIP-3009, or by Permit2 for a token without.
    pub deposit_by: Method,
    /// The smallest deposit that is taken.
    pub deposit_min: Units,
    /// Signs claims and refunds; names the channel, so that changing it leaves old channels behind.
    /// Without one the relayer's key does it.
    pub authorizer_key: Option<Secret>,
    /// A charge is claimed when it is this old.
    pub claim_after: Duration,
    /// Or when this much is unclaimed in one channel.
    pub claim_above: Units,
    /// A channel that was not used for this long is refunded; zero never does.
    pub refund_idle_after: Duration,
    /// How often the chain is looked at for withdrawals.
    pub watch_every: Duration,
}

impl ChannelsConfig {
    pub(super) fn read(
        mut r: Reader<'_>,
        decimals: AssetDecimals,
        mistakes: &mut Vec<Mistake>,
    ) -> Self {
        let seconds = |r: &mut Reader<'_>, key, default, range| {
            Duration::from_secs(r.number(key, default, range))
        };
        let config = Self {
            strict: r.flag("strict", false),
            withdraw_delay_seconds: r.number("withdraw_delay_seconds", 86_400, 900..=2_592_000),
            deposit_by: deposit_by(&mut r),
            deposit_min: usd(&mut r, "deposit_min_usd", "0.10", decimals),
            authorizer_key: r.secret("authorizer_key"),
            claim_after: seconds(&mut r, "claim_after_seconds", 3600, 1..=2_592_000),
            claim_above: usd(&mut r, "claim_above_usd", "5.00", decimals),
            refund_idle_after: seconds(&mut r, "refund_idle_after_seconds", 0, 0..=31_536_000),
            watch_every: Duration::from_millis(r.number("watch_every_ms", 5000, 50..=600_000)),
        };
        if let Some(key) = &config.authorizer_key
            && !super::sections::is_key(key)
        {
            r.wrong("authorizer_key", super::sections::KEY_FORM);
        }
        if config.claim_after.as_secs() > config.withdraw_delay_seconds / 2 {
            r.wrong(
                "claim_after_seconds",
                "must be at most half of withdraw_delay_seconds, or a withdrawal could be final before its claim",
            );
        }
        mistakes.extend(r.finish());
        config
    }
}

fn deposit_by(r: &mut Reader<'_>) -> Method {
    match r.text("deposit_by").as_deref() {
        None | Some("eip3009") => Method::Eip3009,
        Some("permit2") => Method::Permit2,
        Some(_) => {
            r.wrong("deposit_by", "must be \"eip3009\" or \"permit2\"");
            Method::Eip3009
        }
    }
}

/// The contract that settles many payments in one transaction (`[settler]`).
#[derive(Debug, Clone, Copy)]
pub struct SettlerConfig {
    /// Where it stands; without one, payments are settled one by one.
    pub address: Option<Address>,
    /// How many payments one transaction settles at most.
    pub batch_max: u64,
    /// How long a payment waits for others to be settled with.
    pub batch_wait: Duration,
}

impl SettlerConfig {
    pub(super) fn read(mut r: Reader<'_>, mistakes: &mut Vec<Mistake>) -> Self {
        let config = Self {
            address: r.address("address"),
            batch_max: r.number("batch_max", 50, 1..=100),
            batch_wait: Duration::from_millis(r.number("batch_wait_ms", 1000, 0..=600_000)),
        };
        mistakes.extend(r.finish());
        config
    }
}

/// Where the x402 contracts stand (`[contracts]`); clients know these addresses by heart.
#[derive(Debug, Clone, Copy)]
pub struct ContractsConfig {
    /// Permit2.
    pub permit2: Address,
    /// The proxy of `exact` by Permit2.
    pub exact_proxy: Address,
    /// The proxy of `upto`.
    pub upto_proxy: Address,
    /// The contract of channels.
    pub batch_settlement: Address,
    /// Takes deposits by EIP-3009.
    pub erc3009_collector: Address,
    /// Takes deposits by Permit2.
    pub permit2_collector: Address,
    /// Whether a payer's own signed `approve` transaction is sent for it, its gas paid by us.
    pub approval_sponsoring: bool,
    /// The most gas such a transaction may be given.
    pub approval_gas_max: u64,
}

impl ContractsConfig {
    pub(super) fn read(mut r: Reader<'_>, mistakes: &mut Vec<Mistake>) -> Self {
        let config = Self {
            permit2: r.address("permit2").unwrap_or(addresses::PERMIT2),
            exact_proxy: r.address("exact_proxy").unwrap_or(addresses::EXACT_PROXY),
            upto_proxy: r.address("upto_proxy").unwrap_or(addresses::UPTO_PROXY),
            batch_settlement: r
                .address("batch_settlement")
                .unwrap_or(addresses::BATCH_SETTLEMENT),
            erc3009_collector: r
                .address("erc3009_collector")
                .unwrap_or(addresses::ERC3009_COLLECTOR),
            permit2_collector: r
                .address("permit2_collector")
                .unwrap_or(addresses::PERMIT2_COLLECTOR),
            approval_sponsoring: r.flag("approval_sponsoring", false),
            approval_gas_max: r.number("approval_gas_max", 80_000, 21_000..=1_000_000),
        };
        mistakes.extend(r.finish());
        config
    }
}

/// An amount of the asset, written in US dollars.
pub(super) fn usd(r: &mut Reader<'_>, key: &str, default: &str, decimals: AssetDecimals) -> Units {
    let text = r.text(key).unwrap_or_else(|| default.to_owned());
    Units::from_asset_text(&text, decimals).unwrap_or_else(|error| {
        r.wrong(key, error.to_string());
        Units::ZERO
    })
}
