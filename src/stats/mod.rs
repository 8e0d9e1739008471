//! What calls taught us: numbers that Prometheus reads, and what was sold.

mod bought;
mod channels;
mod decayed;
mod endpoints;
mod hearsay;
pub mod rankings;
mod spread;
mod tally;
mod windows;

pub use bought::{BoughtMetrics, Spending};
pub use channels::{ChannelFigures, ChannelMetrics};
pub use decayed::Decayed;
pub use endpoints::{Endpoints, Measured, Observation};
pub use hearsay::Hearsay;
pub use spread::{Percentiles, SAMPLES_MIN, Spread};
pub use tally::{Outcome, Tally};
pub use windows::{Priced, Slot, SlotName, Window, Windows};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::sync::Mutex;
use std::time::Duration;

/// The counters and gauges of one gateway.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    challenges: Counter,
    refusals: Family<ReasonLabels, Counter>,
    calls: Family<CallLabels, Counter>,
    tokens: Family<TokenLabels, Counter>,
    charged: Counter,
    credited: Counter,
    cache_saving_pusd: Counter,
    over_quote: Family<ModelLabels, Counter>,
    settlements: Family<OutcomeLabels, Counter>,
    losses: Family<RailLabels, Counter>,
    lost: Family<RailLabels, Counter>,
    calls_running: Gauge,
    channels: ChannelMetrics,
    bought: BoughtMetrics,
    first_byte_seconds: Histogram,
    settlement_seconds: Histogram,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabels {
    model: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    model: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    model: String,
    class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RailLabels {
    rail: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 18));
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("groat")),
            challenges: Counter::default(),
            refusals: Family::default(),
            calls: Family::default(),
            tokens: Family::default(),
            charged: Counter::default(),
            credited: Counter::default(),
            cache_saving_pusd: Counter::default(),
            over_quote: Family::default(),
            settlements: Family::default(),
            losses: Family::default(),
            lost: Family::default(),
            calls_running: Gauge::default(),
            channels: ChannelMetrics::default(),
            bought: BoughtMetrics::default(),
            first_byte_seconds: seconds(),
            settlement_seconds: seconds(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&self) {
        let mut registry = self
            .registry
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let r = &mut *registry;
        r.register(
            "challenges",
            "402 answers to requests without a payment",
            self.challenges.clone(),
        );
        r.register(
            "refusals",
            "Requests refused, by reason",
            self.refusals.clone(),
        );
        r.register(
            "calls",
            "Calls held, by model and how they ended",
            self.calls.clone(),
        );
        r.register(
            "tokens",
            "Tokens billed, by model and class",
            self.tokens.clone(),
        );
        r.register(
            "charged_units",
            "Charged, in the asset's atomic units",
            self.charged.clone(),
        );
        r.register(
            "credited_units",
            "Booked as credit, in the asset's atomic units",
            self.credited.clone(),
        );
        r.register(
            "cache_saving_pusd",
            "Saved by provider caches, in 10^-12 USD",
            self.cache_saving_pusd.clone(),
        );
        r.register(
            "over_quote",
            "Bills above the quote; the payer paid the quote",
            self.over_quote.clone(),
        );
        r.register(
            "settlements",
            "Settlements, by outcome",
            self.settlements.clone(),
        );
        r.register(
            "losses",
            "Calls that were answered and will not be paid, by rail",
            self.losses.clone(),
        );
        r.register(
            "lost_units",
            "Charged and lost, in the asset's atomic units, by rail",
            self.lost.clone(),
        );
        r.register(
            "calls_running",
            "Calls under way",
            self.calls_running.clone(),
        );
        self.channels.register(r);
        self.bought.register(r);
        r.register(
            "first_byte_seconds",
            "Upstream time to the first byte",
            self.first_byte_seconds.clone(),
        );
        r.register(
            "settlement_seconds",
            "Time from sending a settlement to its confirmation",
            self.settlement_seconds.clone(),
        );
    }

    /// What is counted of channels.
    pub fn channels(&self) -> &ChannelMetrics {
        &self.channels
    }

    /// What is counted of calls that were bought.
    pub fn bought(&self) -> &BoughtMetrics {
        &self.bought
    }

    /// The exposition text (OpenMetrics).
    pub fn text(&self) -> String {
        let mut text = String::new();
        let registry = self
            .registry
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        // Writing into a string cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }

    /// Counts an unpaid request that was answered with a challenge.
    pub fn challenged(&self) {
        self.challenges.inc();
    }

    /// Counts a refused request.
    pub fn refused(&self, reason: &str) {
        let labels = ReasonLabels {
            reason: reason.to_owned(),
        };
        self.refusals.get_or_create(&labels).inc();
    }

    /// Counts a call that begins; [`Metrics::call_ended`] is its pair.
    pub fn call_begun(&self) {
        self.calls_running.inc();
    }

    /// Counts a call that ended.
    pub fn call_ended(&self, model: &str, outcome: &'static str) {
        self.calls_running.dec();
        let labels = CallLabels {
            model: model.to_owned(),
            outcome,
        };
        self.calls.get_or_create(&labels).inc();
    }

    /// Counts a call that was answered and charged, and will not be paid.
    pub fn lost(&self, rail: &str, units: u128) {
        let labels = RailLabels {
            rail: rail.to_owned(),
        };
        self.losses.get_or_create(&labels).inc();
        let units = u64::try_from(units).unwrap_or(u64::MAX);
        self.lost.get_or_create(&labels).inc_by(units);
    }

    /// Counts the tokens of one class on a bill.
    pub fn tokens(&self, model: &str, class: &'static str, tokens: u64) {
        let labels = TokenLabels {
            model: model.to_owned(),
            class,
        };
        self.tokens.get_or_create(&labels).inc_by(tokens);
    }

    /// Counts the money of one bill.
    pub fn billed(&self, charged: u128, credited: u128, cache_saving_pusd: u128) {
        let whole = |n: u128| u64::try_from(n).unwrap_or(u64::MAX);
        self.charged.inc_by(whole(charged));
        self.credited.inc_by(whole(credited));
        self.cache_saving_pusd.inc_by(whole(cache_saving_pusd));
    }

    /// Counts a bill that came out above its quote.
    pub fn over_quote(&self, model: &str) {
        let labels = ModelLabels {
            model: model.to_owned(),
        };
        self.over_quote.get_or_create(&labels).inc();
    }

    /// Counts what became of a settlement: `sent`, `confirmed`, `failed` or `reorged`.
    pub fn settlement(&self, outcome: &'static str) {
        self.settlements
            .get_or_create(&OutcomeLabels { outcome })
            .inc();
    }

    /// Notes how long an upstream took to its first byte.
    pub fn first_byte(&self, took: Duration) {
        self.first_byte_seconds.observe(took.as_secs_f64());
    }

    /// Notes how long a settlement took to be confirmed.
    pub fn settled_in(&self, took: Duration) {
        self.settlement_seconds.observe(took.as_secs_f64());
    }
}
