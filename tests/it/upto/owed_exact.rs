//! The same for `exact` that is settled afterwards, by EIP-3009 and by Permit2: the first calls left
//! unpaid are the last, and from then on such a payer pays beforehand.

use super::owed::{CALLS, Trick, metric, play, restore};
use super::{approve, payer_calls};
use crate::harness::{Answer, Payer, Setup, Stack, chat, until};
use alloy::primitives::{Address, B256, U256};
use alloy::sol_types::{SolStruct, eip712_domain};
use futures::future::join_all;
use futures::{StreamExt, stream};
use groat::protocol::eip3009::Authorization;
use reqwest::{Response, StatusCode};

alloy::sol! {
    struct CancelAuthorization {
        address authorizer;
        bytes32 nonce;
    }

    function cancelAuthorization(address authorizer, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external;
}

const EXACT: &str = "rails = [\"exact\"]\nsettle = \"after\"";
const EXACT_PERMIT2: &str = "rails = [\"exact-permit2\"]\nsettle = \"after\"";

/// How often the payer tries it again after the first time.
const AGAIN: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn rule_13_a_payer_by_exact_who_drains_the_wallet_costs_no_more_than_configured() {
    cheated(EXACT, Trick::Drain, 1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_13_a_payer_by_exact_who_cancels_the_authorizations_costs_no_more_than_configured() {
    cheated(EXACT, Trick::BurnNonces, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_13_a_payer_by_exact_permit2_costs_no_more_than_configured() {
    for trick in [Trick::Drain, Trick::BurnNonces, Trick::Revoke] {
        cheated(EXACT_PERMIT2, trick, 100).await;
    }
}

/// A payment that was signed, with the nonce that EIP-3009 knows it by.
struct Signed {
    body: String,
    header: String,
    nonce: Option<B256>,
}

async fn sign(payer: &Payer, body: String) -> Signed {
    let required = payer.challenge(&body).await;
    let offer = required.accepts.first().expect("an offer");
    let by_permit2 = offer.extra_text("assetTransferMethod").is_some();
    let authorization: Authorization = payer.authorization(offer);
    let header = match by_permit2 {
        true => payer.permit(&required, offer),
        false => payer.header_of(&required, &authorization),
    };
    Signed {
        body,
        header,
        nonce: (!by_permit2).then_some(authorization.nonce),
    }
}

/// Asks for slow streams: the answers have begun, and none has ended.
async fn begun(stack: &Stack, round: usize) -> (Vec<Signed>, Vec<Response>) {
    let bodies = (0..CALLS).map(|n| chat("slow", &format!("round {round} question {n}"), true));
    let payments = join_all(bodies.map(|body| sign(&stack.payer, body))).await;
    let asked = payments.iter().map(|signed| {
        let request = stack.payer.post(&signed.body);
        request.header("payment-signature", &signed.header).send()
    });
    let begun: Vec<Response> = join_all(asked).await.into_iter().flatten().collect();
    assert_eq!(begun.len(), CALLS);
    assert!(begun.iter().all(|answer| answer.status() == StatusCode::OK));
    (payments, begun)
}

async fn cheated(payment: &'static str, trick: Trick, attempts: usize) {
    let stack = Stack::with(Setup {
        models: vec![("slow", "sim/small?tps=16")],
        payment,
        chain: "[exposure]\npayer_calls = 4",
        ..Setup::default()
    })
    .await;
    approve(&stack, U256::MAX).await;
    let (payments, answers) = begun(&stack, 0).await;
    let beyond = stack.payer.pay(&chat("m", "one more", false)).await;
    assert_eq!(beyond.status, StatusCode::OK, "it is settled beforehand");
    assert_eq!(beyond.receipt()["settlement"]["status"], "settled");
    take_away(&stack, trick, &payments).await;
    ended(answers).await;
    until("every settlement has failed", || async {
        (metric(&stack, "groat_losses_total").await == CALLS as u64).then_some(())
    })
    .await;
    let lost = metric(&stack, "groat_lost_units_total").await;
    assert!(lost > 0);

    let empty = play(&stack, Trick::Drain, &[]);
    empty.await;
    let refused = stream::iter(0..attempts).map(|n| {
        let payer = &stack.payer;
        let body = chat("m", &format!("question {n}"), false);
        async move { payer.pay(&body).await }
    });
    let refused: Vec<Answer> = refused.buffer_unordered(16).collect().await;
    for answer in &refused {
        assert_eq!(answer.status, StatusCode::PAYMENT_REQUIRED, "{answer:?}");
    }
    restore(&stack, Trick::Drain).await;
    restore(&stack, trick).await;
    for round in 1..=AGAIN {
        let (payments, answers) = begun(&stack, round).await;
        take_away(&stack, trick, &payments).await;
        ended(answers).await;
        restore(&stack, trick).await;
    }
    let report = stack.reconcile().await;
    assert_eq!(metric(&stack, "groat_losses_total").await, CALLS as u64);
    assert_eq!(metric(&stack, "groat_lost_units_total").await, lost);
    assert_eq!(report["totals"][0]["uncollected"], lost, "{report}");
    let served = CALLS * (1 + AGAIN) + 1;
    assert_eq!(stack.seen().await.total, served as u64);
}

async fn ended(answers: Vec<Response>) {
    for answer in answers {
        answer.text().await.expect("the whole answer");
    }
}

async fn take_away(stack: &Stack, trick: Trick, payments: &[Signed]) {
    let nonces: Vec<B256> = payments.iter().filter_map(|signed| signed.nonce).collect();
    match trick {
        Trick::BurnNonces if !nonces.is_empty() => cancel(stack, &nonces).await,
        _ => {
            let headers: Vec<String> = payments.iter().map(|s| s.header.clone()).collect();
            play(stack, trick, &headers).await;
        }
    }
}

/// Calls authorizations off, as far as they are not executed yet.
async fn cancel(stack: &Stack, nonces: &[B256]) {
    let authorizer: Address = stack.payer.key.address();
    let domain = eip712_domain! {
        name: "USDC",
        version: "2",
        chain_id: stack.chain.chain_id,
        verifying_contract: stack.asset,
    };
    for nonce in nonces {
        let nonce = *nonce;
        let message = CancelAuthorization { authorizer, nonce };
        let signature = stack.payer.key.sign(message.eip712_signing_hash(&domain));
        let call = cancelAuthorizationCall {
            authorizer,
            nonce,
            v: signature.v(),
            r: signature.r(),
            s: signature.s(),
        };
        let used = stack.is_used(authorizer, nonce).await;
        if !used {
            payer_calls(stack, stack.asset, call).await;
        }
    }
}

impl Stack {
    /// Whether an authorization of EIP-3009 was executed or called off.
    async fn is_used(&self, authorizer: Address, nonce: B256) -> bool {
        use alloy::sol_types::SolCall;
        use groat::chain::bindings::IEip3009Token::authorizationStateCall;
        let ask = authorizationStateCall { authorizer, nonce }.abi_encode();
        let answer = self.chain.rpc.call(self.asset, &ask.into()).await;
        let answer = answer.expect("an answer");
        authorizationStateCall::abi_decode_returns(&answer).expect("a yes or no")
    }
}
