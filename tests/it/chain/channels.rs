//! Channels: filled, claimed from, settled and refunded, by us or by somebody faster.

use super::bench::{Bench, Lane, quick, settled, soon};
use super::signed::{
    ClaimBatch, ClaimEntry, ReceiveWithAuthorization, Refund, Voucher as SignedVoucher,
    channel_domain,
};
use alloy::primitives::aliases::U40;
use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::{SolCall, SolStruct, SolValue, eip712_domain};
use groat::chain::audit::channel_flows;
use groat::chain::bindings::{ChannelConfig, IBatchSettlement, ISettler, Voucher, VoucherClaim};
use groat::chain::settler::{self, BatchResult};
use groat::chain::{
    Authorization, ChannelEventKind, ChannelQuestion, ChannelState, DepositCall, Due, Expect,
    FailReason, Job, Outcome, SignedDigest,
};
use groat::protocol::addresses::{BATCH_SETTLEMENT, ERC3009_COLLECTOR};

const STRANGER: Address = Address::repeat_byte(0x55);

struct Channel<'a> {
    bench: &'a Bench,
    config: ChannelConfig,
    id: B256,
}

fn sign(key: &PrivateKeySigner, digest: B256) -> Bytes {
    let signature = key.sign_hash_sync(&digest).expect("a signature");
    signature.as_bytes().to_vec().into()
}

impl<'a> Channel<'a> {
    async fn new(bench: &'a Bench, salt: u8) -> Self {
        let config = ChannelConfig {
            payer: bench.chain.payer_key.address(),
            payerAuthorizer: Address::ZERO,
            receiver: bench.chain.pay_to_key.address(),
            receiverAuthorizer: bench.chain.relayer_key.address(),
            token: bench.chain.asset,
            withdrawDelay: U40::from(900),
            salt: B256::repeat_byte(salt),
        };
        let ask = IBatchSettlement::getChannelIdCall {
            config: config.clone(),
        };
        let ask = ask.abi_encode().into();
        let id = bench.rpc().call(BATCH_SETTLEMENT, &ask).await;
        let id = B256::from_slice(&id.expect("an id"));
        Self { bench, config, id }
    }

    fn deposit(&self, amount: u128) -> DepositCall {
        let chain = &self.bench.chain;
        let salt = U256::from_be_bytes(rand::random::<[u8; 32]>());
        let nonce = keccak256((self.id, salt).abi_encode());
        let message = ReceiveWithAuthorization {
            from: self.config.payer,
            to: ERC3009_COLLECTOR,
            value: U256::from(amount),
            validAfter: U256::ZERO,
            validBefore: U256::MAX,
            nonce,
        };
        let digest = message.eip712_signing_hash(&eip712_domain! {
            name: "USDC",
            version: "2",
            chain_id: chain.chain_id,
            verifying_contract: chain.asset,
        });
        let signature = sign(&chain.payer_key, digest);
        let data = (U256::ZERO, U256::MAX, salt, signature.clone()).abi_encode_params();
        let call = IBatchSettlement::depositCall {
            config: self.config.clone(),
            amount,
            collector: ERC3009_COLLECTOR,
            collectorData: data.into(),
        };
        DepositCall {
            calldata: call.abi_encode().into(),
            authorization: Authorization::Eip3009 {
                asset: chain.asset,
                from: self.config.payer,
                nonce,
            },
            signed: SignedDigest { digest, signature },
            permit2: None,
        }
    }

    async fn fill(&self, lane: &Lane, amount: u128) {
        let deposit = self.deposit(amount);
        let job = Job {
            id: format!("fill {}", self.id),
            to: BATCH_SETTLEMENT,
            calldata: deposit.calldata,
            expect: Expect::deposited(BATCH_SETTLEMENT, self.id),
            authorization: Some(deposit.authorization),
            gas_limit_max: None,
        };
        lane.settle(job).await;
    }

    fn claim(&self, total: u128) -> VoucherClaim {
        let voucher = SignedVoucher {
            channelId: self.id,
            maxClaimableAmount: total,
        };
        let digest = voucher.eip712_signing_hash(&channel_domain(self.bench));
        VoucherClaim {
            voucher: Voucher {
                channel: self.config.clone(),
                maxClaimableAmount: total,
            },
            signature: sign(&self.bench.chain.payer_key, digest),
            totalClaimed: total,
        }
    }

    fn refund(&self, nonce: u64, amount: u128) -> Bytes {
        let message = Refund {
            channelId: self.id,
            nonce: U256::from(nonce),
            amount,
        };
        let digest = message.eip712_signing_hash(&channel_domain(self.bench));
        IBatchSettlement::refundWithSignatureCall {
            config: self.config.clone(),
            amount,
            nonce: message.nonce,
            receiverAuthorizerSignature: sign(&self.bench.chain.relayer_key, digest),
        }
        .abi_encode()
        .into()
    }

    async fn state(&self) -> ChannelState {
        let ids = [self.id];
        let read = self.bench.rpc().channels(BATCH_SETTLEMENT, &ids).await;
        read.expect("an answer").states[0]
    }
}

