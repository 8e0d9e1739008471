//! Transfers of tokens, and payouts among them.

use super::world::{World, call, claimed, confirmed, contract, exact, payee, tx, wallet};
use crate::ledger::machine::samples::{call_id, hold};
use crate::ledger::{Hold, SettleWhen};
use alloy::primitives::Address;
use serde_json::json;

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
