#![expect(
    clippy::unwrap_used,
    reason = "a failed test should stop where it failed"
)]

mod channel;
mod operation;

use super::samples::*;
use super::*;
use crate::money::Units;
use sha2::Digest as _;
use std::sync::Arc;

const REORGED: Event = Event::SettlementReorged { at_ms: 9 };
const FORWARDED: Event = Event::Forwarded { at_ms: 2 };
const ANSWERED: Event = Event::Answered { at_ms: 3 };

fn voided(reason: VoidReason) -> Event {
    Event::Voided { reason, at_ms: 4 }
}

/// The state after `events` on a hold of 100, or the refusal of the first illegal one.
fn run(when: SettleWhen, events: &[Event]) -> Result<CallState, TransitionError> {
    let held = CallState::apply(None, &Event::Held(Arc::new(hold(1, 100, when))));
    events
        .iter()
        .fold(held, |state, event| CallState::apply(Some(&state?), event))
}

fn captured(when: SettleWhen, charged: u128) -> [Event; 3] {
    [FORWARDED, ANSWERED, capture(&hold(1, 100, when), charged)]
}

#[test]
fn calls_are_in_the_order_they_came_in_whatever_is_random_of_their_ids() {
    let early = CallId::new(1_790_000_000_000, [0xff; 10]);
    let late = CallId::new(1_790_000_000_001, [0x00; 10]);
    assert!(early < late && early.to_string() < late.to_string());
    assert_eq!(early.to_string(), "call_01a0c4506c00ffffffffffffffffffff");
    assert_ne!(late, CallId::new(1_790_000_000_001, [0x01; 10]));
}

