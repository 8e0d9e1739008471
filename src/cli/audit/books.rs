//! The ledger's side of an audit: what must be on chain, and what may come there yet.

use crate::cli::Failure;
use crate::ledger::{
    CallState, ChannelOpening, ChannelState, EntityId, Event, LogEntry, OperationId, OperationKind,
    OperationState, Replayed, SettleWhen, Settlement, WithdrawalState, replay,
};
use crate::payment::{Effect, is_session};
use crate::protocol::Network;
use alloy::primitives::{Address, B256, U256};
use std::collections::BTreeMap;

/// What a ledger says of one chain.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) transfers: Vec<Transfer>,
    pub(super) channels: BTreeMap<Purse, Vec<Channel>>,
    pub(super) operations: Vec<Done>,
    /// How many calls, withdrawals and channels are on other chains.
    pub(super) elsewhere: usize,
}

/// Out of which contract whom is paid in what: the contract pays for all channels of these at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Purse {
    pub(super) contract: Address,
    pub(super) receiver: Address,
    pub(super) token: Address,
}

/// A transfer that settles a call or pays a withdrawal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) id: EntityId,
    pub(super) asset: Address,
    /// The payer of a call; who pays credit out is the operator's affair.
    pub(super) from: Option<Address>,
    pub(super) to: Address,
    pub(super) value: U256,
    pub(super) stands: Stands,
}

/// A channel, and the block at which it was taken into the books.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    pub(super) state: ChannelState,
    pub(super) opened_at: u64,
}

/// An operation about channels; without an effect its record cannot be read.
#[derive(Debug, Clone)]
pub(super) struct Done {
    pub(super) id: OperationId,
    pub(super) effect: Option<Effect>,
    pub(super) stands: Stands,
}

/// Where the ledger says something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// It may be on chain by now, or come there.
    OnItsWay,
    OnChain {
        transaction: B256,
        /// Whether the gateway sent it; others can do some things too.
        ours: bool,
    },
    /// It failed, or is not wanted.
    Nowhere,
}

impl Books {
    /// The books of a ledger on one chain.
    pub(super) fn of(entries: &[LogEntry], chain_id: u64) -> Result<Self, Failure> {
        let Replayed {
            calls,
            withdrawals,
            channels,
            operations,
        } = replay(entries).map_err(Failure::other)?;
        let opened = openings(entries);
        let here =
            |network: &str| Ok::<_, Failure>(read::<Network>(network)?.chain_id() == chain_id);
        let mut books = Self::default();
        for (id, state) in calls {
            if !here(&state.hold.network)? {
                books.elsewhere = books.elsewhere.saturating_add(1);
            } else if state.hold.settle_when != SettleWhen::ByClaim && !state.hold.held.is_zero() {
                // What a channel pays is moved by its claims, many calls at a time; for what is free
                // nothing is.
                books.transfers.push(of_call(EntityId::Call(id), &state)?);
            }
        }
        for (id, state) in withdrawals {
            if !here(&state.withdrawal.network)? {
                books.elsewhere = books.elsewhere.saturating_add(1);
                continue;
            }
            let id = EntityId::Withdrawal(id);
            books.transfers.push(of_withdrawal(id, &state)?);
        }
        for (id, state) in channels {
            if !here(&state.opening.network)? {
                books.elsewhere = books.elsewhere.saturating_add(1);
                continue;
            }
            let purse = Purse::of(&state.opening)?;
            let opened_at = opened
                .get(&EntityId::Channel(id))
                .copied()
                .unwrap_or_default();
            let channel = Channel { state, opened_at };
            books.channels.entry(purse).or_default().push(channel);
        }
        for state in operations.into_values() {
            books.operations.extend(Done::of(&state)?);
        }
        Ok(books)
    }
}

impl Purse {
    fn of(opening: &ChannelOpening) -> Result<Self, Failure> {
        Ok(Self {
            contract: read(&opening.contract)?,
            receiver: read(&opening.receiver)?,
            token: read(&opening.asset)?,
        })
    }
}

impl Channel {
    /// Whether it is of MPP's sessions, which another kind of contract keeps.
    pub(super) fn is_of_session(&self) -> bool {
        is_session(&self.state.opening)
    }

    /// The channel as its contract names it.
    pub(super) fn on_chain_id(&self) -> B256 {
        B256::from(*self.state.opening.channel.as_bytes())
    }
}

impl Done {
    /// `None` for one that has nothing to do with channels: what a batch settles is booked by its calls.
    fn of(state: &OperationState) -> Result<Option<Self>, Failure> {
        let operation = &state.operation;
        if matches!(
            operation.kind,
            OperationKind::Batch | OperationKind::Funding
        ) {
            return Ok(None);
        }
        Ok(Some(Self {
            id: operation.id,
            effect: Effect::of(operation),
            stands: Stands::of(&state.settlement, state.open())?,
        }))
    }
}

impl Stands {
    fn of(settlement: &Settlement, open: bool) -> Result<Self, Failure> {
        Ok(match settlement {
            Settlement::Confirmed {
                transaction,
                broadcast,
                ..
            } => {
                let attempts = broadcast.iter().flat_map(|b| &b.attempts);
                let ours = attempts.map(|a| &a.transaction).any(|t| t == transaction);
                Self::OnChain {
                    transaction: read(transaction)?,
                    ours,
                }
            }
            Settlement::None | Settlement::Sent { .. } if open => Self::OnItsWay,
            Settlement::None | Settlement::Sent { .. } | Settlement::Failed { .. } => Self::Nowhere,
        })
    }
}

fn of_call(id: EntityId, state: &CallState) -> Result<Transfer, Failure> {
    let hold = &state.hold;
    let to = hold.authorization.get("to").and_then(|to| to.as_str());
    let value = state.settlement_amount().unwrap_or(hold.held);
    Ok(Transfer {
        id,
        asset: read(&hold.asset)?,
        from: Some(read(&hold.payer)?),
        to: read(to.unwrap_or_default())?,
        value: U256::from(value.atomic()),
        stands: Stands::of(&state.settlement, state.open())?,
    })
}

fn of_withdrawal(id: EntityId, state: &WithdrawalState) -> Result<Transfer, Failure> {
    let withdrawal = &state.withdrawal;
    Ok(Transfer {
        id,
        asset: read(&withdrawal.asset)?,
        from: None,
        to: read(&withdrawal.payer)?,
        value: U256::from(withdrawal.amount.atomic()),
        stands: Stands::of(&state.settlement, state.open())?,
    })
}

/// At which block each channel was taken into the books.
fn openings(entries: &[LogEntry]) -> BTreeMap<EntityId, u64> {
    let channels = entries
        .iter()
        .filter(|entry| matches!(entry.id, EntityId::Channel(_)));
    let opened = channels.filter_map(|entry| match entry.events().ok()?.first()? {
        Event::ChannelOpened { on_chain, .. } => Some((entry.id, on_chain.block)),
        _ => None,
    });
    opened.collect()
}

fn read<T: std::str::FromStr>(text: &str) -> Result<T, Failure> {
    text.parse()
        .map_err(|_| Failure::other("the ledger holds an event that cannot be read"))
}
