//! What is decided about channels without anybody being asked.

use super::claims::{ClaimPolicy, batches, choose, is_due, row};
use super::job::Row;
use super::keeper::is_idle;
use super::mirror::fresh_for;
use super::refund::best_row;
use super::watch::{Watched, Window};
use super::{chain_id, ledger_id};
use crate::chain::{ChannelEvent, ChannelEventKind, Place};
use crate::ledger::{
    ChannelId, ChannelOnChain, ChannelOpening, ChannelState, KeptVoucher, PendingWithdrawal,
};
use crate::money::{AssetDecimals, Units};
use crate::protocol::channel::Voucher;
use alloy::primitives::{B256, Bytes};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

const NOW_MS: u64 = 1_800_000_000_000;

fn units(amount: u128) -> Units {
    Units::from_atomic(amount)
}

fn id(n: u8) -> ChannelId {
    ChannelId::from_bytes([n; 32])
}

/// A channel of 1000 units, with a voucher for `signed`.
fn channel(n: u8, signed: u128, charged: u128, claimed: u128) -> ChannelState {
    let address = |byte: u8| format!("0x{}", hex::encode([byte; 20]));
    ChannelState {
        opening: Arc::new(ChannelOpening {
            channel: id(n),
            payer: address(1),
            network: "eip155:84532".to_owned(),
            contract: address(2),
            asset: address(3),
            asset_decimals: AssetDecimals::USDC,
            receiver: address(4),
            config: serde_json::Value::Null,
            at_ms: NOW_MS,
        }),
        on_chain: ChannelOnChain {
            balance: units(1000),
            total_claimed: units(claimed),
            refund_nonce: 0,
            withdrawal: None,
            block: 7,
            at_ms: NOW_MS,
        },
        voucher: Some(KeptVoucher {
            max_claimable: units(signed),
            signature: "0x1234".to_owned(),
        }),
        charged: units(charged),
        charged_elsewhere: Units::ZERO,
        unclaimed_since_ms: (charged > claimed).then_some(NOW_MS),
        reserved: Units::ZERO,
        running: 0,
        last_used_ms: NOW_MS,
    }
}

const POLICY: ClaimPolicy = ClaimPolicy {
    after_ms: 1000,
    above: Units::from_atomic(400),
};

#[test]
fn charges_are_claimed_by_age_by_amount_and_at_once_when_a_withdrawal_begins() {
    let young = channel(1, 500, 100, 0);
    assert!(!is_due(&young, POLICY, NOW_MS + 999));
    assert!(is_due(&young, POLICY, NOW_MS + 1000));
    assert!(!is_due(&channel(1, 500, 399, 0), POLICY, NOW_MS));
    assert!(is_due(&channel(1, 500, 400, 0), POLICY, NOW_MS));
    let mut leaving = young.clone();
    leaving.on_chain.withdrawal = Some(PendingWithdrawal {
        amount: units(900),
        finalize_after_s: u64::MAX,
    });
    assert!(is_due(&leaving, POLICY, NOW_MS));
    leaving.on_chain.total_claimed = units(100);
    assert!(
        !is_due(&leaving, POLICY, NOW_MS),
        "nothing is left to claim"
    );
}

#[test]
fn what_is_half_due_goes_along_with_what_is_due() {
    let states = [
        channel(1, 500, 100, 0),
        channel(2, 500, 200, 0),
        channel(3, 500, 100, 100),
    ];
    assert!(choose(&states, POLICY, NOW_MS).is_empty(), "no reason yet");
    assert_eq!(choose(&states, POLICY, NOW_MS + 999), []);
    assert_eq!(choose(&states, POLICY, NOW_MS + 1000), [id(1), id(2)]);
    let with_much = [
        channel(1, 500, 100, 0),
        channel(2, 500, 200, 0),
        channel(4, 500, 450, 0),
    ];
    assert_eq!(choose(&with_much, POLICY, NOW_MS), [id(2), id(4)]);
}

#[test]
fn a_row_claims_what_voucher_and_balance_cover() {
    let claims = |state: &ChannelState| row(state).map(|row| (row.0.atomic(), row.1.atomic()));
    assert_eq!(claims(&channel(1, 500, 100, 40)), Some((500, 100)));
    assert_eq!(claims(&channel(1, 80, 100, 40)), Some((80, 80)));
    assert_eq!(claims(&channel(1, 5000, 4000, 40)), Some((5000, 1000)));
    assert_eq!(claims(&channel(1, 500, 40, 40)), None);
    let mut unsigned = channel(1, 500, 100, 40);
    unsigned.voucher = None;
    assert_eq!(claims(&unsigned), None);
}

#[test]
fn a_refund_claims_by_the_better_of_our_voucher_and_the_one_that_asks() {
    let asks = |max: u128| Voucher {
        channel_id: chain_id(&id(1)),
        max_claimable: units(max),
        signature: vec![9],
    };
    let by = |state: &ChannelState, max| best_row(state, Some(&asks(max)));
    let ours = row(&channel(1, 500, 100, 0));
    assert_eq!(by(&channel(1, 500, 100, 0), 100), ours);
    let mut lost = channel(1, 500, 100, 0);
    lost.voucher = None;
    let theirs = Row(units(100), units(100), Bytes::from(vec![9]));
    assert_eq!(by(&lost, 100), Some(theirs));
    assert_eq!(best_row(&lost, None), None);
    assert_eq!(by(&channel(1, 500, 100, 100), 100), None, "all is claimed");
}

