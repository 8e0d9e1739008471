//! Settlements on a chain that behaves.

use super::bench::{Bench, OutboxMode, job, quick, settled, soon, until};
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolCall;
use groat::chain::bindings::IEip3009Token::transferCall;
use groat::chain::{
    Expect, FailReason, Job, LaneEventKind, LanePolicy, Outcome, ResumeRefusal, Sent, Unhealthy,
};
use std::time::Duration;

alloy::sol! {
    function cancelAuthorization(address authorizer, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_transfer_settles_and_becomes_final() {
    let bench = Bench::start().await;
    let mut lane = bench.lane(quick());
    let settled = lane.settle(job("a", &bench.transfer(1000))).await;

    let sent = lane.sent().await;
    assert_eq!(sent.transaction, settled.transaction);
    assert_eq!(lane.event().await, LaneEventKind::Confirmed(settled));
    assert_eq!(bench.outbox.of("a"), vec![sent]);
    assert_eq!(bench.received().await, U256::from(1000));
    let receipt = bench.receipt(settled.transaction).await;
    assert_eq!(receipt.block_hash(), settled.block_hash);
    assert!(lane.relayer.healthy().is_ok());

    bench.mine(11).await;
    assert!(lane.events.try_recv().is_err(), "final too early");
    bench.mine(1).await;
    assert_eq!(lane.event().await, LaneEventKind::Final);
    bench.chain.stop().await.expect("anvil ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_at_once_settle_each_once_on_one_lane() {
    let bench = Bench::start().await;
    let lane = bench.lane(LanePolicy {
        in_flight_max: 32,
        queue_max: 8,
        ..quick()
    });
    let all = futures::future::join_all((0..100u64).map(|n| {
        let job = job(&format!("job {n}"), &bench.transfer(1 + n));
        lane.settle(job)
    }));
    let settled = soon(all).await;
    let distinct: std::collections::BTreeSet<B256> =
        settled.iter().map(|s| s.transaction).collect();
    assert_eq!(distinct.len(), 100);
    assert_eq!(
        bench.received().await,
        U256::from((1..=100u64).sum::<u64>())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_job_submitted_twice_is_sent_once() {
    let bench = Bench::start().await;
    let lane = bench.lane(quick());
    let one = job("a", &bench.transfer(5));
    let first = lane.submit(one.clone()).await;
    let second = lane.submit(one.clone()).await;
    let first = settled(first).await;
    assert_eq!(first, settled(second).await);
    assert_eq!(first, lane.settle(one).await, "also after it settled");
    assert_eq!(bench.outbox.of("a").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_someone_else_used_counts_as_settled_by_them() {
    let bench = Bench::start().await;
    let transfer = bench.transfer(70);
    let stranger = Address::repeat_byte(0x77);
    let calldata = transfer.calldata(false);
    let theirs = bench
        .chain
        .send_as(stranger, transfer.asset, calldata)
        .await;
    theirs.expect("the stranger's call");
    let block = bench.rpc().latest_block().await.expect("a block");

    let settled = bench.lane(quick()).settle(job("a", &transfer)).await;
    assert_eq!(settled.block_hash, block.hash());
    assert!(bench.outbox.of("a").is_empty(), "nothing of ours was sent");
    assert_eq!(bench.received().await, U256::from(70));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_its_signer_called_off_fails() {
    let bench = Bench::start().await;
    let transfer = bench.transfer(70);
    let (v, r, s) = bench.cancellation(&transfer);
    let cancel = cancelAuthorizationCall {
        authorizer: transfer.from,
        nonce: transfer.nonce,
        v,
        r,
        s,
    };
    let calldata = cancel.abi_encode().into();
    let canceled = bench.chain.send_as(transfer.from, transfer.asset, calldata);
    canceled.await.expect("the cancellation");
    let lane = bench.lane(quick());
    let outcome = soon(lane.submit(job("a", &transfer)).await.outcome()).await;
    assert_eq!(
        outcome,
        Ok(Outcome::Failed(FailReason::AuthorizationCanceled))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_simulation_refuses_is_not_sent() {
    let bench = Bench::start().await;
    let lane = bench.lane(quick());
    let transfer = bench.transfer(groat::chain::dev::PAYER_FUNDS + 1);
    let outcome = soon(lane.submit(job("a", &transfer)).await.outcome()).await;
    let Ok(Outcome::Failed(FailReason::Simulation(reason))) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(!reason.message().is_empty());
    assert!(bench.outbox.of("a").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulation_that_reverts_for_a_moment_fails_nothing() {
    let bench = Bench::start().await;
    let lane = bench.lane(LanePolicy {
        doubt: Duration::from_secs(60),
        ..quick()
    });
    let payer = PrivateKeySigner::random();
    let asset = bench.chain.asset;
    let transfer = bench.transfer_by(&payer, asset, 10);
    let ticket = lane.submit(job("late", &transfer)).await;
    // One that settles proves that the lane has looked at the other meanwhile.
    lane.settle(job("now", &bench.transfer(1))).await;
    let minted = bench.chain.mint(asset, payer.address(), transfer.value);
    minted.await.expect("tokens");
    settled(ticket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn success_without_the_transfer_event_is_failure() {
    const QUIET: &str = include_str!("../../../contracts/artifacts/QuietToken.json");
    let bench = Bench::start().await;
    let asset = Address::repeat_byte(0x9a);
    let payer = &bench.chain.payer_key;
    bench.chain.install(asset, QUIET).await.expect("a token");
    let lane = bench.lane(quick());
    // The payer has none of it: where USDC reverts, this token says nothing.
    let transfer = bench.transfer_by(payer, asset, 10);
    let outcome = soon(lane.submit(job("a", &transfer)).await.outcome()).await;
    assert_eq!(
        outcome,
        Ok(Outcome::Failed(FailReason::TransferEventMismatch))
    );
}

/// A payout of the relayer's own tokens: no authorization keeps it from happening twice.
pub(super) async fn payout(bench: &Bench, id: &str, value: u64) -> Job {
    let from = bench.chain.relayer_key.address();
    let to = bench.chain.pay_to_key.address();
    let value = U256::from(value);
    let minted = bench.chain.mint(bench.chain.asset, from, value).await;
    minted.expect("tokens");
    Job {
        id: id.to_owned(),
        to: bench.chain.asset,
        calldata: transferCall { to, value }.abi_encode().into(),
        expect: Expect::Transfer {
            asset: bench.chain.asset,
            from,
            to,
            value,
        },
        authorization: None,
        gas_limit_max: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_settles_once_even_when_resumed_after_it_was_mined() {
    let bench = Bench::start().await;
    let payout = payout(&bench, "out", 9).await;
    let lane = bench.lane(quick());
    let first = lane.settle(payout.clone()).await;
    lane.relayer.stop();
    // More than enough for a second one, if it were sent.
    let again = bench.lane(quick());
    let relayer = bench.chain.relayer_key.address();
    let minted = bench.chain.mint(bench.chain.asset, relayer, U256::from(9));
    minted.await.expect("tokens");
    let ticket = again.relayer.resume(payout.clone(), bench.outbox.of("out"));
    assert_eq!(settled(ticket.await.expect("a lane")).await, first);
    assert_eq!(bench.received().await, U256::from(9));

    let other = Sent {
        relayer: Address::repeat_byte(1),
        lane_nonce: 0,
        transaction: B256::ZERO,
        raw_transaction: Bytes::new(),
    };
    let mut strange = payout;
    strange.id = "other".to_owned();
    let refused = again.relayer.resume(strange, vec![other]).await;
    assert!(matches!(refused, Err(ResumeRefusal::OtherRelayer(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_gas_jobs_wait_and_the_lane_says_why() {
    let bench = Bench::start().await;
    let relayer = bench.chain.relayer_key.address();
    let fund = |wei: u64| bench.chain.fund(relayer, U256::from(wei));
    fund(1000).await.expect("set");
    let lane = bench.lane(quick());
    let ticket = lane.submit(job("a", &bench.transfer(3))).await;
    let mut health = lane.relayer.health();
    let ill = soon(health.wait_for(Result::is_err)).await.expect("a lane");
    let reason = ill.clone().expect_err("ill");
    assert!(matches!(reason, Unhealthy::OutOfGas { .. }), "{reason}");
    drop(ill);
    assert!(bench.outbox.of("a").is_empty());
    fund(1_000_000_000_000_000_000).await.expect("set");
    settled(ticket).await;
    soon(health.wait_for(Result::is_ok)).await.expect("a lane");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_while_the_outbox_refuses() {
    let bench = Bench::start().await;
    bench.outbox.turn(OutboxMode::Refuses);
    let lane = bench.lane(quick());
    let ticket = lane.submit(job("a", &bench.transfer(3))).await;
    until(|| async { lane.relayer.healthy() == Err(Unhealthy::Outbox) }).await;
    let count = bench
        .node(
            "eth_getTransactionCount",
            (lane.relayer.address(), "pending"),
        )
        .await;
    assert_eq!(count, "0x0");
    bench.outbox.turn(OutboxMode::Records);
    settled(ticket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_automined_settlement_is_confirmed_at_the_next_look() {
    let bench = Bench::start().await;
    // A lane that, after its first pauses, would look every ten seconds.
    let lane = bench.lane(LanePolicy {
        poll_max: Duration::from_secs(10),
        poll_idle: Duration::from_secs(10),
        ..LanePolicy::default()
    });
    let ticket = lane.submit(job("a", &bench.transfer(3))).await;
    let quick = tokio::time::timeout(Duration::from_secs(5), settled(ticket)).await;
    quick.expect("within the first, short pauses");
}
