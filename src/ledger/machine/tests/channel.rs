//! A channel's account is the sum of its own events and its calls'.

use super::*;
use crate::protocol::channel::{Rule, Unfit};
use std::sync::Arc;

fn opened(balance: u128, claimed: u128, charged_before: u128) -> ChannelState {
    let event = Event::ChannelOpened {
        opening: Arc::new(opening(1, 1)),
        on_chain: on_chain(balance, claimed),
        charged_before: Units::from_atomic(charged_before),
    };
    ChannelState::apply(None, &event).unwrap()
}

fn held(hold: &Hold) -> Event {
    Event::Held(Arc::new(hold.clone()))
}

/// (charged, reserved, running, the best voucher)
fn figures(state: &ChannelState) -> (u128, u128, u32, Option<u128>) {
    let best = state.voucher.as_ref().map(|v| v.max_claimable.atomic());
    let (charged, reserved) = (state.charged.atomic(), state.reserved.atomic());
    (charged, reserved, state.running, best)
}

#[test]
fn an_account_follows_its_calls() {
    let before = opened(1_000, 0, 0);
    let (first, second) = (
        channel_hold(1, 1, 50, (0, 100)),
        channel_hold(2, 1, 40, (0, 90)),
    );
    let state = before.after_call(&first, &held(&first)).unwrap();
    assert_eq!(figures(&state), (0, 50, 1, Some(100)));
    let state = state.after_call(&second, &held(&second)).unwrap();
    assert_eq!(
        figures(&state),
        (0, 90, 2, Some(100)),
        "the better voucher stays"
    );
    for event in [FORWARDED, ANSWERED, receipt()] {
        assert_eq!(state.after_call(&first, &event).as_ref(), Ok(&state));
    }
    let state = state.after_call(&first, &capture(&first, 30)).unwrap();
    assert_eq!(figures(&state), (30, 40, 1, Some(100)));
    assert_eq!(state.last_used_ms, 5);
    let state = state
        .after_call(&second, &voided(VoidReason::Restart))
        .unwrap();
    assert_eq!(figures(&state), (30, 0, 0, Some(100)));
    assert_eq!(state.unclaimed(), Units::from_atomic(30));
    let again = state.after_call(&second, &voided(VoidReason::Restart));
    assert!(again.is_err(), "nothing is reserved that could be released");
}

#[test]
fn a_call_is_taken_by_the_rule_it_names() {
    let unfit = |state: &ChannelState, hold: &Hold| match state.after_call(hold, &held(hold)) {
        Ok(_) => None,
        Err(TransitionError::Channel(unfit)) => Some(unfit),
        Err(error) => panic!("{error}"),
    };
    let strict = |mut hold: Hold| {
        hold.channel.as_mut().unwrap().rule = Rule::Strict;
        hold
    };
    let state = opened(200, 10, 0);
    let (late, ahead) = (
        channel_hold(1, 1, 50, (5, 105)),
        channel_hold(1, 1, 50, (11, 111)),
    );
    assert_eq!(unfit(&state, &late), None);
    assert_eq!(unfit(&state, &ahead), Some(Unfit::Mismatch));
    assert_eq!(unfit(&state, &strict(late.clone())), Some(Unfit::Mismatch));
    let exact = strict(channel_hold(1, 1, 50, (10, 60)));
    assert_eq!(unfit(&state, &exact), None);
    let running = state.after_call(&late, &held(&late)).unwrap();
    assert_eq!(unfit(&running, &exact), Some(Unfit::Busy));
    let rich = channel_hold(2, 1, 50, (10, 201));
    assert_eq!(unfit(&state, &rich), Some(Unfit::ExceedsBalance));
    // What the payer is withdrawing pays for nothing any more.
    let mut leaving = on_chain(200, 10);
    leaving.withdrawal = Some(PendingWithdrawal {
        amount: Units::from_atomic(100),
        finalize_after_s: 1,
    });
    let leaving = ChannelState::apply(Some(&state), &Event::ChannelObserved(leaving)).unwrap();
    assert_eq!(unfit(&leaving, &late), Some(Unfit::ExceedsBalance));
    assert_eq!(unfit(&leaving, &channel_hold(1, 1, 50, (5, 100))), None);
}

#[test]
fn a_hold_on_another_payers_channel_is_no_hold() {
    let state = opened(200, 0, 0);
    let good = channel_hold(1, 1, 50, (0, 100));
    assert!(state.after_call(&good, &held(&good)).is_ok());
    let changes: [fn(&mut Hold); 4] = [
        |hold| hold.payer = payer(2),
        |hold| hold.network = "eip155:1".to_owned(),
        |hold| hold.asset = payer(5),
        |hold| hold.channel.as_mut().unwrap().channel = channel_id(2),
    ];
    for change in changes {
        let mut bad = good.clone();
        change(&mut bad);
        let refused = state.after_call(&bad, &held(&bad));
        assert_eq!(
            refused,
            Err(TransitionError::Malformed { field: "channel" })
        );
    }
}

