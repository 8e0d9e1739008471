//! Settlements while nodes, strangers and crashes interfere.

use super::bench::{Bench, OutboxMode, job, quick, send_raw, settled, soon};
use super::proxy::{Mood, Proxy};
use super::settle::payout;
use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Address, Bytes, TxKind, U256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use futures::FutureExt;
use groat::chain::{FailReason, LanePolicy, Outcome, Unhealthy};
use std::time::Duration;

fn signed(key: &PrivateKeySigner, nonce: u64, tip: u128, to: Address, input: Bytes) -> Bytes {
    let transaction = TxEip1559 {
        chain_id: groat::chain::dev::CHAIN_ID,
        nonce,
        gas_limit: 200_000,
        max_fee_per_gas: 20_000_000_000,
        max_priority_fee_per_gas: tip,
        to: TxKind::Call(to),
        input,
        ..TxEip1559::default()
    };
    let signature = key.sign_hash_sync(&transaction.signature_hash());
    let signature = signature.expect("a signature");
    TxEnvelope::from(transaction.into_signed(signature))
        .encoded_2718()
        .into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_runner_settles_for_us() {
    let bench = Bench::start().await;
    let stranger = PrivateKeySigner::random();
    let ether = U256::from(10).pow(U256::from(18));
    let funded = bench.chain.fund(stranger.address(), ether).await;
    funded.expect("set");
    bench.automine(false).await;
    let transfer = bench.transfer(40);
    let mut lane = bench.lane(quick());
    let ticket = lane.submit(job("a", &transfer)).await;
    let ours = lane.sent().await.transaction;
    bench.held(ours).await;
    let calldata = transfer.calldata(false);
    let raw = signed(&stranger, 0, 9_000_000_000, transfer.asset, calldata);
    let theirs = send_raw(bench.rpc(), &raw).await;
    bench.mine(1).await;

    assert_eq!(settled(ticket).await.transaction, theirs);
    assert!(!bench.receipt(ours).await.is_success());
    assert_eq!(bench.received().await, U256::from(40));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_in_the_chain_fails_when_the_authorization_is_unused() {
    let bench = Bench::start().await;
    bench.automine(false).await;
    let mut lane = bench.lane(quick());
    // Each fits the balance, both do not: the simulation cannot know.
    let funds = groat::chain::dev::PAYER_FUNDS;
    let first = lane.submit(job("a", &bench.transfer(funds))).await;
    let second = lane.submit(job("b", &bench.transfer(funds))).await;
    for _ in 0..2 {
        let sent = lane.sent().await;
        bench.held(sent.transaction).await;
    }
    bench.mine(1).await;
    settled(first).await;
    let outcome = soon(second.outcome()).await;
    assert_eq!(outcome, Ok(Outcome::Failed(FailReason::Reverted)));
    assert_eq!(bench.received().await, U256::from(funds));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_the_intent_and_the_broadcast_settles_once_after_it() {
    let bench = Bench::start().await;
    bench.outbox.turn(OutboxMode::RecordsAndHangs);
    let transfer = bench.transfer(11);
    let before = bench.lane(quick());
    before.submit(job("a", &transfer)).await;
    super::bench::until(|| async { !bench.outbox.of("a").is_empty() }).await;
    before.relayer.stop();
    bench.outbox.turn(OutboxMode::Records);

    let recorded = bench.outbox.of("a");
    let after = bench.lane(quick());
    let resumed = after.relayer.resume(job("a", &transfer), recorded.clone());
    let settled = settled(resumed.await.expect("a lane")).await;
    assert_eq!(
        settled.transaction, recorded[0].transaction,
        "the same bytes"
    );
    assert_eq!(bench.outbox.of("a").len(), 1);
    assert_eq!(bench.received().await, U256::from(11));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_resumed_late_finds_who_settled_it_meanwhile() {
    let bench = Bench::start().await;
    bench.outbox.turn(OutboxMode::RecordsAndHangs);
    let transfer = bench.transfer(11);
    let before = bench.lane(quick());
    before.submit(job("a", &transfer)).await;
    super::bench::until(|| async { !bench.outbox.of("a").is_empty() }).await;
    before.relayer.stop();
    bench.outbox.turn(OutboxMode::Records);
    let stranger = Address::repeat_byte(0x55);
    let calldata = transfer.calldata(false);
    let theirs = bench
        .chain
        .send_as(stranger, transfer.asset, calldata)
        .await;
    theirs.expect("the stranger's call");
    let block = bench.rpc().latest_block().await.expect("a block");

    let after = bench.lane(quick());
    let recorded = bench.outbox.of("a");
    let resumed = after.relayer.resume(job("a", &transfer), recorded.clone());
    let settled = settled(resumed.await.expect("a lane")).await;
    assert_eq!(settled.block_hash, block.hash());
    let ours = bench.rpc().receipt(recorded[0].transaction).await;
    assert_eq!(ours, Ok(None), "nothing was sent in vain");
    // The lane goes on, although its recorded nonce was never used.
    after.settle(job("b", &bench.transfer(1))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_nonce_does_not_block_those_above_it() {
    let bench = Bench::start().await;
    let payout = payout_premined(&bench).await;
    let mut before = bench.lane(quick());
    let transfers = [bench.transfer(1), bench.transfer(2), bench.transfer(4)];
    for (id, transfer) in ["a", "b", "c"].into_iter().zip(&transfers) {
        before.submit(job(id, transfer)).await;
    }
    before.submit(payout.clone()).await;
    for _ in 0..4 {
        let sent = before.sent().await;
        bench.held(sent.transaction).await;
    }
    before.relayer.stop();
    bench.node("anvil_dropAllTransactions", ()).await;
    bench.automine(true).await;

    // The first two are never taken up again: their nonces are lost.
    let after = bench.lane(quick());
    let resume = |job: groat::chain::Job| {
        let recorded = bench.outbox.of(&job.id);
        after.relayer.resume(job, recorded)
    };
    let third = resume(job("c", &transfers[2])).await.expect("a lane");
    let paid = resume(payout).await.expect("a lane");
    settled(third).await;
    settled(paid).await;
    assert_eq!(bench.received().await, U256::from(4 + 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_transaction_is_sent_again() {
    let bench = Bench::start().await;
    bench.automine(false).await;
    let mut lane = bench.lane(quick());
    let ticket = lane.submit(job("a", &bench.transfer(21))).await;
    let sent = lane.sent().await.transaction;
    bench.held(sent).await;
    bench.node("anvil_dropTransaction", (sent,)).await;
    bench.held(sent).await;
    bench.mine(1).await;
    assert_eq!(settled(ticket).await.transaction, sent);
    assert_eq!(bench.outbox.of("a").len(), 1, "no new transaction");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_transaction_gets_higher_fees_up_to_the_cap() {
    let bench = Bench::start().await;
    bench.automine(false).await;
    let mut lane = bench.lane(LanePolicy {
        bump_after: Duration::from_millis(50),
        fee_per_gas_max: 8_000_000_000,
        ..quick()
    });
    let ticket = lane.submit(job("a", &bench.transfer(21))).await;
    let first = lane.sent().await;
    let second = lane.sent().await;
    assert_eq!(second.lane_nonce, first.lane_nonce);
    let mut health = lane.relayer.health();
    let at_cap = |h: &groat::chain::Health| matches!(h, Err(Unhealthy::FeeAboveCap { .. }));
    soon(health.wait_for(at_cap)).await.expect("a lane");
    let tries = bench.outbox.of("a");
    let last = tries.last().expect("sent");
    bench.held(last.transaction).await;
    bench.mine(1).await;
    assert_eq!(settled(ticket).await.transaction, last.transaction);
    assert_eq!(bench.received().await, U256::from(21));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_down_or_hangs_leaves_jobs_open_until_it_is_back() {
    let bench = Bench::start().await;
    let mut proxy = Proxy::before(&bench.chain).await;
    let lane = bench.lane_over(proxy.rpc.clone(), quick());
    for (n, mood) in [(1, Mood::Down), (2, Mood::Hangs)] {
        proxy.mood.send_replace(mood);
        let ticket = lane.submit(job(&n.to_string(), &bench.transfer(n))).await;
        proxy.served_more(3).await;
        super::bench::until(|| async { matches!(lane.relayer.healthy(), Err(Unhealthy::Node(_))) })
            .await;
        let mut settled = std::pin::pin!(settled(ticket));
        let early = settled.as_mut().now_or_never();
        assert!(early.is_none(), "unknown is not failed");
        proxy.mood.send_replace(Mood::Honest);
        settled.await;
    }
    assert_eq!(bench.received().await, U256::from(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_whose_answer_is_lost_settles_once() {
    let bench = Bench::start().await;
    let proxy = Proxy::before(&bench.chain).await;
    proxy.mood.send_replace(Mood::LosesBroadcastAnswers);
    let lane = bench.lane_over(proxy.rpc.clone(), quick());
    let transfer = job("a", &bench.transfer(6));
    let payout = payout(&bench, "out", 7).await;
    let (one, two) = (lane.submit(transfer).await, lane.submit(payout).await);
    settled(one).await;
    settled(two).await;
    assert_eq!(bench.outbox.of("a").len(), 1);
    assert_eq!(bench.outbox.of("out").len(), 1);
    assert_eq!(bench.received().await, U256::from(13));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lies_about_nonces_delays_but_never_pays_twice() {
    let bench = Bench::start().await;
    let lane = bench.lane(quick());
    for n in 0..3 {
        lane.settle(job(&format!("before {n}"), &bench.transfer(1)))
            .await;
    }
    lane.relayer.stop();
    let proxy = Proxy::before(&bench.chain).await;

    // Too low: the lane starts at a used nonce and finds the true one.
    proxy.mood.send_replace(Mood::Counts(0));
    let low = bench.lane_over(proxy.rpc.clone(), quick());
    low.settle(job("low", &bench.transfer(10))).await;
    low.relayer.stop();

    // Too high: what was sent cannot be mined until the truth is told.
    proxy.mood.send_replace(Mood::Counts(1000));
    let mut high = bench.lane_over(proxy.rpc.clone(), quick());
    let ticket = high.submit(job("high", &bench.transfer(100))).await;
    assert_eq!(high.sent().await.lane_nonce, 1000);
    proxy.mood.send_replace(Mood::Honest);
    settled(ticket).await;
    assert_eq!(bench.received().await, U256::from(113));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_someone_else_used_with_our_key_is_given_up() {
    let bench = Bench::start().await;
    bench.automine(false).await;
    let payout = payout_premined(&bench).await;
    let mut lane = bench.lane(quick());
    let transfer = lane.submit(job("a", &bench.transfer(2))).await;
    let first = lane.sent().await;
    let paid = lane.submit(payout).await;
    let second = lane.sent().await;
    for sent in [&first, &second] {
        bench.held(sent.transaction).await;
        bench
            .node("anvil_dropTransaction", (sent.transaction,))
            .await;
        let key = &bench.chain.relayer_key;
        let nothing = signed(
            key,
            sent.lane_nonce,
            1,
            lane.relayer.address(),
            Bytes::new(),
        );
        send_raw(bench.rpc(), &nothing).await;
    }
    bench.mine(1).await;

    // The authorization protects the first: it is sent anew at once.
    let anew = lane.sent().await;
    assert_eq!(anew.lane_nonce, second.lane_nonce + 1);
    bench.held(anew.transaction).await;
    bench.automine(true).await;
    bench.mine(1).await;
    assert_eq!(settled(transfer).await.transaction, anew.transaction);
    assert_eq!(bench.outbox.of("out").len(), 1, "the payout must wait");
    // Nothing but depth protects the payout.
    bench.mine(12).await;
    settled(paid).await;
    assert_eq!(bench.outbox.of("out").len(), 2);
    assert_eq!(bench.received().await, U256::from(2 + 5));
}

async fn payout_premined(bench: &Bench) -> groat::chain::Job {
    bench.automine(true).await;
    let payout = payout(bench, "out", 5).await;
    bench.automine(false).await;
    payout
}
