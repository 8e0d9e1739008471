//! Every operation about channels that the ledger says is on chain must have done there what it was
//! for, in that transaction and to the unit.

use super::Chain;
use super::books::{Books, Purse, Stands};
use crate::chain::audit::Step;
use crate::chain::{ChannelEventKind, Place};
use crate::ledger::{ChannelId, OperationId};
use crate::money::Units;
use crate::payment::Effect;
use alloy::primitives::{Address, B256, U256};
use std::collections::{BTreeMap, BTreeSet};

/// What the operations say.
#[derive(Debug, Default)]
pub(super) struct Operations {
    /// How many were looked up, by who is paid out of their channels.
    pub(super) checked: BTreeMap<Purse, usize>,
    /// The deposits and refunds on chain that are operations: each is one operation's.
    pub(super) theirs: BTreeSet<Place>,
    /// The channels with a refund on its way.
    pub(super) refunding: BTreeSet<ChannelId>,
    pub(super) notes: Vec<String>,
    pub(super) faults: Vec<String>,
}

/// A confirmed operation.
#[derive(Debug, Clone, Copy)]
struct Confirmed {
    id: OperationId,
    transaction: B256,
    ours: bool,
}

/// Where to look.
#[derive(Debug)]
struct Lives<'a> {
    chain: &'a Chain,
    purses: BTreeMap<ChannelId, Purse>,
}

pub(super) fn compare(books: &Books, chain: &Chain) -> Operations {
    let mut found = Operations::default();
    let lives = Lives::of(books, chain);
    for operation in &books.operations {
        let id = operation.id;
        match (operation.stands, &operation.effect) {
            (Stands::OnChain { .. }, None) => {
                found
                    .faults
                    .push(format!("{id}: its record cannot be read"));
            }
            (Stands::OnChain { transaction, ours }, Some(effect)) => {
                let confirmed = Confirmed {
                    id,
                    transaction,
                    ours,
                };
                found.look_up(confirmed, effect, &lives);
            }
            (Stands::OnItsWay, Some(Effect::Refund { channel, .. })) => {
                found.refunding.insert(*channel);
            }
            (Stands::OnItsWay | Stands::Nowhere, _) => {}
        }
    }
    found
}

impl Operations {
    fn look_up(&mut self, confirmed: Confirmed, effect: &Effect, lives: &Lives<'_>) {
        let purse = match effect {
            Effect::Deposit { channel, .. } | Effect::Refund { channel, .. } => {
                lives.purses.get(channel).copied()
            }
            Effect::Claims(totals) => totals
                .iter()
                .find_map(|(channel, _)| lives.purses.get(channel).copied()),
            Effect::Payout { receiver, token } => lives.purse(*receiver, *token),
        };
        let Confirmed {
            id, transaction, ..
        } = confirmed;
        let Some(purse) = purse else {
            let what = "is about channels that are not in this ledger, and was not looked up";
            return self.notes.push(format!("{id}: {transaction} {what}"));
        };
        let checked = self.checked.entry(purse).or_default();
        *checked = checked.saturating_add(1);
        match effect {
            Effect::Deposit { channel, amount } => {
                self.deposit(confirmed, *channel, *amount, lives);
            }
            Effect::Claims(totals) => {
                let claims = |(channel, total): &&(ChannelId, Units)| {
                    !confirmed.claims(*total, lives.of_channel(channel))
                };
                for (channel, total) in totals.iter().filter(claims) {
                    self.faults.push(format!(
                        "{id}: {transaction} does not bring what is claimed of {channel} to {total}"
                    ));
                }
            }
            Effect::Payout { receiver, token } => {
                if !lives.paid_in(transaction, *receiver, *token) {
                    self.faults.push(format!(
                        "{id}: {transaction} does not pay {receiver} what was claimed"
                    ));
                }
            }
            Effect::Refund {
                channel,
                amount,
                claimed,
            } => self.refund(confirmed, *channel, (*amount, *claimed), lives),
        }
    }

