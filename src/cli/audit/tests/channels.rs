//! What is on chain of a channel, and what was charged on it.

use super::world::{World, claim_job, claimed, deposited, payee, refund_job, seen, tx, units};
use crate::chain::ChannelEventKind;
use crate::ledger::machine::samples::{channel_id, opening, operation_id};
use crate::ledger::{EntityId, Event, OperationKind};
use std::sync::Arc;

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
        opening: Arc::new(opening(1, 1)),
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
