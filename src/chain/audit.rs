//! What the chain itself says was moved: the other side of the ledger's books.

mod channels;
mod sessions;

pub use channels::{ChannelFlows, Flow, Payout, Step, channel_flows};
pub use sessions::session_flows;

use super::bindings::IEip3009Token;
use super::logs::{Place, paged};
use super::{ChainError, Rpc};
use alloy::primitives::{Address, B256, U256};
use alloy::rpc::types::Log;
use alloy::sol_types::SolEvent;

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
    paged(rpc, asset, &queries, from_block, to_block)
        .await?
        .iter()
        .map(|(place, log)| read(*place, log))
        .collect()
}

fn read(place: Place, log: &Log) -> Result<Moved, ChainError> {
    let event = IEip3009Token::Transfer::decode_log(&log.inner).map_err(ChainError::malformed)?;
    Ok(Moved {
        block: place.block,
        block_hash: place.block_hash,
        log_index: place.log_index,
        transaction: place.transaction,
        from: event.from,
        to: event.to,
        value: event.value,
    })
}
