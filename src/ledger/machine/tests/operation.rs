//! Transactions that are no single call's own, and what they do to the calls in them.

use super::*;
use std::sync::Arc;

fn run(events: &[Event]) -> Result<OperationState, TransitionError> {
    run_of(OperationKind::Claim, events)
}

fn run_of(kind: OperationKind, events: &[Event]) -> Result<OperationState, TransitionError> {
    let request = Event::OperationRequested(Box::new(operation(1, kind)));
    let requested = OperationState::apply(None, &request);
    events.iter().fold(requested, |s, event| {
        OperationState::apply(Some(&s?), event)
    })
}

#[test]
fn an_operation_is_open_until_its_transaction_is_found() {
    assert!(run(&[]).unwrap().open());
    assert!(
        run(&[sent(1, "0x1"), sent(2, "0x2")]).unwrap().open(),
        "under any nonce"
    );
    for end in [confirmed(), failed()] {
        let path = [sent(1, "0x1"), end, REORGED];
        assert!(!run(&path[..2]).unwrap().open());
        assert!(run(&path).unwrap().open());
    }
    assert!(
        !run(&[confirmed()]).unwrap().open(),
        "anybody may have done it"
    );
    for other in [
        FORWARDED,
        receipt(),
        Event::WithdrawalRequested(withdrawal(1, 1, 5)),
    ] {
        let name = other.name();
        assert_eq!(
            run(&[other]),
            Err(TransitionError::OtherKind { event: name })
        );
    }
    assert_eq!(
        OperationState::apply(None, &confirmed()),
        Err(TransitionError::Unknown {
            event: "settlement_confirmed"
        })
    );
}

#[test]
fn an_operation_keeps_what_has_room_of_its_transactions() {
    let long = |n: u64| {
        let mut event = sent(n, &format!("0x{n}"));
        if let Event::SettlementSent {
            raw_transaction, ..
        } = &mut event
        {
            *raw_transaction = "x".repeat(5 << 10);
        }
        event
    };
    let events: Vec<Event> = (0..4).map(long).collect();
    let state = run(&events).unwrap();
    let kept: Vec<usize> = state
        .settlement
        .broadcast()
        .unwrap()
        .attempts
        .iter()
        .map(|attempt| attempt.raw_transaction.len())
        .collect();
    assert_eq!(kept, [0, 0, 5 << 10, 5 << 10]);
}

/// Coin that is given has no authorization: only one nonce may ever carry it.
#[test]
fn a_funding_keeps_to_the_nonce_that_it_was_first_sent_with() {
    let after = |events: &[Event]| run_of(OperationKind::Funding, events);
    assert_eq!(
        after(&[sent(1, "0x1"), sent(2, "0x2")]),
        Err(TransitionError::LaneChanged)
    );
    assert!(after(&[sent(1, "0x1"), sent(1, "0x2"), confirmed()]).is_ok());
    assert!(after(&[confirmed()]).is_err());
}

#[test]
fn an_operation_survives_its_wire_form_and_hides_its_job() {
    let event = Event::OperationRequested(Box::new(operation(1, OperationKind::Batch)));
    let text = serde_json::to_string(&event).unwrap();
    assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    assert!(text.contains("5ec4e7") && !format!("{event:?}").contains("5ec4e7"));
    let id = operation_id(3);
    assert_eq!(id.to_string().parse(), Ok(EntityId::Operation(id)));
}

/// The calls in a batch send nothing of their own: they go from nothing to what the batch did.
#[test]
fn a_call_settled_by_a_batch_is_confirmed_failed_and_reorganised_without_a_transaction_of_its_own()
{
    let after = |more: &[Event]| {
        let mut path = captured(SettleWhen::After, 40).to_vec();
        path.extend_from_slice(more);
        super::run(SettleWhen::After, &path)
    };
    let state = after(&[confirmed()]).unwrap();
    assert!(state.settlement.is_confirmed() && state.settlement.broadcast().is_none());
    let state = after(&[confirmed(), REORGED]).unwrap();
    assert!(state.settlement_due() && state.open());
    assert!(after(&[confirmed(), REORGED, confirmed()]).is_ok());
    assert!(after(&[failed(), REORGED, sent(1, "0x1"), confirmed()]).is_ok());
}

#[test]
fn a_voided_call_whose_money_a_batch_moved_is_credit() {
    let credit = |when, events: &[Event]| {
        let state = super::run(when, events);
        state.map(|state| state.credit().unwrap().available)
    };
    let void = || voided(VoidReason::Restart);
    for when in [SettleWhen::Before, SettleWhen::OnFirstByte] {
        assert_eq!(credit(when, &[void(), confirmed()]), Ok(100));
        assert_eq!(credit(when, &[void(), confirmed(), REORGED]), Ok(0));
        assert!(
            credit(when, &[void(), sent(1, "0x1")]).is_err(),
            "never sent for nothing"
        );
        assert!(credit(when, &[void(), failed()]).is_err());
    }
    assert!(credit(SettleWhen::After, &[void(), confirmed()]).is_err());
}

#[test]
fn a_charge_is_unpaid_while_its_settlement_has_failed() {
    let unpaid = |when, events: &[Event]| super::run(when, events).unwrap().unpaid();
    let late = Event::SettlementFailed {
        reason: format!("{OURS}it came too late"),
        at_ms: 7,
    };
    let mut path = captured(SettleWhen::After, 40).to_vec();
    path.push(late);
    assert_eq!(unpaid(SettleWhen::After, &path), None, "no fault of theirs");
    path.pop();
    // Of what takes all that is held, a ledger from before does not say whose fault it was.
    let mut whole = hold(1, 101, SettleWhen::After);
    for (remembered, reason, expected) in [
        (false, "it failed".to_owned(), None),
        (true, format!("{OURS}it failed"), None),
        (true, "it failed".to_owned(), Some(Units::from_atomic(40))),
    ] {
        whole.remembered = remembered;
        let failed = Event::SettlementFailed { reason, at_ms: 7 };
        let events = [FORWARDED, ANSWERED, capture(&whole, 40), failed.clone()];
        let held = CallState::apply(None, &Event::Held(Arc::new(whole.clone())));
        let state = events
            .iter()
            .fold(held, |state, event| CallState::apply(Some(&state?), event));
        assert_eq!(state.unwrap().unpaid(), expected, "{failed:?}");
    }
    for (event, expected) in [
        (sent(1, "0x1"), None),
        (failed(), Some(Units::from_atomic(40))),
        (confirmed(), None),
        (REORGED, None),
        (failed(), Some(Units::from_atomic(40))),
    ] {
        path.push(event);
        assert_eq!(unpaid(SettleWhen::After, &path), expected, "{path:?}");
    }
    let standing = Standing::default();
    let failed_once = standing
        .moved(None, Some(Units::from_atomic(40)), 7)
        .unwrap();
    assert_eq!(
        (failed_once.unpaid_calls, failed_once.last_failed_ms),
        (1, 7)
    );
    let cleared = failed_once
        .moved(Some(Units::from_atomic(40)), None, 9)
        .unwrap();
    assert_eq!(
        cleared,
        Standing {
            last_failed_ms: 7,
            ..Standing::default()
        }
    );
    assert!(cleared.moved(Some(Units::ZERO), None, 9).is_err());
}
