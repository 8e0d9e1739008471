//! The ledger's word against the chain's: every settlement and payout it books must be there, once.

use super::Failure;
use crate::chain::audit::{Moved, Party, transfers};
use crate::chain::{ChainError, Rpc};
use crate::ledger::{EntityId, Event, LogEntry, SettleWhen, Takes};
use crate::protocol::Network;
use alloy::primitives::{Address, B256, U256};
use std::collections::{BTreeMap, BTreeSet};

/// What an audit found.
#[derive(Debug)]
pub(super) struct Audit {
    /// Transfers of the ledger that were looked up.
    pub(super) checked: usize,
    /// What does not agree.
    pub(super) faults: Vec<String>,
    /// Transfers to the payee by accounts the ledger does not know.
    pub(super) foreign: usize,
}

/// A transfer that the ledger says was confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Booked {
    asset: Address,
    from: Option<Address>,
    to: Address,
    value: U256,
    transaction: Option<B256>,
}

pub(super) async fn audit(entries: &[LogEntry], rpc_url: &str) -> Result<Audit, Failure> {
    let (booked, network) = booked(entries)?;
    let Some(network) = network else {
        return Ok(Audit {
            checked: 0,
            faults: Vec::new(),
            foreign: 0,
        });
    };
    let rpc = Rpc::connect(rpc_url, network.chain_id())
        .await
        .map_err(Failure::other)?;
    let assets: BTreeSet<Address> = booked.values().map(|transfer| transfer.asset).collect();
    let payees: BTreeSet<Address> = booked
        .values()
        .filter(|transfer| transfer.from.is_some())
        .map(|transfer| transfer.to)
        .collect();
    let moved = moved(&rpc, &assets, &payees)
        .await
        .map_err(Failure::other)?;
    Ok(compare(&booked, moved))
}

fn booked(entries: &[LogEntry]) -> Result<(BTreeMap<EntityId, Booked>, Option<Network>), Failure> {
    let unreadable = || Failure::other("the ledger holds an event that cannot be read");
    let mut booked: BTreeMap<EntityId, Booked> = BTreeMap::new();
    let mut network = None;
    let mut takes_the_bill = BTreeSet::new();
    for entry in entries {
        match entry.parsed().map_err(|_| unreadable())? {
            Event::Held(hold) => {
                network = Some(hold.network.parse().map_err(|_| unreadable())?);
                // What a channel pays is moved by its claims, many calls at a time.
                if hold.settle_when == SettleWhen::ByClaim {
                    continue;
                }
                if hold.takes == Takes::Charged {
                    takes_the_bill.insert(entry.id);
                }
                let to = hold
                    .authorization
                    .get("to")
                    .and_then(|to| to.as_str())
                    .unwrap_or_default();
                booked.insert(
                    entry.id,
                    Booked {
                        asset: hold.asset.parse().map_err(|_| unreadable())?,
                        from: Some(hold.payer.parse().map_err(|_| unreadable())?),
                        to: to.parse().map_err(|_| unreadable())?,
                        value: U256::from(hold.held.atomic()),
                        transaction: None,
                    },
                );
            }
            Event::WithdrawalRequested(withdrawal) => {
                booked.insert(
                    entry.id,
                    Booked {
                        asset: withdrawal.asset.parse().map_err(|_| unreadable())?,
                        from: None,
                        to: withdrawal.payer.parse().map_err(|_| unreadable())?,
                        value: U256::from(withdrawal.amount.atomic()),
                        transaction: None,
                    },
                );
            }
            Event::Captured(capture) if takes_the_bill.contains(&entry.id) => {
                if let Some(transfer) = booked.get_mut(&entry.id) {
                    transfer.value = U256::from(capture.charged.atomic());
                }
            }
            Event::SettlementConfirmed { transaction, .. } => {
                let transaction: B256 = transaction.parse().map_err(|_| unreadable())?;
                if let Some(transfer) = booked.get_mut(&entry.id) {
                    transfer.transaction = Some(transaction);
                }
            }
            Event::SettlementReorged { .. } => {
                if let Some(transfer) = booked.get_mut(&entry.id) {
                    transfer.transaction = None;
                }
            }
            _ => {}
        }
    }
    Ok((booked, network))
}

async fn moved(
    rpc: &Rpc,
    assets: &BTreeSet<Address>,
    payees: &BTreeSet<Address>,
) -> Result<Vec<Moved>, ChainError> {
    let newest = rpc.latest_block().await?.number();
    let mut all = Vec::new();
    for asset in assets {
        for payee in payees {
            all.extend(transfers(rpc, *asset, 0, newest, Party::Either(*payee)).await?);
        }
    }
    Ok(all)
}

fn compare(booked: &BTreeMap<EntityId, Booked>, mut moved: Vec<Moved>) -> Audit {
    let mut faults = Vec::new();
    let mut checked = 0usize;
    for (id, transfer) in booked {
        let Some(transaction) = transfer.transaction else {
            continue;
        };
        checked = checked.saturating_add(1);
        let same = moved.iter().position(|m| {
            m.transaction == transaction
                && m.to == transfer.to
                && m.value == transfer.value
                && transfer.from.is_none_or(|from| from == m.from)
        });
        match same {
            Some(index) => drop(moved.swap_remove(index)),
            None => faults.push(format!(
                "{id}: {transaction} does not hold its transfer of {} to {}",
                transfer.value, transfer.to
            )),
        }
    }
    let payees: BTreeSet<Address> = booked
        .values()
        .filter(|transfer| transfer.from.is_some())
        .map(|transfer| transfer.to)
        .collect();
    let payers: BTreeSet<Address> = booked
        .values()
        .filter_map(|transfer| transfer.from)
        .collect();
    let mut foreign = 0usize;
    for m in moved.iter().filter(|m| payees.contains(&m.to)) {
        if payers.contains(&m.from) {
            faults.push(format!(
                "{} moved {} from {} to the payee, and the ledger does not know it",
                m.transaction, m.value, m.from
            ));
        } else {
            foreign = foreign.saturating_add(1);
        }
    }
    Audit {
        checked,
        faults,
        foreign,
    }
}
