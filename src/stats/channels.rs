//! What there is to count of channels.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Channels, and the transactions about them.
#[derive(Debug, Default)]
pub struct ChannelMetrics {
    open: Gauge,
    unclaimed_units: Gauge,
    claimed_units: Gauge,
    operations: Family<OperationLabels, Counter>,
    withdrawals: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    kind: &'static str,
    outcome: &'static str,
}

impl ChannelMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "channels_open",
            "Channels with something unclaimed in them",
            self.open.clone(),
        );
        registry.register(
            "channels_unclaimed_units",
            "Charged and not claimed yet, in the asset's atomic units",
            self.unclaimed_units.clone(),
        );
        registry.register(
            "channels_claimed_units",
            "Claimed over the known channels' lives, in the asset's atomic units",
            self.claimed_units.clone(),
        );
        registry.register(
            "operations",
            "Deposits, claims, settlements and refunds of channels, by outcome",
            self.operations.clone(),
        );
        registry.register(
            "channel_withdrawals",
            "Withdrawals that payers began",
            self.withdrawals.clone(),
        );
    }

    /// Says how many channels are open, and what was claimed and not claimed in all.
    pub fn set(&self, open: usize, unclaimed: u128, claimed: u128) {
        let whole = |n: u128| i64::try_from(n).unwrap_or(i64::MAX);
        self.open.set(i64::try_from(open).unwrap_or(i64::MAX));
        self.unclaimed_units.set(whole(unclaimed));
        self.claimed_units.set(whole(claimed));
    }

    /// Counts an operation: `wanted`, `confirmed` or `failed`.
    pub fn operation(&self, kind: &'static str, outcome: &'static str) {
        let labels = OperationLabels { kind, outcome };
        self.operations.get_or_create(&labels).inc();
    }

    /// Counts a withdrawal that a payer began.
    pub fn withdrawal(&self) {
        self.withdrawals.inc();
    }
}