#[test]
fn what_others_claimed_counts_as_charged() {
    let adopted = opened(500, 20, 70);
    assert_eq!(
        (adopted.charged.atomic(), adopted.charged_elsewhere.atomic()),
        (70, 70)
    );
    let seen = |state: &ChannelState, claimed| {
        let event = Event::ChannelObserved(on_chain(500, claimed));
        ChannelState::apply(Some(state), &event).unwrap()
    };
    let claimed = seen(&adopted, 70);
    assert_eq!(
        (claimed.charged.atomic(), claimed.charged_elsewhere.atomic()),
        (70, 70)
    );
    let stolen = seen(&claimed, 90);
    assert_eq!(
        (stolen.charged.atomic(), stolen.charged_elsewhere.atomic()),
        (90, 90)
    );
    let reorganised = seen(&stolen, 20);
    assert_eq!(
        reorganised.charged.atomic(),
        90,
        "a charge is not taken back"
    );
    let reopened = ChannelState::apply(
        Some(&stolen),
        &Event::ChannelOpened {
            opening: Arc::new(opening(1, 1)),
            on_chain: on_chain(1, 0),
            charged_before: Units::ZERO,
        },
    );
    assert_eq!(reopened, Err(TransitionError::AlreadyExists));
}

#[test]
fn a_claim_asks_for_no_more_than_voucher_and_balance_reach() {
    let hold = channel_hold(1, 1, 50, (100, 200));
    let state = opened(300, 0, 100).after_call(&hold, &held(&hold)).unwrap();
    let state = state.after_call(&hold, &capture(&hold, 50)).unwrap();
    assert_eq!(state.claimable_total(), Units::from_atomic(150));
    let seen = |balance, claimed| {
        let event = Event::ChannelObserved(on_chain(balance, claimed));
        ChannelState::apply(Some(&state), &event).unwrap()
    };
    assert_eq!(seen(120, 0).claimable_total(), Units::from_atomic(120));
    assert_eq!(seen(300, 150).unclaimed(), Units::ZERO);
    assert_eq!(seen(400, 250).claimable_total(), Units::from_atomic(200));
    assert_eq!(seen(400, 250).unclaimed(), Units::ZERO);
    assert_eq!(
        opened(300, 0, 100).unclaimed(),
        Units::ZERO,
        "no voucher, no claim"
    );
}

#[test]
fn a_call_on_a_channel_is_never_settled_for_itself() {
    let hold = channel_hold(1, 1, 100, (0, 200));
    let mut state = CallState::apply(None, &held(&hold)).unwrap();
    for event in [FORWARDED, ANSWERED, capture(&hold, 40), receipt()] {
        assert!(state.open());
        assert!(!state.settlement_due());
        for settled in [sent(1, "0x1"), confirmed(), failed()] {
            let name = settled.name();
            let refused = CallState::apply(Some(&state), &settled);
            assert_eq!(
                refused,
                Err(TransitionError::SettlementNotDue { event: name })
            );
        }
        state = CallState::apply(Some(&state), &event).unwrap();
    }
    assert!(!state.open());
    assert_eq!(state.credit(), Ok(Credit::default()));
    assert_eq!(state.settlement_amount(), Some(Units::from_atomic(40)));
}

#[test]
fn a_channel_is_named_if_and_only_if_it_is_claimed_from() {
    let refused = |change: fn(&mut Hold)| {
        let mut hold = channel_hold(1, 1, 100, (0, 200));
        change(&mut hold);
        CallState::apply(None, &held(&hold)).is_err()
    };
    assert!(!refused(|_| {}));
    assert!(refused(|hold| hold.channel = None));
    assert!(refused(|hold| hold.takes = Takes::Held));
    assert!(refused(|hold| hold.settle_when = SettleWhen::After));
    assert!(refused(|hold| hold.settle_when = SettleWhen::Before));
}

#[test]
fn channels_survive_their_wire_form_and_hide_their_signatures() {
    let hold = channel_hold(1, 1, 50, (0, 100));
    let state = opened(300, 0, 0).after_call(&hold, &held(&hold)).unwrap();
    let text = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<ChannelState>(&text).unwrap(), state);
    assert!(text.contains("0x510064"));
    for shown in [format!("{state:?}"), format!("{:?}", held(&hold))] {
        assert!(!shown.contains("0x51"), "{shown}");
    }
    let id = channel_id(7);
    let text = id.to_string();
    assert_eq!((text.len(), text.parse()), (67, Ok(id)));
    assert_eq!(text.parse(), Ok(EntityId::Channel(id)));
    let event = Event::ChannelOpened {
        opening: state.opening,
        on_chain: state.on_chain,
        charged_before: Units::ZERO,
    };
    for event in [event, Event::ChannelObserved(on_chain(5, 4)), held(&hold)] {
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(
            serde_json::from_str::<Event>(&text).unwrap(),
            event,
            "{text}"
        );
    }
}
