//! Every channel must be on chain as the ledger saw it, and what was charged on it must be claimed,
//! claimable, or told as lost.

use super::Chain;
use super::books::{Books, Channel, Purse};
use super::operations::{self, Operations};
use crate::chain::ChannelEventKind;
use crate::chain::audit::{ChannelFlows, Flow, Step};
use crate::ledger::ChannelState;
use crate::money::Units;
use alloy::primitives::{Address, U256};
use std::fmt;

/// What the channels say.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) checked: Vec<Channels>,
    pub(super) notes: Vec<String>,
    pub(super) faults: Vec<String>,
}

/// The channels that one receiver is paid out of in one token, in atomic units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Channels {
    receiver: Address,
    channels: usize,
    /// Confirmed operations that were looked up.
    operations: usize,
    /// All that happened to the channels.
    flow: Flow,
    /// What is in them and was not claimed.
    left: U256,
    paid_out: U256,
    charged: U256,
    unclaimed: Unclaimed,
}

/// What was charged and is not claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Unclaimed {
    /// A claim would bring it.
    claimable: U256,
    /// It went back to the payer.
    lost: U256,
    /// The payer said that it was charged before the channel came into these books, and no voucher
    /// says so yet.
    unsigned: U256,
}

pub(super) fn compare(books: &Books, chain: &Chain) -> Found {
    let operations = operations::compare(books, chain);
    let mut found = Found::default();
    let none = ChannelFlows::default();
    for (purse, channels) in &books.channels {
        let flows = chain.flows.get(purse).unwrap_or(&none);
        let mut all = Channels::none(*purse, flows);
        all.operations = operations.checked.get(purse).copied().unwrap_or_default();
        for channel in channels {
            found.hold(channel, flows, chain, &operations);
            all.add(&channel.state, flows.now(&channel.on_chain_id()));
        }
        found.notes.extend(all.strange());
        found.checked.push(all);
    }
    found.notes.extend(operations.notes);
    found.faults.extend(operations.faults);
    found
}

impl Found {
    /// Holds one channel against its life on chain.
    fn hold(&mut self, channel: &Channel, flows: &ChannelFlows, chain: &Chain, by: &Operations) {
        let state = &channel.state;
        let id = state.opening.channel;
        let chain_id = channel.on_chain_id();
        let now = flows.now(&chain_id);
        if now.unclaimed().is_none() {
            self.faults
                .push(format!("{id}: more came out of it than was put in"));
        }
        if !was_seen(channel, flows, chain.newest) {
            let seen = &state.on_chain;
            let then = flows.at(&chain_id, seen.block);
            self.faults.push(format!(
                "{id}: the ledger saw {} in it and {} claimed at block {}, and the chain, which is at block {}, says {} and {}",
                seen.balance,
                seen.total_claimed,
                seen.block,
                chain.newest,
                then.held().unwrap_or_default(),
                then.claimed
            ));
        }
        // A claim on its way is for what was charged.
        let claimed = flows.at(&chain_id, chain.known_to).claimed;
        if claimed > units(state.charged) {
            self.faults.push(format!(
                "{id}: {claimed} were claimed of it, and it was charged {}",
                state.charged
            ));
        }
        let unknown = |step: &&Step| {
            let block = step.place.block;
            block > channel.opened_at && block <= chain.known_to && !by.theirs.contains(&step.place)
        };
        for step in flows.life(&chain_id).iter().filter(unknown) {
            if let ChannelEventKind::Refunded { amount } = step.kind
                && !by.refunding.contains(&id)
            {
                self.faults.push(format!(
                    "{} gave {amount} of {id} back, and the ledger does not know it",
                    step.place.transaction
                ));
            }
        }
        let Unclaimed { lost, unsigned, .. } = Unclaimed::of(state, now);
        if !lost.is_zero() {
            self.notes.push(format!(
                "{id}: {lost} that it was charged went back to its payer unclaimed: lost"
            ));
        }
        if !unsigned.is_zero() {
            self.notes.push(format!(
                "{id}: {unsigned} that its payer says it was charged before are under no voucher"
            ));
        }
    }
}

