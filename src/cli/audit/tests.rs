//! Books and chains that agree, and each way in which they can fail to, by name.

use super::books::Books;
use super::{Audit, Chain, compare};
use crate::chain::audit::{ChannelFlows, Moved, Payout};
use crate::chain::bindings::{self, IBatchSettlement};
use crate::chain::{ChannelEvent, ChannelEventKind, Place};
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

const CHAIN_ID: u64 = 84_532;

/// A ledger and a chain; what happens in transaction n happens in block n.
#[derive(Debug, Clone, Default)]
struct World {
    log: Vec<(EntityId, Event)>,
    events: Vec<ChannelEvent>,
    payouts: Vec<Payout>,
    moved: Vec<(Address, Moved)>,
    known_to: u64,
    newest: u64,
}

fn address(text: &str) -> Address {
    text.parse().expect("an address")
}

fn asset() -> Address {
    address(ASSET)
}

/// The channels' contract, their receiver, their payer and the payer of other calls, as samples have them.
fn contract() -> Address {
    address(&payer(77))
}

fn payee() -> Address {
    address(&payer(78))
}

fn wallet() -> Address {
    address(&payer(1))
}

fn tx(n: u64) -> B256 {
    B256::from(U256::from(n))
}

fn place(n: u64, log_index: u64) -> Place {
    Place {
        block: n,
        log_index,
        block_hash: B256::ZERO,
        transaction: tx(n),
    }
}

fn deposited(amount: u128) -> ChannelEventKind {
    ChannelEventKind::Deposited {
        amount,
        new_balance: 0,
    }
}

fn claimed(amount: u128, new_total: u128) -> ChannelEventKind {
    ChannelEventKind::Claimed { amount, new_total }
}

fn confirmed(n: u64) -> Event {
    Event::SettlementConfirmed {
        transaction: format!("{:#x}", tx(n)),
        block: n,
        block_hash: format!("{:#x}", B256::ZERO),
        at_ms: 9,
    }
}

