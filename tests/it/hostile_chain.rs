//! Payments that only the chain can judge.

use crate::harness::{Payer, encoded, payload};
use crate::hostile_bench::{Bench, stranger};
use alloy::primitives::{Address, Bytes, U256};
use alloy::sol_types::SolCall;
use groat::chain::Transfer;
use groat::protocol::eip3009::{Authorization, Terms, digest};
use groat::protocol::x402::Requirements;

const CONTRACT_WALLET: &str = include_str!("../../contracts/artifacts/ContractWallet.json");

alloy::sol! {
    function init(address firstOwner) external;
}

#[tokio::test]
async fn what_only_the_chain_knows_is_asked_before_anything_is_held() {
    let bench = Bench::new().await;
    let authorization = bench.stack.payer.authorization(bench.offer());
    let signature = bench.stack.payer.signature(bench.offer(), &authorization);
    let calldata = transfer(bench.offer(), &authorization, &signature).calldata(false);
    // Somebody who saw the authorization carried it out.
    bench
        .stack
        .chain
        .send_as(Address::repeat_byte(0x77), bench.stack.asset, calldata)
        .await
        .expect("a transfer");
    let used = payload(&bench.required, &authorization, &signature);
    bench
        .refused_v2(
            "a used nonce",
            &used,
            "invalid_exact_evm_nonce_already_used",
        )
        .await;

    let poor = bench.stack.payer.with_key(stranger());
    let authorization = poor.authorization(bench.offer());
    let signature = poor.signature(bench.offer(), &authorization);
    let unfunded = payload(&bench.required, &authorization, &signature);
    bench
        .refused_v2(
            "no balance",
            &unfunded,
            "invalid_exact_evm_insufficient_balance",
        )
        .await;
    assert_eq!(bench.stack.seen().await.total, 0);
    let answer = bench.stack.payer.pay(&bench.body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn transfer(offer: &Requirements, authorization: &Authorization, signature: &[u8]) -> Transfer {
    let terms = Terms::of(offer).expect("terms");
    Transfer {
        asset: offer.asset,
        from: authorization.from,
        to: authorization.to,
        value: authorization.value,
        valid_after: authorization.valid_after,
        valid_before: authorization.valid_before,
        nonce: authorization.nonce,
        signature: signature.to_vec().into(),
        digest: digest(authorization, &terms),
    }
}

#[tokio::test]
async fn a_contract_wallet_pays_by_its_own_word_only() {
    let bench = Bench::new().await;
    let wallet = Address::repeat_byte(0xc0);
    let (owner, stranger) = (stranger(), stranger());
    let chain = &bench.stack.chain;
    chain
        .install(wallet, CONTRACT_WALLET)
        .await
        .expect("the wallet's code");
    let init: Bytes = initCall {
        firstOwner: owner.address(),
    }
    .abi_encode()
    .into();
    chain
        .send_as(owner.address(), wallet, init)
        .await
        .expect("an owner");
    chain
        .mint(bench.stack.asset, wallet, U256::from(1_000_000))
        .await
        .expect("tokens");
    let payment = |by: &Payer| {
        let authorization = Authorization {
            from: wallet,
            ..by.authorization(bench.offer())
        };
        payload(
            &bench.required,
            &authorization,
            &by.signature(bench.offer(), &authorization),
        )
    };
    let by_stranger = payment(&bench.stack.payer.with_key(stranger));
    bench
        .refused_v2("a stranger's", &by_stranger, "invalid_exact_evm_signature")
        .await;

    let by_owner = encoded(&payment(&bench.stack.payer.with_key(owner)));
    let answer = bench
        .stack
        .payer
        .send(&bench.body, &by_owner)
        .await
        .expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let receipt = answer.receipt();
    assert_eq!(
        receipt["payer"].as_str().map(str::to_lowercase),
        Some(format!("{wallet:#x}"))
    );
    let again = bench
        .stack
        .payer
        .send(&bench.body, &by_owner)
        .await
        .expect("an answer");
    assert_eq!(again.body, answer.body);
    bench.stack.reconcile().await;
}
