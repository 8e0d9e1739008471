//! What operations did on chain.

use super::world::{
    World, claim_job, claimed, confirmed, deposit_job, deposited, op, refund_job, seen, settle_job,
    tx,
};
use crate::chain::ChannelEventKind;
use crate::ledger::machine::samples::{channel_id, operation_id};
use crate::ledger::{EntityId, Event, OperationKind};
use serde_json::json;

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
