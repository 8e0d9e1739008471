//! Reads: preflight, audit, and nodes that are not what they should be.

use super::bench::{Bench, job, quick};
use super::proxy::{Mood, Proxy};
use alloy::primitives::{Address, Bytes, U256};
use groat::chain::audit::{Party, transfers};
use groat::chain::{ChainError, Rpc};

#[tokio::test(flavor = "multi_thread")]
async fn preflight_tells_what_will_happen() {
    let bench = Bench::start().await;
    let caller = bench.chain.relayer_key.address();
    let good = bench.transfer(500);
    let seen = bench.rpc().preflight(&good, caller).await.expect("a node");
    assert_eq!(seen.simulation, Ok(()));
    assert_eq!(seen.balance, U256::from(groat::chain::dev::PAYER_FUNDS));
    assert!(seen.asset_has_code && !seen.payer_has_code && !seen.nonce_used);
    assert_eq!(seen.contract_signature_valid, None);

    let mut forged = good.clone();
    forged.value += U256::from(1);
    let seen = bench
        .rpc()
        .preflight(&forged, caller)
        .await
        .expect("a node");
    assert!(seen.simulation.is_err());

    let mut low_v = good.clone();
    let mut signature = low_v.signature.to_vec();
    signature[64] -= 27;
    low_v.signature = signature.into();
    let seen = bench.rpc().preflight(&low_v, caller).await.expect("a node");
    assert_eq!(seen.simulation, Ok(()), "v of 0 and 1 is understood");

    bench.lane(quick()).settle(job("a", &good)).await;
    let seen = bench.rpc().preflight(&good, caller).await.expect("a node");
    assert!(seen.nonce_used && seen.simulation.is_err());

    let mut nowhere = bench.transfer(1);
    nowhere.asset = Address::repeat_byte(0xee);
    let seen = bench.rpc().preflight(&nowhere, caller).await;
    assert!(!seen.expect("a node").asset_has_code);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_payer_is_asked_about_its_signature() {
    let bench = Bench::start().await;
    let caller = bench.chain.relayer_key.address();
    let good = bench.transfer(500);
    // Runtime code that answers the ERC-1271 magic value to every call, and one that reverts.
    let yes = "0x631626ba7e60e01b60005260206000f3";
    for (code, valid) in [(yes, true), ("0x60006000fd", false)] {
        bench.node("anvil_setCode", (good.from, code)).await;
        let seen = bench.rpc().preflight(&good, caller).await.expect("a node");
        assert!(seen.payer_has_code);
        assert_eq!(seen.contract_signature_valid, Some(valid));
        assert_eq!(seen.simulation.is_ok(), valid);
    }
    bench.node("anvil_setCode", (good.from, yes)).await;
    let mut long = good;
    long.signature = Bytes::from(vec![7; 200]);
    let seen = bench.rpc().preflight(&long, caller).await.expect("a node");
    assert_eq!(
        seen.simulation,
        Ok(()),
        "any length, if the contract agrees"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_reads_what_was_moved() {
    let bench = Bench::start().await;
    let lane = bench.lane(quick());
    let mut expected = Vec::new();
    for value in [3, 5, 8] {
        let id = value.to_string();
        let settled = lane.settle(job(&id, &bench.transfer(value))).await;
        expected.push((settled.transaction, U256::from(value)));
    }
    // More than one page of blocks.
    bench.mine(4_500).await;
    let end = bench.rpc().latest_block().await.expect("a block").number();
    let (payer, payee) = (
        bench.chain.payer_key.address(),
        bench.chain.pay_to_key.address(),
    );
    for party in [Party::To(payee), Party::From(payer), Party::Either(payee)] {
        let moved = transfers(bench.rpc(), bench.chain.asset, 0, end, party).await;
        let moved: Vec<_> = moved
            .expect("logs")
            .iter()
            .map(|m| (m.transaction, m.value))
            .collect();
        assert_eq!(moved, expected, "{party:?}");
    }
    let later = transfers(bench.rpc(), bench.chain.asset, end, end, Party::To(payee)).await;
    assert_eq!(later, Ok(Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_do_not_answer_are_unknown_and_errors_name_no_url() {
    let bench = Bench::start().await;
    let wrong = Rpc::connect(&bench.chain.rpc_url, 1).await;
    let error = wrong.expect_err("another chain");
    assert_eq!(
        error,
        ChainError::WrongChain {
            expected: 1,
            found: bench.chain.chain_id
        }
    );
    let proxy = Proxy::before(&bench.chain).await;
    let transfer = bench.transfer(1);
    proxy.mood.send_replace(Mood::Down);
    let down = proxy.rpc.preflight(&transfer, Address::ZERO).await;
    assert_eq!(
        down.expect_err("down"),
        ChainError::Unreachable("HTTP 503".to_owned())
    );
    proxy.mood.send_replace(Mood::Hangs);
    let hangs = proxy.rpc.preflight(&transfer, Address::ZERO).await;
    assert_eq!(hangs.expect_err("hangs"), ChainError::TimedOut);

    let secret = "http://user:canary@127.0.0.1:1/v3/canary";
    let error = Rpc::connect(secret, 1).await.expect_err("nobody listens");
    assert!(error.is_unknown());
    assert!(!format!("{error} {error:?} {:?}", proxy.rpc).contains("canary"));
}
