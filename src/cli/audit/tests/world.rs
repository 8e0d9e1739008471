//! Books and a chain that agree, to be bent.

use crate::chain::audit::{ChannelFlows, Moved, Payout};
use crate::chain::bindings::{self, IBatchSettlement};
use crate::chain::{ChannelEvent, ChannelEventKind, Place};
use crate::cli::audit::books::Books;
use crate::cli::audit::{Audit, Chain, compare};
use crate::ledger::machine::samples::{
    ASSET, call_id, capture, channel_hold, channel_id, hold, on_chain, opening, operation,
    operation_id, payer, sent, withdrawal, withdrawal_id,
};
use crate::ledger::{
    ChannelOnChain, Digest32, EntityId, Event, Hold, LogEntry, Operation, OperationKind, SettleWhen,
};
use crate::money::Units;
use alloy::primitives::aliases::U40;
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::SolCall;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) const CHAIN_ID: u64 = 84_532;

/// A ledger and a chain; what happens in transaction n happens in block n.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    pub(super) log: Vec<(EntityId, Event)>,
    pub(super) events: Vec<ChannelEvent>,
    pub(super) payouts: Vec<Payout>,
    pub(super) moved: Vec<(Address, Moved)>,
    pub(super) known_to: u64,
    pub(super) newest: u64,
}

pub(super) fn address(text: &str) -> Address {
    text.parse().expect("an address")
}

pub(super) fn asset() -> Address {
    address(ASSET)
}

/// The channels' contract, their receiver, their payer and the payer of other calls, as samples have them.
pub(super) fn contract() -> Address {
    address(&payer(77))
}

pub(super) fn payee() -> Address {
    address(&payer(78))
}

pub(super) fn wallet() -> Address {
    address(&payer(1))
}

pub(super) fn tx(n: u64) -> B256 {
    B256::from(U256::from(n))
}

pub(super) fn place(n: u64, log_index: u64) -> Place {
    Place {
        block: n,
        log_index,
        block_hash: B256::ZERO,
        transaction: tx(n),
    }
}

pub(super) fn deposited(amount: u128) -> ChannelEventKind {
    ChannelEventKind::Deposited {
        amount,
        new_balance: 0,
    }
}

pub(super) fn claimed(amount: u128, new_total: u128) -> ChannelEventKind {
    ChannelEventKind::Claimed { amount, new_total }
}

pub(super) fn confirmed(n: u64) -> Event {
    Event::SettlementConfirmed {
        transaction: format!("{:#x}", tx(n)),
        block: n,
        block_hash: format!("{:#x}", B256::ZERO),
        at_ms: 9,
    }
}

pub(super) fn deposit_job(amount: u128) -> Value {
    let config = bindings::ChannelConfig {
        payer: wallet(),
        payerAuthorizer: wallet(),
        receiver: payee(),
        receiverAuthorizer: payee(),
        token: asset(),
        withdrawDelay: U40::from(900),
        salt: B256::ZERO,
    };
    let call = IBatchSettlement::depositCall {
        config,
        amount,
        collector: contract(),
        collectorData: Bytes::new(),
    };
    let calldata: Bytes = call.abi_encode().into();
    let once = json!({"by": "nothing", "after_block": 0});
    json!({"do": "deposit", "calldata": calldata, "once": once})
}

pub(super) fn row(total: u128) -> Value {
    json!([units(total), units(total), "0x51"])
}

pub(super) fn claim_job(total: u128) -> Value {
    json!({"do": "claim", "rows": [row(total)], "after_block": 0})
}

pub(super) fn settle_job() -> Value {
    json!({"do": "settle", "receiver": payee(), "token": asset(), "after_block": 0})
}

pub(super) fn refund_job(claims: Option<u128>, amount: u128) -> Value {
    let row = claims.map(row);
    json!({"do": "refund", "row": row, "amount": units(amount), "nonce": 0, "after_block": 0})
}

pub(super) fn units(amount: u128) -> Units {
    Units::from_atomic(amount)
}

pub(super) fn seen(balance: u128, total_claimed: u128, block: u64) -> ChannelOnChain {
    ChannelOnChain {
        block,
        ..on_chain(balance, total_claimed)
    }
}

impl World {
    /// A channel of 1000 units, in its whole life: filled in 11, claimed of in 12, paid out in 13, 500
    /// given back in 14; charged 90, of which 20 are not claimed yet. A call by `exact` for 100 in 15,
    /// of which the change of 60 is paid out in 16, by a key that is nobody's in the books.
    pub(super) fn sound() -> Self {
        let mut world = Self::opened();
        world.operates(1, OperationKind::Deposit, deposit_job(1000), 11);
        world.event(11, deposited(1000));
        world.sees(seen(1000, 0, 11));
        world.channel_call(1, (0, 200), 40);
        world.channel_call(2, (40, 300), 30);
        world.operates(2, OperationKind::Claim, claim_job(70), 12);
        world.event(12, claimed(70, 70));
        world.sees(seen(1000, 70, 12));
        world.operates(3, OperationKind::Settle, settle_job(), 13);
        world.pays_out(13, 70);
        world.operates(4, OperationKind::Refund, refund_job(Some(70), 500), 14);
        world.event(14, ChannelEventKind::Refunded { amount: 500 });
        world.sees(seen(500, 70, 14));
        world.channel_call(3, (70, 300), 20);

        let hold = exact(7, 100);
        world.call(&hold, 40);
        world.says(call(7), confirmed(15));
        world.moves(15, wallet(), payee(), 100);
        let id = EntityId::Withdrawal(withdrawal_id(1));
        world.says(id, Event::WithdrawalRequested(withdrawal(1, 1, 60)));
        world.says(id, sent(1, &format!("{:#x}", tx(16))));
        world.says(id, confirmed(16));
        world.moves(16, Address::repeat_byte(0x99), wallet(), 60);
        world
    }

