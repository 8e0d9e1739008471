//! What is counted of calls that were bought from an upstream.

use crate::money::Pusd;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters and gauges of what was bought, by upstream.
#[derive(Debug, Default)]
pub struct BoughtMetrics {
    calls: Family<OutcomeLabels, Counter>,
    paid: Family<UpstreamLabels, Gauge>,
    charged: Family<UpstreamLabels, Gauge>,
    left: Family<UpstreamLabels, Gauge>,
}

/// How much of a budget is used, in 10⁻¹² USD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spending {
    /// What may have left the wallet.
    pub paid: Pusd,
    /// What receipts say was charged.
    pub charged: Pusd,
    /// What may still be paid.
    pub left: Pusd,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    upstream: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    upstream: String,
    outcome: &'static str,
}

impl BoughtMetrics {
    pub(super) fn register(&self, r: &mut Registry) {
        r.register(
            "bought_calls",
            "Calls to upstreams that are paid for each, by what came of them",
            self.calls.clone(),
        );
        r.register(
            "bought_paid_pusd",
            "What may have left the wallet for an upstream, in 10^-12 USD",
            self.paid.clone(),
        );
        r.register(
            "bought_charged_pusd",
            "What an upstream's receipts say was charged, in 10^-12 USD",
            self.charged.clone(),
        );
        r.register(
            "bought_budget_left_pusd",
            "What may still be paid to an upstream, in 10^-12 USD",
            self.left.clone(),
        );
    }

    /// Counts a call by what came of it.
    pub fn call(&self, upstream: &str, outcome: &'static str) {
        let upstream = upstream.to_owned();
        let labels = OutcomeLabels { upstream, outcome };
        self.calls.get_or_create(&labels).inc();
    }

    /// Notes how much of an upstream's budget is used.
    pub fn spending(&self, upstream: &str, spending: Spending) {
        let labels = UpstreamLabels {
            upstream: upstream.to_owned(),
        };
        let amounts = [
            (&self.paid, spending.paid),
            (&self.charged, spending.charged),
            (&self.left, spending.left),
        ];
        for (gauge, amount) in amounts {
            let amount = i64::try_from(amount.pico()).unwrap_or(i64::MAX);
            gauge.get_or_create(&labels).set(amount);
        }
    }
}