#[test]
fn only_a_channel_with_a_rest_and_without_calls_is_idle() {
    let state = channel(1, 500, 100, 0);
    assert!(!is_idle(&state, 0, u64::MAX), "never, says the operator");
    assert!(!is_idle(&state, 1000, NOW_MS + 999));
    assert!(is_idle(&state, 1000, NOW_MS + 1000));
    let running = ChannelState {
        running: 1,
        ..state.clone()
    };
    assert!(!is_idle(&running, 1000, u64::MAX));
    assert!(
        !is_idle(&channel(1, 1000, 1000, 0), 1000, u64::MAX),
        "no rest"
    );
}

#[test]
fn a_look_is_believed_for_a_third_of_the_delay_within_bounds() {
    assert_eq!(fresh_for(900), Duration::from_secs(300));
    assert_eq!(fresh_for(60), Duration::from_secs(30));
    assert_eq!(fresh_for(300), Duration::from_secs(100));
    assert_eq!(fresh_for(2_592_000), Duration::from_secs(300));
}

fn event(n: u8, block: u64, log_index: u64) -> ChannelEvent {
    ChannelEvent {
        place: Place {
            block,
            log_index,
            block_hash: B256::repeat_byte(u8::try_from(block).unwrap_or_default()),
            transaction: B256::ZERO,
        },
        channel: chain_id(&id(n)),
        kind: ChannelEventKind::Refunded { amount: 1 },
    }
}

#[test]
fn an_event_is_news_once_and_its_vanishing_is_news_as_well() {
    let mut window = Window::default();
    let first = [event(1, 10, 0), event(1, 11, 0), event(2, 11, 1)];
    let news = window.take(8, &first);
    assert_eq!(
        news.into_iter().collect::<Vec<_>>(),
        [(id(1), 11), (id(2), 11)]
    );
    assert!(window.take(9, &first).is_empty(), "seen before");
    let other = ChannelEvent {
        place: Place {
            block_hash: B256::repeat_byte(99),
            ..first[1].place
        },
        ..first[1]
    };
    let news = window.take(9, &[first[0], other]);
    let touched: Vec<ChannelId> = news.into_keys().collect();
    assert_eq!(
        touched,
        [id(1), id(2)],
        "another block has the one, none has the other"
    );
    assert!(window.take(12, &[]).is_empty(), "old enough to be final");
    let news = window.take(12, &[event(3, 12, 0)]);
    window.forget(&news.into_keys().collect());
    assert_eq!(window.take(12, &[event(3, 12, 0)]).len(), 1, "news again");
}

#[test]
fn a_watch_vouches_only_for_what_it_saw_from_the_read_on() {
    let watched = Watched::default();
    let state = channel(1, 500, 100, 0);
    assert!(!watched.vouches_for(&state, 0));
    watched.add(id(1));
    watched.looked(watched.channels(), 7, NOW_MS);
    assert!(watched.vouches_for(&state, NOW_MS - 1));
    assert!(!watched.vouches_for(&state, NOW_MS), "the look is too old");
    assert!(!watched.vouches_for(&channel(2, 1, 1, 1), 0), "not watched");
    watched.looked(watched.channels(), 8, NOW_MS);
    assert!(
        !watched.vouches_for(&state, 0),
        "read before the watch began"
    );
    watched.looked(watched.channels(), 7, NOW_MS);
    watched.remove(&id(1));
    assert!(!watched.vouches_for(&state, 0));
}

#[test]
fn ids_are_the_same_on_the_wire_and_in_the_books() {
    let wire = B256::repeat_byte(0xab);
    assert_eq!(chain_id(&ledger_id(wire)), wire);
}

proptest! {
    #[test]
    fn every_row_is_in_one_batch_and_every_batch_fits_a_record(
        sizes in prop::collection::vec(65_usize..4000, 0..300),
    ) {
        let rows: Vec<(usize, Row)> = sizes
            .iter()
            .enumerate()
            .map(|(n, size)| (n, Row(units(u128::MAX), units(u128::MAX), vec![7; *size].into())))
            .collect();
        let batches = batches(rows.clone());
        let together: Vec<(usize, Row)> = batches.iter().flatten().cloned().collect();
        prop_assert_eq!(together, rows);
        for batch in batches {
            prop_assert!((1..=80).contains(&batch.len()));
            let channels: Vec<ChannelId> = batch.iter().map(|_| id(255)).collect();
            let rows: Vec<&Row> = batch.iter().map(|(_, row)| row).collect();
            let record = serde_json::json!({"channels": channels, "rows": rows}).to_string();
            prop_assert!(record.len() < 32 << 10 || rows.len() == 1, "{}", record.len());
        }
    }
}
