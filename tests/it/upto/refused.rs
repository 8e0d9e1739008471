//! Payments by `upto` that are refused, by the strings of the published kits.

use super::{approve, authorization, charged, offer, pay, payer_calls, payment};
use crate::harness::{Stack, chat, encoded};
use alloy::primitives::{Address, Bytes, U256};
use alloy::sol_types::SolCall;
use groat::chain::bindings::{IErc20, IPermit2};
use groat::protocol::addresses::{PERMIT2, UPTO_PROXY};
use groat::protocol::permit2::{Authorization, eip2612};
use groat::protocol::signature::Key;
use groat::protocol::x402::PaymentRequired;
use serde_json::{Value, json};

const CONTRACT_WALLET: &str = include_str!("../../../contracts/artifacts/ContractWallet.json");

alloy::sol! {
    function init(address firstOwner) external;
}

struct Bench {
    stack: Stack,
    body: String,
    required: PaymentRequired,
}

impl Bench {
    async fn new() -> Self {
        let stack = Stack::usual().await;
        let body = chat("m", "hello", false);
        let required = stack.payer.challenge(&body).await;
        Self {
            stack,
            body,
            required,
        }
    }

    fn bent(&self, bend: impl FnOnce(&mut Authorization)) -> String {
        let key = &self.stack.payer.key;
        let mut authorization = authorization(key.address(), offer(&self.required));
        bend(&mut authorization);
        encoded(&payment(&self.required, key, &authorization))
    }

    /// A good payment with a member changed that is not signed.
    fn changed(&self, change: impl FnOnce(&mut Value)) -> String {
        let key = &self.stack.payer.key;
        let authorization = authorization(key.address(), offer(&self.required));
        let mut payment = payment(&self.required, key, &authorization);
        change(&mut payment);
        encoded(&payment)
    }

    async fn refused(&self, name: &str, payment: &str, reason: &str) {
        let answer = self.stack.payer.send(&self.body, payment).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 402, "{name}: {answer:?}");
        assert_eq!(answer.reason(), reason, "{name}");
    }
}

