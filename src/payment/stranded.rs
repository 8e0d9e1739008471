//! What was left open under other keys than today's and only they can finish: a start without them
//! would lose it in silence.

use super::authorized::ledger_name;
use super::channel::config_of;
use super::tempo::is_session;
use crate::config::RailKind;
use crate::ledger::{
    CallState, ChannelState, EntityId, OpenItems, OperationKind, OperationState, Settlement,
    WithdrawalState,
};
use alloy::primitives::Address;
use std::collections::BTreeSet;

/// The accounts that this gateway can act as.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Sends settlements.
    pub relayer: Address,
    /// Pays withdrawals out.
    pub payout: Option<Address>,
    /// Signs claims.
    pub authorizer: Address,
    /// The settlers that take calls from the relayer.
    pub settlers: BTreeSet<Address>,
}

/// Something open that needs an account which this gateway cannot act as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stranded {
    /// What it is.
    pub id: EntityId,
    /// The account that can finish it.
    pub needs: Address,
}

/// Who else than the relayer was quoted to settle what is open, or may be open again: settlers, where
/// they still take calls from it.
pub fn quoted_settlers(open: &OpenItems, relayer: Address) -> BTreeSet<Address> {
    let calls = open.calls.iter().chain(&open.settled_calls);
    let quoted = calls.filter_map(facilitator);
    quoted.filter(|quoted| *quoted != relayer).collect()
}

/// What is open and cannot be finished by these accounts.
pub fn stranded(open: &OpenItems, channels: &[ChannelState], keys: &Keys) -> Vec<Stranded> {
    let calls = open.calls.iter().map(|state| {
        let id = EntityId::Call(state.hold.call);
        (id, call_needs(state, keys))
    });
    let operations = open.operations.iter().map(|state| {
        let id = EntityId::Operation(state.operation.id);
        (id, operation_needs(state, keys))
    });
    let withdrawals = open.withdrawals.iter().map(|state| {
        let id = EntityId::Withdrawal(state.withdrawal.id);
        (id, withdrawal_needs(state, keys))
    });
    let channels = channels.iter().map(|state| {
        let id = EntityId::Channel(state.opening.channel);
        (id, channel_needs(state, keys))
    });
    let all = calls.chain(operations).chain(withdrawals).chain(channels);
    all.filter_map(|(id, needs)| Some(Stranded { id, needs: needs? }))
        .collect()
}

/// The witness of `upto` names who alone may settle.
fn call_needs(state: &CallState, keys: &Keys) -> Option<Address> {
    let under_way = matches!(state.settlement, Settlement::Sent { .. });
    if !under_way && !state.settlement_due() {
        return None;
    }
    let quoted = facilitator(state).filter(|quoted| *quoted != keys.relayer)?;
    match keys.settlers.contains(&quoted) {
        // A settler's call is kept to once by its sender's nonce.
        true => other_sender(&state.settlement, keys.relayer),
        false => Some(quoted),
    }
}

fn operation_needs(state: &OperationState, keys: &Keys) -> Option<Address> {
    match state.operation.kind {
        OperationKind::Batch | OperationKind::Funding => {
            other_sender(&state.settlement, keys.relayer)
        }
        OperationKind::Deposit
        | OperationKind::Claim
        | OperationKind::Settle
        | OperationKind::Refund
        | OperationKind::SessionDeposit
        | OperationKind::SessionClose => None,
    }
}

fn withdrawal_needs(state: &WithdrawalState, keys: &Keys) -> Option<Address> {
    other_sender(&state.settlement, keys.payout.unwrap_or_default())
}

/// A channel names at its opening who alone may claim; a session's is its payee.
fn channel_needs(state: &ChannelState, keys: &Keys) -> Option<Address> {
    if is_session(&state.opening) {
        let payee = state.opening.receiver.parse().ok()?;
        let owes = !state.unclaimed().is_zero();
        return (owes && payee != keys.relayer).then_some(payee);
    }
    let named = config_of(&state.opening)?.receiver_authorizer;
    let owes = !state.unclaimed().is_zero();
    (owes && named != keys.authorizer).then_some(named)
}

