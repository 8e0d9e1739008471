//! Logs of long block ranges, read in pages that the node will answer.

use super::{ChainError, Rpc};
use alloy::primitives::{Address, B256};
use alloy::rpc::types::Log;
use std::collections::BTreeMap;

/// Blocks asked for at once; halved when a node refuses the range.
const SPAN_BLOCKS: u64 = 2_000;

/// One query: for each place, the topics it may have; none given is any.
pub(super) type Topics = Vec<Vec<B256>>;

/// A log with its place in the chain, which nodes leave out only of what is not mined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The block's number.
    pub block: u64,
    /// The event's place in its block.
    pub log_index: u64,
    /// The block's hash.
    pub block_hash: B256,
    /// The transaction that emitted it.
    pub transaction: B256,
}

impl Place {
    fn of(log: &Log) -> Result<Self, ChainError> {
        let missing = || ChainError::Malformed("a log without its place in the chain".to_owned());
        Ok(Self {
            block: log.block_number.ok_or_else(missing)?,
            log_index: log.log_index.ok_or_else(missing)?,
            block_hash: log.block_hash.ok_or_else(missing)?,
            transaction: log.transaction_hash.ok_or_else(missing)?,
        })
    }
}

/// Reads the logs of one contract that match any of the queries, in chain order, each once.
///
/// Blocks that do not exist yet are left out. A range the node refuses is asked in smaller pieces; an
/// error leaves nothing half read.
pub(super) async fn paged(
    rpc: &Rpc,
    address: Address,
    queries: &[Topics],
    from_block: u64,
    to_block: u64,
) -> Result<Vec<(Place, Log)>, ChainError> {
    // Keyed by place in the chain: a log may match two queries, but happened once.
    let mut found = BTreeMap::new();
    let to_block = to_block.min(rpc.latest_block().await?.number());
    let (mut start, mut span) = (from_block, SPAN_BLOCKS);
    while start <= to_block {
        let end = to_block.min(start.saturating_add(span - 1));
        match page(rpc, address, queries, start, end).await {
            Ok(page) => {
                found.extend(page);
                let Some(next) = end.checked_add(1) else {
                    break;
                };
                start = next;
                span = SPAN_BLOCKS.min(span.saturating_mul(2));
            }
            Err(ChainError::Refused { .. } | ChainError::Malformed(_)) if span > 1 => span /= 2,
            Err(error) => return Err(error),
        }
    }
    Ok(found.into_iter().collect())
}

async fn page(
    rpc: &Rpc,
    address: Address,
    queries: &[Topics],
    start: u64,
    end: u64,
) -> Result<Vec<(Place, Log)>, ChainError> {
    let mut page = Vec::new();
    for topics in queries {
        for log in rpc.logs(address, topics, start, end).await? {
            if !log.removed {
                page.push((Place::of(&log)?, log));
            }
        }
    }
    Ok(page)
}
