//! Who and what else has a say: wallets with code, tokens that answer oddly, an owner that withdraws nonces.

use super::agree;
use super::bench::{Bench, ODD, Outcome, reverts, says};
use super::owner::{Form, IPermit2, Order, sign};
use alloy::primitives::{Bytes, U256};
use alloy::sol_types::SolCall;

#[tokio::test(flavor = "multi_thread")]
async fn permit2_peer_wallets_and_tokens_that_are_odd() {
    let bench = Bench::start().await;
    let bent = Order {
        deadline: bench.start + 1,
        ..bench.order(2)
    };
    let not_signed = sign(&bench.owner, bench.order(3).digest(), Form::Whole);
    let not_signed = bench
        .order(4)
        .call(&bench.wanted(&[1]), bench.wallet, not_signed);
    let no_contract = reverts(&IPermit2::InvalidContractSignature {});
    let silence = Outcome::Reverts(Bytes::new());
    let [.., vague, brief, no, angry] = ODD.map(|(at, _)| at);
    let word = |word: u64| Outcome::Reverts(U256::from(word).to_be_bytes_vec().into());
    let story = [
        bench.spend_of(
            "a wallet's yes",
            bench.wallet,
            &bench.order(1),
            Outcome::Done,
        ),
        bench.spend_of(
            "again",
            bench.wallet,
            &bench.order(1),
            reverts(&IPermit2::InvalidNonce {}),
        ),
        bench.spend_of(
            "before the wallet is asked",
            bench.wallet,
            &bent,
            reverts(&IPermit2::SignatureExpired {
                signatureDeadline: U256::from(bent.deadline),
            }),
        ),
        bench.step(
            "a wallet's no",
            bench.spender,
            not_signed,
            no_contract.clone(),
        ),
        bench.spend_of(
            "yes with something behind it",
            vague,
            &bench.order(1),
            silence.clone(),
        ),
        bench.spend_of("yes too briefly", brief, &bench.order(1), silence),
        bench.spend_of("always no", no, &bench.order(1), no_contract),
        bench.spend_of("a revert", angry, &bench.order(1), word(0xbeef)),
    ];
    agree(&bench, "wallets", &story).await;

    let refused = says("TRANSFER_FROM_FAILED");
    let nobody = bench.payee;
    let of = |token, nonce| Order {
        permitted: vec![(token, U256::from(1_000_001))],
        ..bench.order(nonce)
    };
    let answers = [
        Outcome::Done,
        refused.clone(),
        refused.clone(),
        refused.clone(),
        Outcome::Done,
        refused.clone(),
    ];
    let mut story = vec![
        bench.spend(
            "more than there is",
            &of(bench.tokens[0], 50),
            &[1_000_001],
            refused,
        ),
        bench.spend("a token without code", &of(nobody, 51), &[1], Outcome::Done),
    ];
    for (nonce, ((token, code), expected)) in ODD.into_iter().zip(answers).enumerate() {
        let order = of(token, nonce as u64);
        story.push(bench.spend(&format!("the token {code}"), &order, &[1], expected));
    }
    agree(&bench, "tokens", &story).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permit2_peer_withdrawn_nonces() {
    let bench = Bench::start().await;
    let owner = bench.owner.address();
    let withdraw = |word: u64, mask: U256| {
        let word_pos = U256::from(word);
        IPermit2::invalidateUnorderedNoncesCall {
            wordPos: word_pos,
            mask,
        }
        .abi_encode()
        .into()
    };
    let no_nonce = reverts(&IPermit2::InvalidNonce {});
    let story = [
        bench.spend("spent first", &bench.order(1), &[1], Outcome::Done),
        bench.step(
            "some withdrawn, one of them spent",
            owner,
            withdraw(0, U256::from(0b1010)),
            Outcome::Done,
        ),
        bench.spend("the spent one", &bench.order(1), &[1], no_nonce.clone()),
        bench.spend("the withdrawn one", &bench.order(3), &[1], no_nonce.clone()),
        bench.spend("one between", &bench.order(2), &[1], Outcome::Done),
        bench.step("a whole word", owner, withdraw(1, U256::MAX), Outcome::Done),
        bench.spend("of that word", &bench.order(300), &[1], no_nonce),
        bench.step(
            "another's words are no matter",
            bench.payee,
            withdraw(0, U256::MAX),
            Outcome::Done,
        ),
        bench.spend("still good", &bench.order(5), &[1], Outcome::Done),
    ];
    agree(&bench, "withdrawn nonces", &story).await;
}
