//! What the chain itself says was moved: the other side of the ledger's books.

use super::bindings::IEip3009Token;
use super::{ChainError, Rpc};
use alloy::primitives::{Address, B256, U256};
use alloy::rpc::types::Log;
use alloy::sol_types::SolEvent;
use std::collections::BTreeMap;

/// Blocks asked for at once; halved when a node refuses the range.
const SPAN_BLOCKS: u64 = 2_000;

/// Which transfers to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// Those this address paid.
    From(Address),
    /// Those this address received.
    To(Address),
    /// Both.
    Either(Address),
}

/// One `Transfer` event of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// The block's number.
    pub block: u64,
    /// The block's hash.
    pub block_hash: B256,
    /// The event's place in its block.
    pub log_index: u64,
    /// The transaction that emitted it.
    pub transaction: B256,
    /// The payer.
    pub from: Address,
    /// The payee.
    pub to: Address,
    /// The amount in atomic units.
    pub value: U256,
}

/// Reads all transfers of `asset` with `party` in a closed block range, in chain order.
///
/// Blocks that do not exist yet are left out. A range the node refuses is asked in smaller pieces; an
/// error leaves nothing half read.
pub async fn transfers(
    rpc: &Rpc,
    asset: Address,
    from_block: u64,
    to_block: u64,
    party: Party,
) -> Result<Vec<Moved>, ChainError> {
    let event = || vec![IEip3009Token::Transfer::SIGNATURE_HASH];
    let topic = |address: Address| vec![address.into_word()];
    let queries = match party {
        Party::From(a) => vec![vec![event(), topic(a)]],
        Party::To(a) => vec![vec![event(), Vec::new(), topic(a)]],
        Party::Either(a) => vec![vec![event(), topic(a)], vec![event(), Vec::new(), topic(a)]],
    };
    // Keyed by place in the chain: a transfer to oneself matches both queries but happened once.
    let mut found = BTreeMap::new();
    let to_block = to_block.min(rpc.latest_block().await?.number());
    let (mut start, mut span) = (from_block, SPAN_BLOCKS);
    while start <= to_block {
        let end = to_block.min(start.saturating_add(span - 1));
        match page(rpc, asset, &queries, start, end).await {
            Ok(page) => {
                found.extend(page.into_iter().map(|m| ((m.block, m.log_index), m)));
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
    Ok(found.into_values().collect())
}

async fn page(
    rpc: &Rpc,
    asset: Address,
    queries: &[Vec<Vec<B256>>],
    start: u64,
    end: u64,
) -> Result<Vec<Moved>, ChainError> {
    let mut page = Vec::new();
    for topics in queries {
        for log in rpc.logs(asset, topics, start, end).await? {
            page.push(read(&log)?);
        }
    }
    Ok(page)
}

fn read(log: &Log) -> Result<Moved, ChainError> {
    let missing = || ChainError::Malformed("a log without its place in the chain".to_owned());
    let event = IEip3009Token::Transfer::decode_log(&log.inner).map_err(ChainError::malformed)?;
    Ok(Moved {
        block: log.block_number.ok_or_else(missing)?,
        block_hash: log.block_hash.ok_or_else(missing)?,
        log_index: log.log_index.ok_or_else(missing)?,
        transaction: log.transaction_hash.ok_or_else(missing)?,
        from: event.from,
        to: event.to,
        value: event.value,
    })
}
