//! The ledger's word against the chain's: what it books as moved must be there, once, and what is
//! there it must know.

mod books;
mod channels;
mod operations;
mod transfers;

use super::Failure;
use crate::chain::audit::{
    ChannelFlows, Moved, Party, channel_flows, session_flows, transfers as token_transfers,
};
use crate::chain::{ChainError, Rpc};
use crate::ledger::LogEntry;
use alloy::primitives::{Address, B256};
use books::{Books, Channel, Purse};
use channels::Channels;
use std::collections::{BTreeMap, BTreeSet};

/// What an audit found.
#[derive(Debug)]
pub(super) struct Audit {
    /// Transfers of the ledger that were looked up.
    pub(super) transfers: usize,
    /// Transfers to the payee by accounts the ledger does not know.
    pub(super) foreign: usize,
    /// The ledger's channels, by who is paid out of them.
    pub(super) channels: Vec<Channels>,
    /// What a reader should know, though nothing disagrees.
    pub(super) notes: Vec<String>,
    /// What does not agree.
    pub(super) faults: Vec<String>,
}

/// What the chain says of the accounts and channels in the books.
#[derive(Debug, Default)]
struct Chain {
    /// All that is in this block or before it happened before the ledger was read.
    known_to: u64,
    /// The last block that was read.
    newest: u64,
    /// Transfers, with their token.
    moved: Vec<(Address, Moved)>,
    flows: BTreeMap<Purse, ChannelFlows>,
}

/// Compares a ledger, which is asked for once the chain was looked at: what the chain had by then, a
/// gateway that goes on meanwhile has in its books.
pub(super) async fn audit(
    rpc_url: &str,
    entries: impl Future<Output = Result<Vec<LogEntry>, Failure>>,
) -> Result<Audit, Failure> {
    let rpc = Rpc::connect_to_any(rpc_url).await.map_err(Failure::other)?;
    let known_to = rpc.latest_block().await.map_err(Failure::other)?.number();
    let books = Books::of(&entries.await?, rpc.chain_id())?;
    let chain = Chain::read(&rpc, &books, known_to).await;
    Ok(compare(&books, &chain.map_err(Failure::other)?))
}

impl Chain {
    async fn read(rpc: &Rpc, books: &Books, known_to: u64) -> Result<Self, ChainError> {
        let newest = rpc.latest_block().await?.number();
        let mut moved = Vec::new();
        for (asset, receiver) in books.receivers() {
            let party = Party::To(receiver);
            let found = token_transfers(rpc, asset, 0, newest, party).await?;
            moved.extend(found.into_iter().map(|m| (asset, m)));
        }
        let mut flows = BTreeMap::new();
        for (purse, channels) in &books.channels {
            let ids: Vec<B256> = channels
                .iter()
                .map(|channel| channel.on_chain_id())
                .collect();
            let paid = (purse.receiver, purse.token);
            let range = (0, newest);
            let found = match channels.iter().any(Channel::is_of_session) {
                true => session_flows(rpc, purse.contract, &ids, range).await?,
                false => channel_flows(rpc, purse.contract, &ids, paid, range).await?,
            };
            flows.insert(*purse, found);
        }
        Ok(Self {
            known_to,
            newest,
            moved,
            flows,
        })
    }
}

fn compare(books: &Books, chain: &Chain) -> Audit {
    let transfers = transfers::compare(books, chain);
    let channels = channels::compare(books, chain);
    let mut notes = channels.notes;
    if books.elsewhere > 0 {
        let what = "calls, withdrawals and channels on other chains were not looked up";
        notes.push(format!("{} {what}", books.elsewhere));
    }
    Audit {
        transfers: transfers.checked,
        foreign: transfers.foreign,
        channels: channels.checked,
        notes,
        faults: [transfers.faults, channels.faults].concat(),
    }
}

impl Books {
    /// Whom the ledger says tokens went to, by token.
    fn receivers(&self) -> BTreeSet<(Address, Address)> {
        let transfers = self.transfers.iter().map(|t| (t.asset, t.to));
        let purses = self
            .channels
            .keys()
            .map(|purse| (purse.token, purse.receiver));
        transfers.chain(purses).collect()
    }
}

#[cfg(test)]
mod tests;
