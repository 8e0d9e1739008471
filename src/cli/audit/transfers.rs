//! Every settlement, payout of credit and payout of channels must be a transfer of its token, once;
//! and no payer the ledger knows may have paid beside it.

use super::Chain;
use super::books::{Books, Purse, Stands, Transfer};
use crate::chain::audit::{Moved, Payout};
use alloy::primitives::{Address, B256, U256};
use std::collections::{BTreeMap, BTreeSet};

/// What the transfers say.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    pub(super) checked: usize,
    pub(super) foreign: usize,
    pub(super) faults: Vec<String>,
}

/// Transfers that nothing in the books was found to be, by transaction.
#[derive(Debug, Default)]
struct Left(BTreeMap<B256, Vec<(Address, Moved)>>);

pub(super) fn compare(books: &Books, chain: &Chain) -> Transfers {
    let mut found = Transfers::default();
    let mut left = Left::of(&chain.moved);
    for transfer in &books.transfers {
        let Stands::OnChain { transaction, .. } = transfer.stands else {
            continue;
        };
        found.checked = found.checked.saturating_add(1);
        if !left.take(transaction, |asset, m| transfer.is(asset, m)) {
            found.faults.push(format!(
                "{}: {transaction} does not hold its transfer of {} to {}",
                transfer.id, transfer.value, transfer.to
            ));
        }
    }
    for (purse, flows) in &chain.flows {
        for payout in &flows.payouts {
            let transaction = payout.place.transaction;
            if !left.take(transaction, |asset, m| purse.paid(payout, asset, m)) {
                found.faults.push(format!(
                    "{transaction} paid {} out of channels to {}, and the token moved nothing like it",
                    payout.amount, purse.receiver
                ));
            }
        }
    }
    left.unknown(books, chain.known_to, &mut found);
    found
}

impl Transfer {
    fn is(&self, asset: Address, m: &Moved) -> bool {
        asset == self.asset
            && m.to == self.to
            && m.value == self.value
            && self.from.is_none_or(|from| from == m.from)
    }
}

impl Purse {
    fn paid(&self, payout: &Payout, asset: Address, m: &Moved) -> bool {
        asset == self.token
            && m.from == self.contract
            && m.to == self.receiver
            && m.value == U256::from(payout.amount)
    }
}

impl Left {
    fn of(moved: &[(Address, Moved)]) -> Self {
        let mut left: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (asset, m) in moved {
            left.entry(m.transaction).or_default().push((*asset, *m));
        }
        Self(left)
    }

    /// Takes one such transfer of a transaction out, if there is one.
    fn take(&mut self, transaction: B256, is: impl Fn(Address, &Moved) -> bool) -> bool {
        let Some(moved) = self.0.get_mut(&transaction) else {
            return false;
        };
        let at = moved.iter().position(|(asset, m)| is(*asset, m));
        at.map(|at| moved.swap_remove(at)).is_some()
    }

    /// Says what of the rest came to a payee from a payer that the ledger knows, but for what is on
    /// its way and what is newer than the ledger.
    fn unknown(&self, books: &Books, known_to: u64, found: &mut Transfers) {
        let calls = books.transfers.iter().filter(|t| t.from.is_some());
        let payers: BTreeSet<Address> = calls.clone().filter_map(|t| t.from).collect();
        let of_calls = calls.map(|t| (t.asset, t.to));
        let of_channels = books.channels.keys().map(|p| (p.token, p.receiver));
        let payees: BTreeSet<(Address, Address)> = of_calls.chain(of_channels).collect();
        let on_its_way = |t: &&Transfer| t.stands == Stands::OnItsWay;
        let mut coming: Vec<&Transfer> = books.transfers.iter().filter(on_its_way).collect();
        for (asset, m) in self.0.values().flatten() {
            if !payees.contains(&(*asset, m.to)) {
                continue;
            }
            if !payers.contains(&m.from) {
                found.foreign = found.foreign.saturating_add(1);
            } else if let Some(at) = coming.iter().position(|t| t.is(*asset, m)) {
                coming.swap_remove(at);
            } else if m.block <= known_to {
                found.faults.push(format!(
                    "{} moved {} from {} to the payee, and the ledger does not know it",
                    m.transaction, m.value, m.from
                ));
            }
        }
    }
}
