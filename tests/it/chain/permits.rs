//! Payments by Permit2: what is read of them beforehand, and who may have made them.

use super::bench::{Bench, quick, settled, soon};
use super::signed::{permit_transfer, permits};
use alloy::primitives::{Address, U256};
use alloy::sol_types::SolCall;
use groat::chain::bindings::{IErc20, IPermit2};
use groat::chain::{
    Authorization, Expect, FailReason, Job, LanePolicy, Outcome, PermitTransfer, Ticket,
};
use groat::protocol::addresses::{EXACT_PROXY, PERMIT2, UPTO_PROXY};

const STRANGER: Address = Address::repeat_byte(0x55);

fn job(id: &str, payment: &PermitTransfer, value: u64, after_block: u64) -> Job {
    Job {
        id: id.to_owned(),
        to: payment.proxy,
        calldata: payment.calldata(U256::from(value)),
        expect: Expect::Transfer {
            asset: payment.asset,
            from: payment.owner,
            to: payment.to,
            value: U256::from(value),
        },
        authorization: Some(Authorization::Permit2 {
            permit2: PERMIT2,
            owner: payment.owner,
            nonce: payment.nonce,
            after_block,
        }),
        gas_limit_max: None,
    }
}

async fn failed(ticket: Ticket) -> FailReason {
    match soon(ticket.outcome()).await.expect("a lane") {
        Outcome::Failed(reason) => reason,
        settled @ Outcome::Settled(_) => panic!("{settled:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_decides_a_permit_is_read_at_once() {
    let bench = Bench::start().await;
    let relayer = bench.chain.relayer_key.address();
    let payment = permit_transfer(&bench, 1000, Some(relayer));
    let read = || async {
        let preflight = bench.rpc().permit_preflight(&payment, relayer).await;
        preflight.expect("an answer")
    };
    let before = read().await;
    assert!(before.asset_has_code && before.proxy_has_code && before.permit2_has_code);
    assert!(!before.payer_has_code && !before.nonce_used);
    assert_eq!(before.contract_signature_valid, None);
    assert_eq!(before.balance, U256::from(groat::chain::dev::PAYER_FUNDS));
    assert_eq!(before.allowance, U256::ZERO);
    assert_eq!(before.eip2612_nonce, Some(U256::ZERO));
    assert!(before.simulation.is_err(), "Permit2 may take nothing");

    permits(&bench).await;
    let allowed = read().await;
    assert_eq!(allowed.allowance, U256::MAX);
    assert_eq!(allowed.simulation, Ok(()));
    // Only the facilitator that was signed may settle.
    let other = bench.rpc().permit_preflight(&payment, STRANGER).await;
    let refused = other.expect("an answer").simulation.expect_err("refused");
    assert_eq!(refused.message(), "UnauthorizedFacilitator");

    let lane = bench.lane(quick());
    let block = allowed.head.number();
    lane.settle(job("a", &payment, 400, block)).await;
    assert_eq!(bench.received().await, U256::from(400));
    let after = read().await;
    assert!(after.nonce_used);
    let refused = after.simulation.expect_err("spent");
    assert!(refused.is::<IPermit2::InvalidNonce>(), "{refused}");

    // What has no code is told, by whatever else is asked.
    let elsewhere = PermitTransfer {
        proxy: Address::repeat_byte(0x77),
        ..payment.clone()
    };
    let elsewhere = bench.rpc().permit_preflight(&elsewhere, relayer).await;
    let elsewhere = elsewhere.expect("an answer");
    assert!(!elsewhere.proxy_has_code && elsewhere.simulation.is_err());
    let named = [("permit2", PERMIT2), ("proxy", Address::repeat_byte(0x77))];
    let missing = bench.rpc().missing_code(&named).await;
    assert_eq!(missing, Ok(vec![named[1]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_settles_an_exact_permit_settles_for_us() {
    let bench = Bench::start().await;
    permits(&bench).await;
    let block = bench.rpc().latest_block().await.expect("a block").number();
    // Equal payments by different nonces: only the call tells them apart.
    let [first, second] = [(); 2].map(|()| permit_transfer(&bench, 70, None));
    let lane = bench.lane(quick());
    let ours = lane.settle(job("first", &first, 70, block)).await;
    let calldata = second.calldata(U256::from(70));
    let theirs = bench.chain.send_as(STRANGER, EXACT_PROXY, calldata).await;
    theirs.expect("the stranger's call");

    let theirs = lane.settle(job("second", &second, 70, block)).await;
    assert_ne!(theirs.transaction, ours.transaction);
    assert!(bench.outbox.of("second").is_empty(), "nothing was sent");
    assert_eq!(bench.received().await, U256::from(140));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permit_its_owner_spent_or_withdrew_is_not_paid_by_an_equal_payment() {
    let bench = Bench::start().await;
    permits(&bench).await;
    let block = bench.rpc().latest_block().await.expect("a block").number();
    let payer = bench.chain.payer_key.address();
    let [paid, withdrawn, spent] = [(); 3].map(|()| permit_transfer(&bench, 70, None));
    let lane = bench.lane(LanePolicy {
        final_depth: 3,
        ..quick()
    });
    lane.settle(job("paid", &paid, 70, block)).await;

    let (word, bit) = (withdrawn.nonce >> 8, usize::from(withdrawn.nonce.byte(0)));
    let withdraw = IPermit2::invalidateUnorderedNoncesCall {
        wordPos: word,
        mask: U256::from(1) << bit,
    };
    let withdraw = withdraw.abi_encode().into();
    let done = bench.chain.send_as(payer, PERMIT2, withdraw).await;
    done.expect("a withdrawal");
    let ticket = lane.submit(job("withdrawn", &withdrawn, 70, block)).await;
    assert_eq!(failed(ticket).await, FailReason::AuthorizationCanceled);

    // The same nonce for a payment to someone else leaves no log of Permit2's.
    let elsewhere = super::signed::permit_by(
        &bench,
        PermitTransfer {
            to: STRANGER,
            ..spent.clone()
        },
    );
    let calldata = elsewhere.calldata(U256::from(70));
    let done = bench.chain.send_as(payer, EXACT_PROXY, calldata).await;
    done.expect("a payment to someone else");
    // Withdrawing it afterwards changes nothing.
    let withdraw = IPermit2::invalidateUnorderedNoncesCall {
        wordPos: spent.nonce >> 8,
        mask: U256::MAX,
    };
    let withdraw = withdraw.abi_encode().into();
    let done = bench.chain.send_as(payer, PERMIT2, withdraw).await;
    done.expect("a withdrawal");
    let ticket = lane.submit(job("spent", &spent, 70, block)).await;
    bench.mine(3).await;
    assert_eq!(failed(ticket).await, FailReason::AuthorizationSpent);
    assert_eq!(bench.received().await, U256::from(70));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_allowance_fails_one_payment_and_holds_up_no_other() {
    let bench = Bench::start().await;
    permits(&bench).await;
    let head = bench.rpc().latest_block().await.expect("a block").number();
    let relayer = bench.chain.relayer_key.address();
    let payer = bench.chain.payer_key.address();
    let payment = permit_transfer(&bench, 70, Some(relayer));
    let revoke = IErc20::approveCall {
        spender: PERMIT2,
        value: U256::ZERO,
    };
    let revoke = revoke.abi_encode().into();
    let done = bench.chain.send_as(payer, bench.chain.asset, revoke).await;
    done.expect("a revocation");
    let lane = bench.lane(LanePolicy {
        in_flight_max: 1,
        ..quick()
    });
    assert_eq!(payment.proxy, UPTO_PROXY);
    let ticket = lane.submit(job("a", &payment, 70, head)).await;
    let other = bench.transfer(5);
    settled(lane.submit(super::bench::job("b", &other)).await).await;
    let reason = failed(ticket).await;
    assert!(matches!(reason, FailReason::Simulation(_)), "{reason}");
    assert!(bench.outbox.of("a").is_empty());
}