fn facilitator(state: &CallState) -> Option<Address> {
    let hold = &state.hold;
    if hold.rail != ledger_name(RailKind::Upto) {
        return None;
    }
    let quoted = hold.authorization.get("facilitator")?;
    quoted.as_str()?.parse().ok()
}

/// Who sent what may still be mined, if that was another account.
fn other_sender(settlement: &Settlement, own: Address) -> Option<Address> {
    let Settlement::Sent { broadcast } = settlement else {
        return None;
    };
    let senders = broadcast.attempts.iter();
    let mut senders = senders.filter_map(|attempt| attempt.relayer.parse().ok());
    senders.find(|sender: &Address| *sender != own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Attempt, Broadcast, Operation, OperationId, Withdrawal, WithdrawalId};
    use crate::money::Units;

    const OWN: Address = Address::repeat_byte(1);
    const OLD: Address = Address::repeat_byte(2);

    fn keys() -> Keys {
        Keys {
            relayer: OWN,
            payout: Some(OWN),
            authorizer: OWN,
            settlers: BTreeSet::new(),
        }
    }

    fn sent_by(senders: &[Address]) -> Settlement {
        let attempt = |sender: &Address| Attempt {
            relayer: format!("{sender:#x}"),
            lane_nonce: 0,
            transaction: "0x1".to_owned(),
            raw_transaction: String::new(),
        };
        let attempts = senders.iter().map(attempt).collect();
        Settlement::Sent {
            broadcast: Broadcast { attempts, at_ms: 1 },
        }
    }

    fn operation(kind: OperationKind, settlement: Settlement) -> OperationState {
        let operation = Operation {
            id: OperationId::from_bytes([7; 16]),
            kind,
            channels: Vec::new(),
            calls: Vec::new(),
            job: serde_json::Value::Null,
            at_ms: 1,
        };
        OperationState {
            operation: Box::new(operation),
            settlement,
        }
    }

    #[test]
    fn what_only_its_senders_nonce_keeps_once_needs_its_sender() {
        for kind in [OperationKind::Batch, OperationKind::Funding] {
            let needs = |settlement| operation_needs(&operation(kind, settlement), &keys());
            assert_eq!(needs(Settlement::None), None);
            assert_eq!(needs(sent_by(&[OWN])), None);
            assert_eq!(needs(sent_by(&[OWN, OLD])), Some(OLD));
        }
        for kind in [
            OperationKind::Deposit,
            OperationKind::Claim,
            OperationKind::Settle,
            OperationKind::Refund,
        ] {
            let old = operation(kind, sent_by(&[OLD]));
            assert_eq!(operation_needs(&old, &keys()), None, "anybody's will do");
        }
    }

    #[test]
    fn a_withdrawal_under_way_needs_the_key_that_pays_it() {
        let withdrawal = |settlement| WithdrawalState {
            withdrawal: Withdrawal {
                id: WithdrawalId::from_bytes([7; 16]),
                payer: format!("{OWN:#x}"),
                network: "eip155:84532".to_owned(),
                asset: format!("{OLD:#x}"),
                amount: Units::from_atomic(5),
                at_ms: 1,
            },
            settlement,
        };
        let needs = |settlement, keys: &Keys| withdrawal_needs(&withdrawal(settlement), keys);
        assert_eq!(needs(Settlement::None, &keys()), None);
        assert_eq!(needs(sent_by(&[OWN]), &keys()), None);
        assert_eq!(needs(sent_by(&[OLD]), &keys()), Some(OLD));
        let without = Keys {
            payout: None,
            ..keys()
        };
        assert_eq!(needs(sent_by(&[OLD]), &without), Some(OLD));
        assert_eq!(needs(Settlement::None, &without), None);
    }
}
