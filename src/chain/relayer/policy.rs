//! How a lane behaves, and how it says that it cannot.

use crate::chain::ChainError;
use alloy::primitives::{Address, U256};
use std::time::Duration;

/// How a lane sends, waits and gives up waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanePolicy {
    /// Blocks, its own included, before an outcome is told; at least 1.
    pub confirmations: u64,
    /// Blocks on top of an outcome before it is no longer watched for a reorg.
    pub final_depth: u64,
    /// How long a transaction may wait before its fees are raised.
    pub bump_after: Duration,
    /// By how many percent fees are raised; nodes demand 12.5, so less than 13 counts as 13.
    pub bump_percent: u32,
    /// The most paid per gas, in wei; above it jobs wait.
    pub fee_per_gas_max: u128,
    /// The least tip per gas, in wei, whatever the node suggests.
    pub tip_per_gas_min: u128,
    /// The most gas one transaction may have.
    pub gas_limit_max: u64,
    /// Balance in wei below which the lane calls itself out of gas, to stop before it must.
    pub balance_min: U256,
    /// Most transactions unmined at a time.
    pub in_flight_max: usize,
    /// Most jobs waiting before [`super::Relayer::submit`] waits.
    pub queue_max: usize,
    /// Longest pause between two looks while something is unfinished.
    pub poll_max: Duration,
    /// Pause between two looks while nothing is.
    pub poll_idle: Duration,
    /// How long an odd answer (a simulation's revert, a missing block, a nonce gap) must stand before
    /// it is believed: nodes behind one URL may be a block apart.
    pub doubt: Duration,
    /// How many blocks back the execution of an authorization by someone else is searched.
    pub search_blocks_max: u64,
}

impl Default for LanePolicy {
    fn default() -> Self {
        Self {
            confirmations: 1,
            final_depth: 12,
            bump_after: Duration::from_secs(10),
            bump_percent: 25,
            fee_per_gas_max: 50_000_000_000,
            tip_per_gas_min: 1_000_000,
            gas_limit_max: 500_000,
            balance_min: U256::from(20_000_000_000_000_u64),
            in_flight_max: 64,
            queue_max: 1024,
            poll_max: Duration::from_millis(500),
            poll_idle: Duration::from_secs(15),
            doubt: Duration::from_secs(2),
            search_blocks_max: 50_000,
        }
    }
}

/// Whether a lane works on new jobs.
pub type Health = Result<(), Unhealthy>;

/// Why a lane's jobs wait; none of these fails a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unhealthy {
    /// The key has too little for gas: send it the chain's native coin.
    #[error("relayer {relayer} is out of gas: it has {balance} wei and needs {needed}")]
    OutOfGas {
        /// The key's address.
        relayer: Address,
        /// What it has.
        balance: U256,
        /// What the policy, or the next transaction, needs.
        needed: U256,
    },
    /// The chain asks more per gas than the policy pays.
    #[error("the chain asks {asked} wei per gas, more than the allowed {allowed}")]
    FeeAboveCap {
        /// The base fee and tip now, or the next fee bump.
        asked: u128,
        /// The policy's most.
        allowed: u128,
    },
    /// The node gave no usable answer.
    #[error(transparent)]
    Node(ChainError),
    /// The ledger could not record an intent, so nothing is sent.
    #[error("the intent to send could not be recorded")]
    Outbox,
}