/// Whether the channel was once as the ledger saw it, at that block or later: the block is the newest
/// that the node knew just before.
fn was_seen(channel: &Channel, flows: &ChannelFlows, newest: u64) -> bool {
    let seen = &channel.state.on_chain;
    let id = channel.on_chain_id();
    let same = |flow: Flow| {
        flow.held() == Some(units(seen.balance)) && flow.claimed == units(seen.total_claimed)
    };
    let later = |step: &&Step| step.place.block > seen.block;
    let mut afterwards = flows.life(&id).iter().filter(later);
    let then = flows.at(&id, seen.block);
    seen.block <= newest && (same(then) || afterwards.any(|step| same(step.after)))
}

impl Unclaimed {
    fn of(state: &ChannelState, now: Flow) -> Self {
        let (charged, claimed) = (units(state.charged), now.claimed);
        let signed = state.voucher.as_ref().map(|v| units(v.max_claimable));
        let covered = charged.min(signed.unwrap_or_default()).max(claimed);
        let reachable = covered.min(now.held().unwrap_or_default()).max(claimed);
        Self {
            claimable: reachable.saturating_sub(claimed),
            lost: covered.saturating_sub(reachable),
            unsigned: charged.saturating_sub(covered),
        }
    }
}

impl Channels {
    fn none(purse: Purse, flows: &ChannelFlows) -> Self {
        Self {
            receiver: purse.receiver,
            channels: 0,
            operations: 0,
            flow: Flow::default(),
            left: U256::ZERO,
            paid_out: flows.paid_out(),
            charged: U256::ZERO,
            unclaimed: Unclaimed::default(),
        }
    }

    fn add(&mut self, state: &ChannelState, now: Flow) {
        self.channels = self.channels.saturating_add(1);
        let unclaimed = Unclaimed::of(state, now);
        for (sum, amount) in [
            (&mut self.flow.deposited, now.deposited),
            (&mut self.flow.claimed, now.claimed),
            (&mut self.flow.refunded, now.refunded),
            (&mut self.flow.withdrawn, now.withdrawn),
            (&mut self.left, now.unclaimed().unwrap_or_default()),
            (&mut self.charged, units(state.charged)),
            (&mut self.unclaimed.claimable, unclaimed.claimable),
            (&mut self.unclaimed.lost, unclaimed.lost),
            (&mut self.unclaimed.unsigned, unclaimed.unsigned),
        ] {
            *sum = sum.saturating_add(amount);
        }
    }

    /// What the receiver was paid beyond what was claimed of these channels.
    fn strange(&self) -> Option<String> {
        let more = self.paid_out.saturating_sub(self.flow.claimed);
        (!more.is_zero()).then(|| {
            format!(
                "{more} were paid out to {} for channels that this ledger does not have",
                self.receiver
            )
        })
    }
}

impl fmt::Display for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Flow {
            deposited,
            claimed,
            refunded,
            withdrawn,
        } = self.flow;
        let Unclaimed {
            claimable,
            lost,
            unsigned,
        } = self.unclaimed;
        let due = claimed.saturating_sub(self.paid_out);
        write!(
            f,
            "{} looked up and {} operations on them, to {}: {deposited} put in = {claimed} claimed + {refunded} refunded + {withdrawn} withdrawn + {} left; {} charged = {claimed} claimed + {claimable} claimable + {lost} lost",
            self.channels, self.operations, self.receiver, self.left, self.charged
        )?;
        if !unsigned.is_zero() {
            write!(f, " + {unsigned} under no voucher")?;
        }
        write!(f, "; {} paid out, {due} due", self.paid_out)
    }
}

fn units(units: Units) -> U256 {
    U256::from(units.atomic())
}
