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
    uncovered_units: Gauge,
    operations: Family<OperationLabels, Counter>,
    withdrawals: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    kind: &'static str,
    outcome: &'static str,
}

/// How all channels stand together; sums are in the asset's atomic units.
#[derive(Debug, Clone, Copy)]
pub struct ChannelFigures {
    /// Channels with something unclaimed in them.
    pub open: usize,
    /// What was charged and can still be claimed.
    pub unclaimed: u128,
    /// What was claimed.
    pub claimed: u128,
    /// What was charged and taken out before it was claimed.
    pub uncovered: u128,
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
            "channels_uncovered_units",
            "Charged and taken out by payers before it was claimed: lost, unless they fill their channels again",
            self.uncovered_units.clone(),
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

    /// Says how all channels stand.
    pub fn set(&self, figures: ChannelFigures) {
        let whole = |n: u128| i64::try_from(n).unwrap_or(i64::MAX);
        let open = i64::try_from(figures.open).unwrap_or(i64::MAX);
        self.open.set(open);
        self.unclaimed_units.set(whole(figures.unclaimed));
        self.claimed_units.set(whole(figures.claimed));
        self.uncovered_units.set(whole(figures.uncovered));
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