fn claims(rows: Vec<VoucherClaim>) -> Bytes {
    IBatchSettlement::claimCall {
        voucherClaims: rows,
    }
    .abi_encode()
    .into()
}

async fn head(bench: &Bench) -> u64 {
    bench.rpc().latest_block().await.expect("a block").number()
}

fn repeatable(id: &str, calldata: Bytes, expect: Expect, after_block: u64) -> Job {
    Job {
        id: id.to_owned(),
        to: BATCH_SETTLEMENT,
        calldata,
        expect,
        authorization: Some(Authorization::Repeatable { after_block }),
        gas_limit_max: Some(5_000_000),
    }
}

fn settle_due(bench: &Bench) -> (Bytes, Expect) {
    let (receiver, token) = (bench.chain.pay_to_key.address(), bench.chain.asset);
    let call = IBatchSettlement::settleCall { receiver, token };
    let expect = Expect::settled(BATCH_SETTLEMENT, receiver, token);
    (call.abi_encode().into(), expect)
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_are_filled_claimed_settled_and_refunded_and_the_audit_agrees() {
    let bench = Bench::start().await;
    let lane = bench.lane(quick());
    let relayer = bench.chain.relayer_key.address();
    let channels = [Channel::new(&bench, 1).await, Channel::new(&bench, 2).await];
    let deposit = channels[0].deposit(500);
    let question = ChannelQuestion {
        contract: BATCH_SETTLEMENT,
        channel: channels[0].id,
        payer: bench.chain.payer_key.address(),
        token: bench.chain.asset,
        voucher: None,
        deposit: Some(deposit),
    };
    let read = bench.rpc().channel_preflight(&question, relayer).await;
    let read = read.expect("an answer");
    assert_eq!(read.state, ChannelState::default());
    let asked = read.deposit.expect("asked");
    assert_eq!(asked.simulation, Ok(()));
    assert!(!asked.spent && asked.contract_signature_valid.is_none());

    for channel in &channels {
        channel.fill(&lane, 500).await;
    }
    let ids = channels.each_ref().map(|channel| channel.id);
    let rows = vec![channels[0].claim(120), channels[1].claim(30)];
    let claimed = Expect::claimed(BATCH_SETTLEMENT, ids);
    let since = head(&bench).await;
    lane.settle(repeatable("claim", claims(rows), claimed, since))
        .await;
    let (receiver, token) = (bench.chain.pay_to_key.address(), bench.chain.asset);
    let due = bench.rpc().due(BATCH_SETTLEMENT, receiver, token).await;
    let expected = Due {
        total_claimed: 150,
        total_settled: 0,
    };
    assert_eq!(due, Ok(expected));
    let (calldata, expect) = settle_due(&bench);
    let since = head(&bench).await;
    lane.settle(repeatable("settle", calldata, expect, since))
        .await;
    assert_eq!(bench.received().await, U256::from(150));
    let refunded = Expect::refunded(BATCH_SETTLEMENT, ids[1]);
    let since = head(&bench).await;
    let refund = channels[1].refund(0, 470);
    lane.settle(repeatable("refund", refund, refunded, since))
        .await;
    let state = channels[1].state().await;
    assert_eq!((state.balance, state.total_claimed), (30, 30));
    assert_eq!(state.refund_nonce, U256::from(1));

    let range = (0, u64::MAX);
    let flows = channel_flows(
        bench.rpc(),
        BATCH_SETTLEMENT,
        &ids,
        (receiver, token),
        range,
    );
    let flows = flows.await.expect("an answer");
    assert_eq!(flows.claimed(), flows.paid_out());
    assert_eq!(flows.now(&ids[0]).held(), Some(U256::from(500)));
    assert_eq!(flows.now(&ids[1]).held(), Some(U256::from(30)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_did_first_ends_as_settled_and_not_as_failed() {
    let bench = Bench::start().await;
    let lane = bench.lane(quick());
    let channel = Channel::new(&bench, 1).await;
    channel.fill(&lane, 500).await;
    // Without a claim nothing is due, and nobody paid it: that is no settlement.
    let (calldata, expect) = settle_due(&bench);
    let since = head(&bench).await;
    let nothing = repeatable("nothing", calldata.clone(), expect.clone(), since);
    let outcome = soon(lane.submit(nothing).await.outcome()).await;
    assert_eq!(outcome, Ok(Outcome::Failed(FailReason::EventMissing)));

    let claimed = Expect::claimed(BATCH_SETTLEMENT, [channel.id]);
    let since = head(&bench).await;
    let claim = claims(vec![channel.claim(200)]);
    lane.settle(repeatable("claim", claim, claimed, since))
        .await;
    // A stranger pays it out: ours does nothing, and does not revert.
    let since = head(&bench).await;
    let theirs = bench
        .chain
        .send_as(STRANGER, BATCH_SETTLEMENT, calldata.clone());
    theirs.await.expect("the stranger's call");
    let block = bench.rpc().latest_block().await.expect("a block");
    let late = lane
        .settle(repeatable("late", calldata, expect, since))
        .await;
    assert_eq!(late.block_hash, block.hash());
    assert_eq!(bench.received().await, U256::from(200));

    // A stranger refunds it by what we signed: ours reverts.
    let since = head(&bench).await;
    let refund = channel.refund(0, 100);
    let theirs = bench
        .chain
        .send_as(STRANGER, BATCH_SETTLEMENT, refund.clone());
    theirs.await.expect("the stranger's call");
    let refunded = Expect::refunded(BATCH_SETTLEMENT, channel.id);
    lane.settle(repeatable(
        "refund",
        refund.clone(),
        refunded.clone(),
        since,
    ))
    .await;
    assert!(bench.outbox.of("refund").is_empty(), "nothing was sent");
    // That block done, the same refund once more is none.
    let since = head(&bench).await;
    let again = lane
        .submit(repeatable("again", refund, refunded, since))
        .await;
    let outcome = soon(again.outcome()).await.expect("a lane");
    assert!(
        matches!(outcome, Outcome::Failed(FailReason::Simulation(_))),
        "{outcome:?}"
    );
    assert_eq!(channel.state().await.balance, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_that_begins_is_seen_in_the_events_and_in_the_state() {
    let bench = Bench::start().await;
    let lane = bench.lane(quick());
    let channels = [Channel::new(&bench, 1).await, Channel::new(&bench, 2).await];
    for channel in &channels {
        channel.fill(&lane, 500).await;
    }
    let since = head(&bench).await;
    let begin = IBatchSettlement::initiateWithdrawCall {
        config: channels[1].config.clone(),
        amount: 300,
    };
    let begin = begin.abi_encode().into();
    let payer = bench.chain.payer_key.address();
    let done = bench.chain.send_as(payer, BATCH_SETTLEMENT, begin).await;
    done.expect("a withdrawal");

    let ids = channels.each_ref().map(|channel| channel.id);
    let state = channels[1].state().await.withdrawal.expect("under way");
    assert_eq!(state.amount, 300);
    let rpc = bench.rpc();
    let events = rpc.channel_events(BATCH_SETTLEMENT, &ids, since + 1, u64::MAX);
    let events = events.await.expect("an answer");
    let [event] = events.as_slice() else {
        panic!("{events:?}");
    };
    assert_eq!(event.channel, ids[1]);
    let kind = ChannelEventKind::WithdrawInitiated {
        amount: 300,
        finalize_after: state.initiated_at + 900,
    };
    assert_eq!(event.kind, kind);
    let all = rpc.channel_events(BATCH_SETTLEMENT, &[], 0, u64::MAX);
    assert_eq!(all.await.expect("an answer").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlers_batch_is_done_once_and_says_what_became_of_each_item() {
    let bench = Bench::start().await;
    let relayer = bench.chain.relayer_key.address();
    let settler = bench.chain.settler(&[relayer]).await.expect("a settler");
    super::signed::permits(&bench).await;
    let lane = bench.lane(quick());
    let channel = Channel::new(&bench, 1).await;
    channel.fill(&lane, 500).await;

    let upto = |amount: u64| super::signed::permit_transfer(&bench, amount, Some(settler));
    let (first, second) = (upto(100), upto(100));
    let exact = bench.transfer(7);
    let entry = ClaimEntry {
        channelId: channel.id,
        maxClaimableAmount: 40,
        totalClaimed: 40,
    };
    let message = ClaimBatch {
        claims: vec![entry],
    };
    let digest = message.eip712_signing_hash(&channel_domain(&bench));
    let claim = IBatchSettlement::claimWithSignatureCall {
        voucherClaims: vec![channel.claim(40)],
        authorizerSignature: sign(&bench.chain.relayer_key, digest),
    };
    let item = |token: Address, data: Bytes| ISettler::Item {
        token,
        gasLimit: U256::from(200_000),
        data,
    };
    let items = vec![
        item(Address::ZERO, first.calldata(U256::from(60))),
        item(Address::ZERO, second.calldata(U256::from(101))),
        item(exact.asset, exact.calldata(false)),
        item(Address::ZERO, claim.abi_encode().into()),
    ];
    let batch = B256::repeat_byte(0xba);
    let job = Job {
        id: "op".to_owned(),
        to: settler,
        calldata: settler::calldata(batch, items),
        expect: settler::expect(settler, batch),
        authorization: None,
        gas_limit_max: Some(5_000_000),
    };
    let ticket = lane.submit(job).await;
    let settled = settled(ticket).await;
    let receipt = bench.receipt(settled.transaction).await;
    let result = BatchResult::read(&receipt, settler, batch).expect("a result");
    let done: Vec<bool> = (0..4).map(|index| result.is_done(index)).collect();
    assert_eq!(done, [true, false, true, true]);
    assert_eq!(result.failed[&1].message(), "AmountExceedsPermitted");
    assert_eq!(bench.received().await, U256::from(67));
    assert_eq!(channel.state().await.total_claimed, 40);
}