    fn deposit(&mut self, by: Confirmed, channel: ChannelId, amount: Units, lives: &Lives<'_>) {
        let is = |step: &&Step| matches!(step.kind, ChannelEventKind::Deposited { amount: came, .. } if came == amount.atomic());
        if self
            .take(by.transaction, lives.of_channel(&channel), is)
            .is_none()
        {
            self.faults.push(format!(
                "{}: {} does not put {amount} into {channel}",
                by.id, by.transaction
            ));
        }
    }

    fn refund(
        &mut self,
        by: Confirmed,
        channel: ChannelId,
        (amount, claimed): (Units, Option<Units>),
        lives: &Lives<'_>,
    ) {
        let (id, transaction) = (by.id, by.transaction);
        // The contract gives what it has when that is less: a withdrawal may have come first.
        let is = |step: &&Step| {
            let had = step.before.unclaimed().unwrap_or_default();
            let due = units(amount).min(had);
            matches!(step.kind, ChannelEventKind::Refunded { amount } if U256::from(amount) == due)
        };
        let Some(step) = self.take(transaction, lives.of_channel(&channel), is) else {
            return self.faults.push(format!(
                "{id}: {transaction} does not give {amount} of {channel} back"
            ));
        };
        if let Some(claimed) = claimed
            && step.before.claimed < units(claimed)
        {
            self.faults.push(format!(
                "{id}: {transaction} gave {channel} back before {claimed} were claimed of it"
            ));
        }
    }

    /// Takes such an event of a transaction for one operation.
    fn take(
        &mut self,
        transaction: B256,
        life: &[Step],
        is: impl Fn(&&Step) -> bool,
    ) -> Option<Step> {
        let mut there = life.iter().filter(|s| s.place.transaction == transaction);
        let step = there.find(|step| is(step) && !self.theirs.contains(&step.place))?;
        self.theirs.insert(step.place);
        Some(*step)
    }
}

impl Confirmed {
    /// Whether the total was claimed in its transaction; one that somebody else sent may claim more.
    fn claims(&self, total: Units, life: &[Step]) -> bool {
        let total = total.atomic();
        let mut there = life
            .iter()
            .filter(|step| step.place.transaction == self.transaction);
        there.any(|step| match step.kind {
            ChannelEventKind::Claimed { new_total, .. } => {
                new_total == total || (!self.ours && new_total > total)
            }
            _ => false,
        })
    }
}

impl<'a> Lives<'a> {
    fn of(books: &Books, chain: &'a Chain) -> Self {
        let each = books.channels.iter().flat_map(|(purse, channels)| {
            let id = |channel: &super::books::Channel| channel.state.opening.channel;
            channels.iter().map(move |channel| (id(channel), *purse))
        });
        Self {
            chain,
            purses: each.collect(),
        }
    }

    fn of_channel(&self, channel: &ChannelId) -> &'a [Step] {
        let purse = self.purses.get(channel);
        let flows = purse.and_then(|purse| self.chain.flows.get(purse));
        flows.map_or(&[], |flows| flows.life(&B256::from(*channel.as_bytes())))
    }

    /// Who is paid in this token, by whichever contract.
    fn purse(&self, receiver: Address, token: Address) -> Option<Purse> {
        let mut purses = self.purses.values();
        let found = purses.find(|purse| (purse.receiver, purse.token) == (receiver, token));
        found.copied()
    }

    fn paid_in(&self, transaction: B256, receiver: Address, token: Address) -> bool {
        let its = self.chain.flows.iter();
        let its = its.filter(|(p, _)| (p.receiver, p.token) == (receiver, token));
        its.flat_map(|(_, flows)| &flows.payouts)
            .any(|payout| payout.place.transaction == transaction)
    }
}

fn units(units: Units) -> U256 {
    U256::from(units.atomic())
}