#[tokio::test]
async fn what_was_not_offered_or_cannot_be_captured_is_refused_by_name() {
    let bench = Bench::new().await;
    let stack = &bench.stack;
    let allowance = "permit2_allowance_required";
    bench
        .refused("no allowance", &bench.bent(|_| {}), allowance)
        .await;
    approve(stack, U256::from(1)).await;
    bench
        .refused("too little", &bench.bent(|_| {}), allowance)
        .await;
    approve(stack, U256::MAX).await;

    let past = U256::from(groat::clock::now_ms() / 1000 - 1);
    let ever = U256::MAX;
    for (name, payment, reason) in [
        (
            "another facilitator",
            bench.bent(|a| a.witness.facilitator = Some(Address::repeat_byte(7))),
            "upto_facilitator_mismatch",
        ),
        (
            "one less",
            bench.bent(|a| a.permitted.amount -= U256::from(1)),
            "permit2_amount_mismatch",
        ),
        (
            "one more",
            bench.bent(|a| a.permitted.amount += U256::from(1)),
            "permit2_amount_mismatch",
        ),
        (
            "another token",
            bench.bent(|a| a.permitted.token = Address::repeat_byte(7)),
            "permit2_token_mismatch",
        ),
        (
            "another payee",
            bench.bent(|a| a.witness.to = Address::repeat_byte(7)),
            "invalid_permit2_recipient_mismatch",
        ),
        (
            "another spender",
            bench.bent(|a| a.spender = Address::repeat_byte(7)),
            "invalid_permit2_spender",
        ),
        (
            "expired",
            bench.bent(|a| a.deadline = past),
            "permit2_deadline_expired",
        ),
        (
            "not yet",
            bench.bent(|a| a.witness.valid_after = ever),
            "permit2_not_yet_valid",
        ),
        (
            "another's name",
            bench.bent(|a| a.from = Address::repeat_byte(7)),
            "invalid_permit2_signature",
        ),
        (
            "another network",
            bench.changed(|p| p["accepted"]["network"] = json!("eip155:8453")),
            "invalid_upto_evm_network_mismatch",
        ),
        (
            "half a permit",
            bench.changed(|p| p["extensions"][eip2612::KEY]["info"]["signature"] = json!("0x12")),
            "invalid_eip2612_extension_format",
        ),
    ] {
        bench.refused(name, &payment, reason).await;
    }
    let burnt = U256::from(5) << 8;
    let burn = IPermit2::invalidateUnorderedNoncesCall {
        wordPos: U256::from(5),
        mask: U256::from(1),
    };
    payer_calls(stack, PERMIT2, burn).await;
    let payment = bench.bent(|a| a.nonce = burnt);
    bench
        .refused("a burnt nonce", &payment, "permit2_invalid_nonce")
        .await;

    // A proxy that reverts and does not say why.
    let rpc = &stack.chain.rpc;
    let own: Bytes = rpc
        .request("eth_getCode", (UPTO_PROXY, "latest"))
        .await
        .expect("its code");
    let put = |code: Bytes| rpc.request::<_, Value>("anvil_setCode", (UPTO_PROXY, code));
    let reverts = put(Bytes::from_static(&[0x5f, 0x5f, 0xfd]));
    reverts.await.expect("other code");
    let simulation = "permit2_simulation_failed";
    bench
        .refused("a proxy that reverts", &bench.bent(|_| {}), simulation)
        .await;
    put(own).await.expect("its own code");

    let funds = super::balance(stack, stack.payer.key.address()).await;
    let almost = U256::from(offer(&bench.required).amount.atomic()) - U256::from(1);
    let drain = groat::chain::bindings::IEip3009Token::transferCall {
        to: Address::repeat_byte(0xee),
        value: funds - almost,
    };
    payer_calls(stack, stack.asset, drain).await;
    let balance = "permit2_insufficient_balance";
    bench
        .refused("one unit short", &bench.bent(|_| {}), balance)
        .await;
    assert_eq!(stack.seen().await.total, 0, "nothing went upstream");
    let payer = stack.payer.key.address();
    stack
        .chain
        .mint(stack.asset, payer, U256::from(1))
        .await
        .expect("the unit");
    let answer = pay(&stack.payer, &bench.body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    stack.reconcile().await;
}

#[tokio::test]
async fn a_contract_wallet_pays_by_its_own_word_only() {
    let bench = Bench::new().await;
    let chain = &bench.stack.chain;
    let wallet = Address::repeat_byte(0xc0);
    let owner = alloy::signers::local::PrivateKeySigner::random();
    let key = Key::from_hex(&format!("{:#x}", owner.to_bytes())).expect("a key");
    chain
        .install(wallet, CONTRACT_WALLET)
        .await
        .expect("its code");
    let init: Bytes = initCall {
        firstOwner: owner.address(),
    }
    .abi_encode()
    .into();
    chain
        .send_as(owner.address(), wallet, init)
        .await
        .expect("an owner");
    let funds = U256::from(1_000_000);
    chain
        .mint(bench.stack.asset, wallet, funds)
        .await
        .expect("tokens");
    let approve: Bytes = IErc20::approveCall {
        spender: PERMIT2,
        value: U256::MAX,
    }
    .abi_encode()
    .into();
    // The chain calls as any account, also as one with code.
    let approved = chain.send_as(wallet, bench.stack.asset, approve).await;
    approved.expect("an approval");

    let authorization = authorization(wallet, offer(&bench.required));
    let by_stranger = payment(&bench.required, &bench.stack.payer.key, &authorization);
    let refused = "invalid_permit2_signature";
    bench
        .refused("a stranger's", &encoded(&by_stranger), refused)
        .await;
    let by_owner = encoded(&payment(&bench.required, &key, &authorization));
    let answer = bench.stack.payer.send(&bench.body, &by_owner).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let bill = charged(&answer);
    bench.stack.reconcile().await;
    let left = super::balance(&bench.stack, wallet).await;
    assert_eq!(left, funds - U256::from(bill));
}