    /// The same channel, with nothing in it.
    pub(super) fn opened() -> Self {
        let mut world = Self {
            known_to: 20,
            newest: 20,
            ..Self::default()
        };
        let event = Event::ChannelOpened {
            opening: Arc::new(opening(1, 1)),
            on_chain: seen(0, 0, 10),
            charged_before: Units::ZERO,
        };
        world.says(EntityId::Channel(channel_id(1)), event);
        world
    }

    pub(super) fn says(&mut self, id: EntityId, event: Event) {
        self.log.push((id, event));
    }

    pub(super) fn sees(&mut self, on_chain: ChannelOnChain) {
        let id = EntityId::Channel(channel_id(1));
        self.says(id, Event::ChannelObserved(on_chain));
    }

    pub(super) fn call(&mut self, hold: &Hold, charged: u128) {
        let id = EntityId::Call(hold.call);
        self.says(id, Event::Held(Arc::new(hold.clone())));
        self.says(id, Event::Forwarded { at_ms: 2 });
        self.says(id, Event::Answered { at_ms: 3 });
        self.says(id, capture(hold, charged));
    }

    pub(super) fn channel_call(&mut self, n: u64, voucher: (u128, u128), charged: u128) {
        self.call(&channel_hold(n, 1, 100, voucher), charged);
    }

    pub(super) fn wants(&mut self, n: u64, kind: OperationKind, job: Value) {
        let channels = match kind {
            OperationKind::Settle => Vec::new(),
            _ => vec![channel_id(1)],
        };
        let operation = Operation {
            channels,
            job,
            ..operation(n, kind)
        };
        let event = Event::OperationRequested(Box::new(operation));
        self.says(EntityId::Operation(operation_id(n)), event);
    }

    /// An operation that the gateway sent in a transaction, and saw confirmed.
    pub(super) fn operates(&mut self, n: u64, kind: OperationKind, job: Value, transaction: u64) {
        self.wants(n, kind, job);
        let id = EntityId::Operation(operation_id(n));
        self.says(id, sent(n, &format!("{:#x}", tx(transaction))));
        self.says(id, confirmed(transaction));
    }

    pub(super) fn event(&mut self, n: u64, kind: ChannelEventKind) {
        let place = place(n, self.events.len() as u64);
        let channel = B256::from(*channel_id(1).as_bytes());
        self.events.push(ChannelEvent {
            place,
            channel,
            kind,
        });
    }

    pub(super) fn pays_out(&mut self, n: u64, amount: u128) {
        let place = place(n, 90);
        self.payouts.push(Payout { place, amount });
        self.moves(n, contract(), payee(), amount);
    }

    pub(super) fn moves(&mut self, n: u64, from: Address, to: Address, value: u128) {
        let moved = Moved {
            block: n,
            block_hash: B256::ZERO,
            log_index: 0,
            transaction: tx(n),
            from,
            to,
            value: U256::from(value),
        };
        self.moved.push((asset(), moved));
    }

    /// Has the chain forget what happened in a transaction.
    pub(super) fn without(mut self, n: u64) -> Self {
        self.events.retain(|event| event.place.transaction != tx(n));
        self.payouts.retain(|p| p.place.transaction != tx(n));
        self.moved.retain(|(_, m)| m.transaction != tx(n));
        self
    }

    /// Has something else happen to the channel in a transaction.
    pub(super) fn instead(self, n: u64, kind: ChannelEventKind) -> Self {
        let mut world = self.without(n);
        world.event(n, kind);
        world.events.sort_by_key(|event| event.place.block);
        world
    }

    pub(super) fn books(&self) -> Books {
        let mut entries = Vec::new();
        for (seq, (id, event)) in (1..).zip(&self.log) {
            entries.push(entry(seq, *id, event));
        }
        Books::of(&entries, CHAIN_ID).expect("books that can be read")
    }

    pub(super) fn audit(&self) -> Audit {
        let books = self.books();
        let flows = ChannelFlows::of(&self.events, self.payouts.clone());
        let flows = books.channels.keys().map(|purse| (*purse, flows.clone()));
        let read = books.receivers();
        let of_them = |(asset, m): &&(Address, Moved)| read.contains(&(*asset, m.to));
        let chain = Chain {
            known_to: self.known_to,
            newest: self.newest,
            moved: self.moved.iter().filter(of_them).copied().collect(),
            flows: flows.collect(),
        };
        compare(&books, &chain)
    }

    /// Each of these texts is in a fault of its own, and there is no other fault.
    pub(super) fn faults(&self, expected: &[&str]) {
        let found = self.audit().faults;
        let named = |text: &&&str| found.iter().any(|fault| fault.contains(**text));
        assert_eq!(
            expected.iter().filter(named).count(),
            expected.len(),
            "{expected:#?}: {found:#?}"
        );
        assert_eq!(found.len(), expected.len(), "{found:#?}");
    }
}

pub(super) fn entry(seq: u64, id: EntityId, event: &Event) -> LogEntry {
    let zeros = Digest32::from_bytes([0; 32]);
    let entry = json!({"seq": seq, "prev": zeros, "id": id, "event": event, "hash": zeros});
    serde_json::from_str(&entry.to_string()).expect("an entry")
}

pub(super) fn exact(n: u64, held: u128) -> Hold {
    Hold {
        authorization: json!({"to": payee()}),
        ..hold(n, held, SettleWhen::Before)
    }
}

pub(super) fn call(n: u64) -> EntityId {
    EntityId::Call(call_id(n))
}

pub(super) fn op(n: u64) -> String {
    operation_id(n).to_string()
}
