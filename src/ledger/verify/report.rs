use super::super::machine::Digest32;
use serde::Serialize;

/// What a walk over everything found.
#[derive(Debug, Clone, Serialize)]
pub struct VerifyReport {
    /// The number of log entries.
    pub entries: u64,
    /// The hash of the newest entry.
    pub head: Digest32,
    /// The number of calls.
    pub calls: u64,
    /// How many of them have something left to do.
    pub calls_open: u64,
    /// The number of withdrawals.
    pub withdrawals: u64,
    /// The number of channels.
    pub channels: u64,
    /// The number of operations.
    pub operations: u64,
    /// The money, per chain and asset.
    pub totals: Vec<Totals>,
    /// Everything that does not agree; empty when the ledger is sound.
    pub faults: Vec<Fault>,
}

impl VerifyReport {
    /// Whether nothing disagrees.
    pub const fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }
}

/// One thing that does not agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The log entry concerned.
    pub seq: Option<u64>,
    /// The entity or key concerned.
    pub subject: Option<String>,
    /// What is wrong.
    pub what: String,
}

/// Where the money of one asset on one chain is, in atomic units.
/// settled = captured + in_flight + available + withdrawing + withdrawn. Channels are counted apart:
/// what is claimed of them is the receiver's, and never above what was charged.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// The chain, as CAIP-2.
    pub network: String,
    /// The asset.
    pub asset: String,
    /// What confirmed settlements moved to us.
    pub settled: i128,
    /// What of it was charged.
    pub captured: i128,
    /// What of it belongs to calls that are still under way.
    pub in_flight: i128,
    /// What was charged and is not settled yet, but for calls on channels.
    pub receivable: i128,
    /// What was charged and will not be settled.
    pub uncollected: i128,
    /// Credit that can be withdrawn.
    pub available: i128,
    /// Credit that awaits a settlement.
    pub pending: i128,
    /// Credit on its way to payers.
    pub withdrawing: i128,
    /// Credit paid out.
    pub withdrawn: i128,
    /// What calls on channels were charged.
    pub channels_captured: i128,
    /// What was charged on channels before they were taken into the books, or claimed by others since.
    pub channels_charged_elsewhere: i128,
    /// What running calls hold on channels.
    pub channels_reserved: i128,
    /// What was claimed of channels, as last seen.
    pub channels_claimed: i128,
}