#[test]
fn only_who_was_quoted_may_answer_and_at_the_prices_that_were_quoted() {
    let row = r#"{"prompt":"1"}"#;
    let mut hold = hold(1, 100, SettleWhen::After);
    hold.alternatives = vec![Alternative {
        endpoint: "other".to_owned(),
        price_row_sha256: Digest32::from_bytes(sha2::Sha256::digest(row).into()),
    }];
    let answered = |endpoint: &str, price_row: &str| {
        let Event::Captured(mut capture) = capture(&hold, 40) else {
            unreachable!("a capture")
        };
        capture.answered_by = Some(Box::new(AnsweredBy {
            endpoint: endpoint.to_owned(),
            price_row: price_row.to_owned(),
        }));
        let held = CallState::apply(None, &Event::Held(Arc::new(hold.clone())));
        [FORWARDED, ANSWERED, Event::Captured(capture)]
            .iter()
            .fold(held, |state, event| CallState::apply(Some(&state?), event))
    };
    let state = answered("other", row).unwrap();
    assert_eq!(state.answering(), ("other", row));
    for (endpoint, row) in [("stranger", row), ("other", r#"{"prompt":"2"}"#)] {
        assert_eq!(answered(endpoint, row), Err(TransitionError::NotQuoted));
    }
}

#[test]
fn work_goes_forward_only() {
    use SettleWhen::After;
    let capture = || capture(&hold(1, 100, After), 40);
    let voided = || voided(VoidReason::UpstreamRefused);
    let to: [(&str, Vec<Event>); 5] = [
        ("held", vec![]),
        ("forwarded", vec![FORWARDED]),
        ("answered", vec![FORWARDED, ANSWERED]),
        ("captured", vec![FORWARDED, ANSWERED, capture()]),
        ("voided", vec![voided()]),
    ];
    let legal = [
        ("held", "forwarded"),
        ("held", "voided"),
        ("forwarded", "answered"),
        ("forwarded", "voided"),
        ("answered", "captured"),
        ("captured", "receipted"),
    ];
    for (state, path) in &to {
        for event in [FORWARDED, ANSWERED, capture(), voided(), receipt()] {
            let mut path = path.clone();
            path.push(event.clone());
            let allowed = legal.contains(&(*state, event.name()));
            assert_eq!(
                run(After, &path).is_ok(),
                allowed,
                "{} after {state}",
                event.name()
            );
        }
    }
}

#[test]
fn a_settlement_goes_by_its_table() {
    let (sent, confirmed, failed) = (|| sent(4, "0x1"), confirmed, failed);
    let to: [(&str, Vec<Event>); 4] = [
        ("none", vec![]),
        ("sent", vec![sent()]),
        ("confirmed", vec![sent(), confirmed()]),
        ("failed", vec![sent(), failed()]),
    ];
    let legal = [
        ("none", "settlement_sent"),
        ("none", "settlement_failed"),
        ("sent", "settlement_sent"),
        ("sent", "settlement_confirmed"),
        ("sent", "settlement_failed"),
        ("failed", "settlement_confirmed"),
        ("confirmed", "settlement_reorged"),
        ("failed", "settlement_reorged"),
    ];
    for (state, path) in &to {
        for event in [sent(), confirmed(), failed(), REORGED] {
            let mut path = path.clone();
            path.push(event.clone());
            let allowed = legal.contains(&(*state, event.name()));
            let result = run(SettleWhen::Before, &path);
            // Anybody may execute an authorization that we have not sent; a payout only we send.
            let by_others = (*state, event.name()) == ("none", "settlement_confirmed");
            assert_eq!(
                result.is_ok(),
                allowed || by_others,
                "{} after {state}",
                event.name()
            );
            let request =
                WithdrawalState::apply(None, &Event::WithdrawalRequested(withdrawal(1, 1, 5)));
            let payout = path
                .iter()
                .fold(request, |s, e| WithdrawalState::apply(Some(&s?), e));
            assert_eq!(
                payout.is_ok(),
                allowed,
                "payout: {} after {state}",
                event.name()
            );
        }
    }
}

#[test]
fn rule_2_the_upstream_is_called_at_most_once() {
    let twice = [FORWARDED, FORWARDED];
    assert_eq!(
        run(SettleWhen::After, &twice),
        Err(TransitionError::AlreadyForwarded)
    );
    let unpaid = [failed(), FORWARDED];
    assert_eq!(
        run(SettleWhen::Before, &unpaid),
        Err(TransitionError::ForwardUnpaid)
    );
}

#[test]
fn rule_3_captured_is_at_most_held_is_at_most_the_ceiling() {
    let mut high = hold(1, 100, SettleWhen::After);
    high.held = Units::from_atomic(101);
    let refused = CallState::apply(None, &Event::Held(Arc::new(high)));
    assert!(matches!(
        refused,
        Err(TransitionError::HeldAboveCeiling { .. })
    ));
    for when in [
        SettleWhen::Before,
        SettleWhen::OnFirstByte,
        SettleWhen::After,
    ] {
        assert!(run(when, &captured(when, 100)).is_ok());
        let above = run(when, &captured(when, 101));
        assert!(matches!(
            above,
            Err(TransitionError::ChargedAboveHeld { .. })
        ));
    }
}

#[test]
fn a_charge_is_at_most_the_bill_and_the_credit_is_exact() {
    let with = |when, change: &dyn Fn(&mut Capture)| {
        let mut events = captured(when, 40);
        if let [_, _, Event::Captured(capture)] = &mut events {
            change(capture);
        }
        run(when, &events)
    };
    let above = with(SettleWhen::After, &|c| {
        c.total = crate::money::Pusd::from_pico(39_000_000)
    });
    assert!(matches!(
        above,
        Err(TransitionError::ChargedAboveBill { .. })
    ));
    for credited in [0, 59, 61] {
        let wrong = with(SettleWhen::Before, &|c| {
            c.credited = Units::from_atomic(credited)
        });
        assert!(matches!(wrong, Err(TransitionError::CreditMismatch { .. })));
    }
    // What an `upto` payment never moves is released, not credited.
    let wrong = with(SettleWhen::After, &|c| c.credited = Units::from_atomic(60));
    assert!(matches!(wrong, Err(TransitionError::CreditMismatch { .. })));
}

#[test]
fn rule_6_an_answered_call_is_given_away_only_for_our_own_fault() {
    let answered = |reason| run(SettleWhen::After, &[FORWARDED, ANSWERED, voided(reason)]);
    let theirs = VoidReason::UpstreamUnavailable;
    assert_eq!(
        answered(theirs),
        Err(TransitionError::VoidAfterAnswer(theirs))
    );
    for ours in [
        VoidReason::Restart,
        VoidReason::Shutdown,
        VoidReason::Internal,
    ] {
        assert!(answered(ours).is_ok());
    }
}

#[test]
fn a_settlement_is_due_when_its_time_has_come() {
    let due = |when, events: &[Event]| run(when, events).map(|s| s.settlement_due()).unwrap();
    use SettleWhen::{After, Before, OnFirstByte};
    let paths: [(&[Event], [bool; 3]); 6] = [
        (&[], [true, false, false]),
        (&[FORWARDED], [true, false, false]),
        (&[FORWARDED, ANSWERED], [true, true, false]),
        (&captured(After, 40), [true, true, true]),
        (&captured(After, 0), [true, true, false]),
        (
            &[voided(VoidReason::UpstreamInvalid)],
            [false, false, false],
        ),
    ];
    for (path, expected) in paths {
        for (when, expected) in [Before, OnFirstByte, After].into_iter().zip(expected) {
            let mut path = path.to_vec();
            if let [.., Event::Captured(c)] = path.as_mut_slice() {
                **c = match capture(&hold(1, 100, when), c.charged.atomic()) {
                    Event::Captured(right) => *right,
                    _ => continue,
                };
            }
            assert_eq!(due(when, &path), expected, "{when:?} after {path:?}");
            if !expected && !path.is_empty() {
                path.push(sent(1, "0x1"));
                assert!(
                    run(when, &path).is_err(),
                    "{when:?}: sent while nothing was due"
                );
            }
        }
    }
}

#[test]
fn rule_8_a_settlement_is_resent_under_its_own_nonce_only() {
    let request = Event::WithdrawalRequested(withdrawal(1, 1, 5));
    let payout = |events: &[Event]| {
        let requested = WithdrawalState::apply(None, &request);
        events
            .iter()
            .fold(requested, |s, e| WithdrawalState::apply(Some(&s?), e))
    };
    let resent = |nonce| payout(&[sent(4, "0x1"), sent(nonce, "0x2")]);
    assert_eq!(resent(5), Err(TransitionError::LaneChanged));
    let state = resent(4).unwrap();
    let broadcast = state.settlement.broadcast().unwrap();
    let hashes: Vec<&str> = broadcast
        .attempts
        .iter()
        .map(|a| a.transaction.as_str())
        .collect();
    assert_eq!(hashes, ["0x1", "0x2"]);
    let again = payout(&[sent(4, "0x1"), confirmed(), REORGED, sent(5, "0x3")]);
    assert_eq!(again, Err(TransitionError::LaneChanged));
    let authorized = run(SettleWhen::Before, &[sent(4, "0x1"), sent(5, "0x2")]);
    assert!(
        authorized.is_ok(),
        "an authorization pays once under any nonce"
    );
    let bumps: Vec<Event> = (0..65).map(|n| sent(4, &format!("0x{n}"))).collect();
    assert_eq!(
        run(SettleWhen::Before, &bumps),
        Err(TransitionError::TooManyAttempts)
    );
}

#[test]
fn a_call_is_open_until_it_is_done_settled_and_receipted() {
    let open = |events: &[Event]| run(SettleWhen::After, events).map(|s| s.open()).unwrap();
    let mut path = captured(SettleWhen::After, 40).to_vec();
    for (event, still_open) in [
        (sent(1, "0x1"), true),
        (receipt(), true),
        (confirmed(), false),
        (REORGED, true),
        (failed(), false),
    ] {
        path.push(event);
        assert_eq!(open(&path), still_open, "{path:?}");
    }
    assert!(!open(&[voided(VoidReason::UpstreamRefused)]));
    let free = [
        FORWARDED,
        ANSWERED,
        capture(&hold(1, 100, SettleWhen::After), 0),
        receipt(),
    ];
    assert!(!open(&free));
}

#[test]
fn credit_follows_the_settlement() {
    let credit = |when, events: &[Event]| {
        let credit = run(when, events).unwrap().credit().unwrap();
        (credit.available, credit.pending)
    };
    let mut path = captured(SettleWhen::OnFirstByte, 40).to_vec();
    for (event, expected) in [
        (sent(1, "0x1"), (0, 60)),
        (failed(), (0, 0)),
        (confirmed(), (60, 0)),
        (REORGED, (0, 60)),
    ] {
        path.push(event);
        assert_eq!(credit(SettleWhen::OnFirstByte, &path), expected, "{path:?}");
    }
    let paid_for_nothing = [
        sent(1, "0x1"),
        voided(VoidReason::UpstreamUnavailable),
        confirmed(),
    ];
    assert_eq!(credit(SettleWhen::Before, &paid_for_nothing), (100, 0));
    let mut upto = captured(SettleWhen::After, 40).to_vec();
    upto.extend([sent(1, "0x1"), confirmed()]);
    assert_eq!(credit(SettleWhen::After, &upto), (0, 0));
}

#[test]
fn ids_have_one_form() {
    let id = call_id(5);
    assert_eq!(id.to_string().parse(), Ok(id));
    let upper = "call_0000000000000000000000000000000A";
    for bad in [
        "",
        "call_",
        "wd_00000000000000000000000000000005",
        upper,
        "call_05",
    ] {
        assert!(bad.parse::<CallId>().is_err(), "{bad}");
    }
    for bad in [
        "0xABC",
        "",
        &payer(1)[..41],
        "0x000000000000000000000000000000000000000G",
    ] {
        assert!(CreditKey::of(bad, NETWORK, ASSET).is_err(), "{bad}");
    }
    assert!(CreditKey::of(&payer(1), "a/b", ASSET).is_err());
}

#[test]
fn events_survive_their_wire_form_and_hide_their_signature() {
    let hold = hold(1, 100, SettleWhen::Before);
    assert!(!format!("{:?}", Event::Held(Arc::new(hold.clone()))).contains("signature"));
    let capture = capture(&hold, 40);
    for event in [
        Event::Held(Arc::new(hold)),
        capture,
        sent(1, "0x1"),
        confirmed(),
        receipt(),
    ] {
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(
            serde_json::from_str::<Event>(&text).unwrap(),
            event,
            "{text}"
        );
    }
}
