//! What was in the chain and is no more.

use super::bench::{Bench, job, quick};
use alloy::primitives::{Address, U256};
use groat::chain::audit::{Party, transfers};
use groat::chain::{LaneEventKind, LanePolicy};

/// Deep enough that nothing here becomes final.
fn watchful() -> LanePolicy {
    LanePolicy {
        final_depth: 100,
        ..quick()
    }
}

async fn paid_once(bench: &Bench, value: u64) {
    assert_eq!(bench.received().await, U256::from(value));
    let payee = Party::To(bench.chain.pay_to_key.address());
    let moved = transfers(bench.rpc(), bench.chain.asset, 0, 10_000, payee).await;
    assert_eq!(moved.expect("logs").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_that_vanishes_in_a_reorg_is_settled_again() {
    for depth in [1, 8, 64] {
        let bench = Bench::start().await;
        let mut lane = bench.lane(watchful());
        let first = lane.settle(job("a", &bench.transfer(33))).await;
        assert_eq!(lane.confirmed().await, first);
        if depth > 1 {
            bench.mine(depth - 1).await;
        }
        let nothing: [u8; 0] = [];
        bench.node("anvil_reorg", (depth, nothing)).await;
        let vanished = LaneEventKind::Reorged {
            transaction: first.transaction,
        };
        assert_eq!(lane.event().await, vanished, "depth {depth}");
        let second = lane.confirmed().await;
        assert_eq!(second.transaction, first.transaction, "the same bytes");
        assert_ne!(second.block_hash, first.block_hash);
        paid_once(&bench, 33).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shorter_chain_is_a_reorg_too_once_it_stays_short() {
    let bench = Bench::start().await;
    let mut lane = bench.lane(watchful());
    let first = lane.settle(job("a", &bench.transfer(33))).await;
    assert_eq!(lane.confirmed().await, first);
    bench.node("anvil_rollback", (1,)).await;
    assert!(matches!(lane.event().await, LaneEventKind::Reorged { .. }));
    lane.confirmed().await;
    paid_once(&bench, 33).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_strangers_settlement_vanishes_we_send_our_own() {
    let bench = Bench::start().await;
    let transfer = bench.transfer(44);
    let calldata = transfer.calldata(false);
    let stranger = Address::repeat_byte(0x31);
    let theirs = bench
        .chain
        .send_as(stranger, transfer.asset, calldata)
        .await;
    theirs.expect("the stranger's call");
    let mut lane = bench.lane(watchful());
    let first = lane.settle(job("a", &transfer)).await;
    assert_eq!(lane.confirmed().await, first);
    let nothing: [u8; 0] = [];
    bench.node("anvil_reorg", (1, nothing)).await;
    assert!(matches!(lane.event().await, LaneEventKind::Reorged { .. }));
    let sent = lane.sent().await;
    assert_eq!(lane.confirmed().await.transaction, sent.transaction);
    paid_once(&bench, 44).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_settlements_survive_one_reorg_each_once() {
    let bench = Bench::start().await;
    let mut lane = bench.lane(watchful());
    // One after the other, so that each is in a block of its own.
    for n in 0..12 {
        lane.settle(job(&n.to_string(), &bench.transfer(1))).await;
        lane.confirmed().await;
    }
    let nothing: [u8; 0] = [];
    bench.node("anvil_reorg", (8, nothing)).await;
    let (mut vanished, mut back) = (0, 0);
    while vanished == 0 || back < vanished {
        match lane.event().await {
            LaneEventKind::Reorged { .. } => vanished += 1,
            LaneEventKind::Confirmed(_) => back += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(vanished, 8);
    assert_eq!(bench.received().await, U256::from(12));
}
