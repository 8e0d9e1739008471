use super::*;

fn event(channel: u8, block: u64, kind: ChannelEventKind) -> ChannelEvent {
    ChannelEvent {
        place: place(block),
        channel: B256::repeat_byte(channel),
        kind,
    }
}

fn place(block: u64) -> Place {
    Place {
        block,
        log_index: 0,
        block_hash: B256::ZERO,
        transaction: B256::ZERO,
    }
}

#[test]
fn each_channels_events_are_summed_apart() {
    let deposited = |amount, new_balance| ChannelEventKind::Deposited {
        amount,
        new_balance,
    };
    let claimed = |amount, new_total| ChannelEventKind::Claimed { amount, new_total };
    let begun = ChannelEventKind::WithdrawInitiated {
        amount: 100,
        finalize_after: 9,
    };
    let events = [
        event(1, 1, deposited(500, 500)),
        event(2, 1, deposited(70, 70)),
        event(1, 2, claimed(120, 120)),
        event(1, 3, deposited(200, 700)),
        event(1, 4, claimed(30, 150)),
        event(2, 5, ChannelEventKind::Refunded { amount: 70 }),
        event(1, 6, begun),
        event(1, 7, ChannelEventKind::WithdrawFinalized { amount: 100 }),
    ];
    let payouts = [120, 25].map(|amount| Payout {
        place: place(5),
        amount,
    });
    let flows = ChannelFlows::of(&events, payouts.to_vec());
    let one = Flow {
        deposited: U256::from(700),
        claimed: U256::from(150),
        refunded: U256::ZERO,
        withdrawn: U256::from(100),
    };
    let channel = B256::repeat_byte(1);
    assert_eq!(flows.now(&channel), one);
    assert_eq!(one.held(), Some(U256::from(600)));
    assert_eq!(one.unclaimed(), Some(U256::from(450)));
    let two = flows.now(&B256::repeat_byte(2));
    assert_eq!((two.claimed, two.held()), (U256::ZERO, Some(U256::ZERO)));
    assert_eq!(flows.now(&B256::repeat_byte(3)), Flow::default());
    let third = flows.at(&channel, 3);
    assert_eq!(
        (third.deposited, third.claimed),
        (U256::from(700), U256::from(120))
    );
    let life = flows.life(&channel);
    assert_eq!(life.len(), 6);
    assert!(life.windows(2).all(|two| two[0].after == two[1].before));
    assert_eq!(flows.claimed(), U256::from(150));
    assert_eq!(flows.paid_out(), U256::from(145));
}

#[test]
fn more_out_than_in_is_no_channels_life() {
    let flow = Flow {
        deposited: U256::from(5),
        refunded: U256::from(6),
        ..Flow::default()
    };
    assert_eq!(flow.held(), None);
}