fn deposit_job(amount: u128) -> Value {
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

fn row(total: u128) -> Value {
    json!([units(total), units(total), "0x51"])
}

fn claim_job(total: u128) -> Value {
    json!({"do": "claim", "rows": [row(total)], "after_block": 0})
}

fn settle_job() -> Value {
    json!({"do": "settle", "receiver": payee(), "token": asset(), "after_block": 0})
}

fn refund_job(claims: Option<u128>, amount: u128) -> Value {
    let row = claims.map(row);
    json!({"do": "refund", "row": row, "amount": units(amount), "nonce": 0, "after_block": 0})
}

fn units(amount: u128) -> Units {
    Units::from_atomic(amount)
}

fn seen(balance: u128, total_claimed: u128, block: u64) -> ChannelOnChain {
    ChannelOnChain {
        block,
        ..on_chain(balance, total_claimed)
    }
}

impl World {
    /// A channel of 1000 units, in its whole life: filled in 11, claimed of in 12, paid out in 13, 500
    /// given back in 14; charged 90, of which 20 are not claimed yet. A call by `exact` for 100 in 15,
    /// of which the change of 60 is paid out in 16, by a key that is nobody's in the books.
    fn sound() -> Self {
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
    fn opened() -> Self {
        let mut world = Self {
            known_to: 20,
            newest: 20,
            ..Self::default()
        };
        let event = Event::ChannelOpened {
            opening: Box::new(opening(1, 1)),
            on_chain: seen(0, 0, 10),
            charged_before: Units::ZERO,
        };
        world.says(EntityId::Channel(channel_id(1)), event);
        world
    }

    fn says(&mut self, id: EntityId, event: Event) {
        self.log.push((id, event));
    }

    fn sees(&mut self, on_chain: ChannelOnChain) {
        let id = EntityId::Channel(channel_id(1));
        self.says(id, Event::ChannelObserved(on_chain));
    }

    fn call(&mut self, hold: &Hold, charged: u128) {
        let id = EntityId::Call(hold.call);
        self.says(id, Event::Held(Box::new(hold.clone())));
        self.says(id, Event::Forwarded { at_ms: 2 });
        self.says(id, Event::Answered { at_ms: 3 });
        self.says(id, capture(hold, charged));
    }

    fn channel_call(&mut self, n: u64, voucher: (u128, u128), charged: u128) {
        self.call(&channel_hold(n, 1, 100, voucher), charged);
    }

    fn wants(&mut self, n: u64, kind: OperationKind, job: Value) {
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
    fn operates(&mut self, n: u64, kind: OperationKind, job: Value, transaction: u64) {
        self.wants(n, kind, job);
        let id = EntityId::Operation(operation_id(n));
        self.says(id, sent(n, &format!("{:#x}", tx(transaction))));
        self.says(id, confirmed(transaction));
    }

    fn event(&mut self, n: u64, kind: ChannelEventKind) {
        let place = place(n, self.events.len() as u64);
        let channel = B256::from(*channel_id(1).as_bytes());
        self.events.push(ChannelEvent {
            place,
            channel,
            kind,
        });
    }

    fn pays_out(&mut self, n: u64, amount: u128) {
        let place = place(n, 90);
        self.payouts.push(Payout { place, amount });
        self.moves(n, contract(), payee(), amount);
    }

    fn moves(&mut self, n: u64, from: Address, to: Address, value: u128) {
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
    fn without(mut self, n: u64) -> Self {
        self.events.retain(|event| event.place.transaction != tx(n));
        self.payouts.retain(|p| p.place.transaction != tx(n));
        self.moved.retain(|(_, m)| m.transaction != tx(n));
        self
    }

    /// Has something else happen to the channel in a transaction.
    fn instead(self, n: u64, kind: ChannelEventKind) -> Self {
        let mut world = self.without(n);
        world.event(n, kind);
        world.events.sort_by_key(|event| event.place.block);
        world
    }

    fn books(&self) -> Books {
        let mut entries = Vec::new();
        for (seq, (id, event)) in (1..).zip(&self.log) {
            entries.push(entry(seq, *id, event));
        }
        Books::of(&entries, CHAIN_ID).expect("books that can be read")
    }

    fn audit(&self) -> Audit {
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
    fn faults(&self, expected: &[&str]) {
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

fn entry(seq: u64, id: EntityId, event: &Event) -> LogEntry {
    let zeros = Digest32::from_bytes([0; 32]);
    let entry = json!({"seq": seq, "prev": zeros, "id": id, "event": event, "hash": zeros});
    serde_json::from_str(&entry.to_string()).expect("an entry")
}

fn exact(n: u64, held: u128) -> Hold {
    Hold {
        authorization: json!({"to": payee()}),
        ..hold(n, held, SettleWhen::Before)
    }
}

fn call(n: u64) -> EntityId {
    EntityId::Call(call_id(n))
}

fn op(n: u64) -> String {
    operation_id(n).to_string()
}

#[test]
fn books_and_a_chain_that_agree_are_told_in_one_line() {
    let found = World::sound().audit();
    assert_eq!(found.faults, Vec::<String>::new());
    assert_eq!(found.notes, Vec::<String>::new());
    assert_eq!((found.transfers, found.foreign), (2, 0));
    let lines: Vec<String> = found.channels.iter().map(ToString::to_string).collect();
    let line = format!(
        "1 looked up and 4 operations on them, to {}: 1000 put in = 70 claimed + 500 refunded + 0 withdrawn + 430 left; \
         90 charged = 70 claimed + 20 claimable + 0 lost; 70 paid out, 0 due",
        payee()
    );
    assert_eq!(lines, [line]);
}

#[test]
fn an_operation_that_the_chain_does_not_have_is_named() {
    let does_not = |n: u64, what: &str| format!("{}: {} does not {what}", op(n), tx(10 + n));
    let world = World::sound();
    world.clone().without(11).faults(&[
        &does_not(1, "put 1000 into"),
        "more came out of it",
        "the ledger saw 500 in it",
        // What it gave back is not what it had.
        &does_not(4, "give 500 of"),
        "gave 500 of",
    ]);
    world.clone().instead(11, deposited(999)).faults(&[
        &does_not(1, "put 1000 into"),
        "the ledger saw 500 in it and 70 claimed at block 14, and the chain, which is at block 20, says 499 and 70",
    ]);
    world.clone().without(12).faults(&[
        &does_not(2, "bring what is claimed of"),
        "the ledger saw 500 in it and 70 claimed",
        "before 70 were claimed of it",
    ]);
    world.clone().without(13).faults(&[&does_not(3, "pay 0x")]);
    world.clone().without(14).faults(&[
        &does_not(4, "give 500 of"),
        "the ledger saw 500 in it and 70 claimed",
    ]);
}

#[test]
fn what_is_claimed_in_our_transaction_is_what_we_asked_for() {
    let world = World::sound();
    world.clone().instead(12, claimed(69, 69)).faults(&[
        &format!("{}: {} does not bring what is claimed of", op(2), tx(12)),
        "before 70 were claimed of it",
        "the ledger saw 500 in it and 70 claimed",
    ]);
    world.clone().instead(12, claimed(71, 71)).faults(&[
        &format!("{}: {} does not bring what is claimed of", op(2), tx(12)),
        "the ledger saw 500 in it and 70 claimed",
    ]);
    // Somebody else with the receiver's key may have claimed more before us.
    let mut theirs = World::opened();
    theirs.event(11, deposited(1000));
    theirs.channel_call(1, (0, 200), 0);
    theirs.log.insert(
        1,
        (
            EntityId::Channel(channel_id(1)),
            Event::ChannelObserved(seen(1000, 0, 11)),
        ),
    );
    theirs.wants(2, OperationKind::Claim, claim_job(40));
    theirs.says(EntityId::Operation(operation_id(2)), confirmed(12));
    theirs.event(12, claimed(50, 50));
    theirs.sees(seen(1000, 50, 12));
    theirs.faults(&[]);
}

#[test]
fn one_deposit_is_one_operations() {
    let mut world = World::sound();
    world.operates(5, OperationKind::Deposit, deposit_job(1000), 11);
    world.faults(&[&format!("{}: {} does not put 1000 into", op(5), tx(11))]);
}

#[test]
fn a_record_that_cannot_be_read_is_named() {
    let mut world = World::sound();
    world.operates(5, OperationKind::Claim, json!({"do": "dance"}), 17);
    world.faults(&[&format!("{}: its record cannot be read", op(5))]);
}

#[test]
fn a_claim_beyond_the_charges_is_named_unless_it_is_newer_than_the_ledger() {
    let mut world = World::sound();
    world.event(18, claimed(30, 100));
    world.faults(&["100 were claimed of it, and it was charged 90"]);
    world.known_to = 17;
    world.faults(&[]);
    let mut in_flight = World::sound();
    in_flight.wants(5, OperationKind::Claim, claim_job(90));
    in_flight.event(18, claimed(20, 90));
    in_flight.faults(&[]);
}

#[test]
fn a_refund_that_the_ledger_does_not_know_is_named_unless_it_is_on_its_way() {
    let mut world = World::sound();
    world.event(18, ChannelEventKind::Refunded { amount: 5 });
    let named = format!("{} gave 5 of {} back", tx(18), channel_id(1));
    world.faults(&[&named]);
    world.known_to = 17;
    world.faults(&[]);
    world.known_to = 20;
    world.wants(5, OperationKind::Refund, refund_job(None, 5));
    world.faults(&[]);
    let failed = Event::SettlementFailed {
        reason: "expected_event_missing".to_owned(),
        at_ms: 9,
    };
    world.says(EntityId::Operation(operation_id(5)), failed);
    world.faults(&[&named]);
    // What an earlier ledger gave back, this one found so.
    let mut adopted = World::opened();
    adopted.event(8, deposited(10));
    adopted.event(9, ChannelEventKind::Refunded { amount: 10 });
    adopted.faults(&[]);
}

#[test]
fn a_refund_gives_what_a_withdrawal_left() {
    let mut world = World::sound();
    world.operates(5, OperationKind::Refund, refund_job(Some(90), 410), 18);
    world.event(17, ChannelEventKind::WithdrawFinalized { amount: 10 });
    world.event(18, claimed(20, 90));
    world.event(18, ChannelEventKind::Refunded { amount: 400 });
    world.sees(seen(90, 90, 18));
    world.faults(&[]);
    let mut less = world;
    less.events.pop();
    less.event(18, ChannelEventKind::Refunded { amount: 399 });
    let known = format!("{} gave 399 of", tx(18));
    less.faults(&[
        &format!("{}: {} does not give 410 of", op(5), tx(18)),
        &known,
        "the ledger saw 90 in it and 90 claimed",
    ]);
}

#[test]
fn a_withdrawal_that_took_what_was_charged_is_told_as_a_loss() {
    let mut world = World::sound();
    world.event(17, ChannelEventKind::WithdrawFinalized { amount: 420 });
    let found = world.audit();
    assert_eq!(found.faults, Vec::<String>::new());
    let told = "10 that it was charged went back to its payer unclaimed: lost";
    assert_eq!(found.notes, [format!("{}: {told}", channel_id(1))]);
    let line = found.channels[0].to_string();
    assert!(
        line.contains("420 withdrawn + 10 left; 90 charged = 70 claimed + 10 claimable + 10 lost;"),
        "{line}"
    );
}

#[test]
fn what_a_payer_says_it_was_charged_is_under_no_voucher() {
    let mut world = World::opened();
    world.log.clear();
    let event = Event::ChannelOpened {
        opening: Box::new(opening(1, 1)),
        on_chain: seen(100, 30, 10),
        charged_before: units(42),
    };
    world.says(EntityId::Channel(channel_id(1)), event);
    world.event(8, deposited(100));
    world.event(9, claimed(30, 30));
    let found = world.audit();
    assert_eq!(found.faults, Vec::<String>::new());
    assert!(
        found.notes[0].contains("12 that its payer says"),
        "{:?}",
        found.notes
    );
    let line = found.channels[0].to_string();
    let sum =
        "42 charged = 30 claimed + 0 claimable + 0 lost + 12 under no voucher; 0 paid out, 30 due";
    assert!(line.contains(sum), "{line}");
}

#[test]
fn payouts_are_the_ledgers_whoever_asked_for_them() {
    let mut world = World::sound();
    world.event(17, claimed(20, 90));
    world.pays_out(18, 20);
    let found = world.audit();
    assert_eq!((found.faults.len(), found.foreign), (0, 0), "{found:?}");
    let line = found.channels[0].to_string();
    assert!(line.ends_with("; 90 paid out, 0 due"), "{line}");
    // More than was claimed of these channels is for others of the receiver's.
    world.pays_out(19, 7);
    let found = world.audit();
    assert_eq!(found.faults, Vec::<String>::new());
    assert!(found.notes[0].starts_with("7 were paid out"), "{found:?}");
    // A payout is a transfer of the token.
    world.moved.retain(|(_, m)| m.transaction != tx(19));
    world.faults(&[&format!("{} paid 7 out of channels", tx(19))]);
    // And without one, a transfer from the contract is a stranger's.
    world.payouts.retain(|p| p.place.transaction != tx(19));
    world.moves(19, contract(), payee(), 7);
    let found = world.audit();
    assert_eq!((found.faults.len(), found.foreign), (0, 1), "{found:?}");
}

#[test]
fn an_observation_is_of_its_block_or_a_later_one() {
    let mut world = World::sound();
    // It was read just after the node named block 14.
    world.sees(seen(600, 70, 14));
    world.event(17, deposited(100));
    world.faults(&[]);
    world.newest = 13;
    world.known_to = 13;
    world.faults(&["at block 14, and the chain, which is at block 13"]);
    let mut reread = World::sound();
    reread.sees(seen(1000, 70, 15));
    reread.faults(&["the ledger saw 1000 in it and 70 claimed at block 15"]);
}

#[test]
fn a_transfer_that_the_chain_does_not_have_is_named() {
    let world = World::sound();
    let missing = format!("{}: {} does not hold its transfer of 100", call(7), tx(15));
    world.clone().without(15).faults(&[&missing]);
    world
        .clone()
        .without(16)
        .faults(&["does not hold its transfer of 60"]);
    let mut other = world.clone();
    other.moved[1].0 = Address::repeat_byte(0x77);
    other.faults(&[&missing]);
    // One transfer is one call's.
    let mut twice = world;
    twice.call(&exact(8, 100), 40);
    twice.says(call(8), confirmed(15));
    twice.faults(&[&format!("{}: {} does not hold", call(8), tx(15))]);
}

#[test]
fn a_payment_that_the_ledger_does_not_know_is_named_unless_it_is_on_its_way() {
    let mut world = World::sound();
    world.moves(18, wallet(), payee(), 100);
    let named = format!("{} moved 100 from {} to the payee", tx(18), wallet());
    world.faults(&[&named]);
    world.known_to = 17;
    world.faults(&[]);
    world.known_to = 20;
    world.call(&exact(8, 100), 40);
    world.faults(&[]);
    // One that is on its way is one transfer.
    world.moves(19, wallet(), payee(), 100);
    assert_eq!(world.audit().faults.len(), 1);
    let mut strangers = World::sound();
    strangers.moves(18, Address::repeat_byte(0x55), payee(), 100);
    let found = strangers.audit();
    assert_eq!((found.faults.len(), found.foreign), (0, 1), "{found:?}");
}

#[test]
fn a_bill_that_was_taken_alone_is_looked_up_as_that() {
    let mut world = World::sound();
    let upto = Hold {
        authorization: json!({"to": payee()}),
        ..hold(8, 200, SettleWhen::After)
    };
    world.call(&upto, 33);
    world.says(call(8), confirmed(18));
    world.moves(18, wallet(), payee(), 33);
    // Two calls of one transaction of the settler's, for the same.
    let same = Hold {
        call: call_id(9),
        ..upto
    };
    world.call(&same, 33);
    world.says(call(9), confirmed(18));
    world.faults(&[&format!(
        "{}: {} does not hold its transfer of 33",
        call(9),
        tx(18)
    )]);
    world.moves(18, wallet(), payee(), 33);
    world.faults(&[]);
}

#[test]
fn what_is_on_another_chain_is_told_and_not_looked_up() {
    let mut world = World::sound();
    let elsewhere = Hold {
        network: "eip155:8453".to_owned(),
        ..exact(8, 100)
    };
    world.call(&elsewhere, 40);
    world.says(call(8), confirmed(18));
    let found = world.audit();
    assert_eq!((found.faults.len(), found.transfers), (0, 2));
    assert!(found.notes[0].starts_with("1 calls"), "{:?}", found.notes);
}

#[test]
fn a_payout_of_channels_that_the_ledger_lost_is_told_and_not_looked_up() {
    let mut world = World {
        newest: 20,
        known_to: 20,
        ..World::default()
    };
    world.operates(3, OperationKind::Settle, settle_job(), 13);
    let found = world.audit();
    assert_eq!(found.faults, Vec::<String>::new());
    assert!(found.notes[0].starts_with(&op(3)), "{:?}", found.notes);
}
