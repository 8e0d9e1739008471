//! The same lane on a Tempo, where gas is paid in the token that is moved.

use super::bench::{Lane, MemoryOutbox, quick, soon};
use alloy::primitives::{Address, U256};
use alloy::sol_types::SolCall;
use groat::chain::bindings::IEip3009Token::transferCall;
use groat::chain::dev::{PAYER_FUNDS, TempoChain};
use groat::chain::{Expect, FailReason, Job, Outcome, Relayer};
use std::sync::Arc;

fn payout(chain: &TempoChain, id: &str, to: Address, gas_limit_max: Option<u64>) -> Job {
    let value = U256::from(25);
    Job {
        id: id.to_owned(),
        to: chain.asset,
        calldata: transferCall { to, value }.abi_encode().into(),
        expect: Expect::Transfer {
            asset: chain.asset,
            from: chain.relayer_key.address(),
            to,
            value,
        },
        authorization: None,
        gas_limit_max,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_settles_on_tempo_and_its_gas_is_paid_in_the_token() {
    let chain = soon(TempoChain::start()).await.expect("a local Tempo");
    let outbox = Arc::new(MemoryOutbox::new(chain.rpc.clone()));
    let key = chain.relayer_key.clone();
    let (relayer, events) = Relayer::spawn(chain.rpc.clone(), key, quick(), outbox);
    let lane = Lane { relayer, events };
    // Tempo takes 250,000 for an account that is new, and as much for a slot.
    let stranger = Address::repeat_byte(0x77);
    let capped = lane.submit(payout(&chain, "capped", stranger, None)).await;
    let capped = soon(capped.outcome()).await;
    assert_eq!(capped, Ok(Outcome::Failed(FailReason::GasAboveCap)));

    let first = payout(&chain, "first", stranger, Some(1_000_000));
    let settled = lane.settle(first).await;
    let receipt = chain.rpc.receipt(settled.transaction).await;
    assert!(receipt.expect("an answer").expect("a receipt").is_success());
    lane.settle(payout(&chain, "second", chain.pay_to_key.address(), None))
        .await;

    let balance = |account| {
        let chain = &chain;
        async move { chain.balance_of(account).await.expect("a balance") }
    };
    assert_eq!(balance(stranger).await, U256::from(25));
    let left = balance(chain.relayer_key.address()).await;
    assert!(left < U256::from(PAYER_FUNDS - 50), "gas was paid: {left}");
    assert!(lane.relayer.healthy().is_ok());
}
