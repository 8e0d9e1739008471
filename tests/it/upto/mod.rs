//! `upto`: the bill and nothing else, captured after the answer, within what a payer may owe.

mod clients;
mod lifetime;
mod old_keys;
mod owed;
mod owed_exact;
mod rails;
mod refused;

use crate::harness::{Answer, Payer, Stack, encoded};
use alloy::primitives::{Address, Bytes, U256};
use alloy::sol_types::SolCall;
use groat::chain::bindings::IErc20;
use groat::protocol::addresses::PERMIT2;
use groat::protocol::permit2::{Authorization, Terms, signed_payload};
use groat::protocol::signature::Key;
use groat::protocol::x402::{PaymentRequired, Requirements};
use serde_json::{Value, json};

/// The offer of `upto` in a challenge.
fn offer(required: &PaymentRequired) -> &Requirements {
    let mut offers = required.accepts.iter();
    offers
        .find(|offer| offer.scheme == "upto")
        .unwrap_or_else(|| panic!("no upto in {required:?}"))
}

/// What a payer signs for an offer, with a nonce of its own.
fn authorization(payer: Address, offer: &Requirements) -> Authorization {
    let terms = Terms::of(offer).expect("terms of upto");
    let now = groat::clock::now_ms() / 1000;
    let nonce = U256::from_be_bytes(rand::random::<[u8; 32]>());
    terms.authorization(payer, nonce, now + offer.max_timeout_seconds)
}

/// The payment of an authorization, whatever it says, signed by a key.
fn payment(required: &PaymentRequired, key: &Key, authorization: &Authorization) -> Value {
    let offer = offer(required);
    let terms = Terms::of(offer).expect("terms of upto");
    json!({
        "x402Version": 2,
        "resource": required.resource,
        "accepted": offer,
        "payload": signed_payload(key, authorization, &terms),
        "extensions": required.extensions,
    })
}

/// A good payment by `upto` for a body.
pub(crate) async fn good(payer: &Payer, body: &str) -> String {
    let required = payer.challenge(body).await;
    let authorization = authorization(payer.key.address(), offer(&required));
    encoded(&payment(&required, &payer.key, &authorization))
}

async fn pay(payer: &Payer, body: &str) -> Answer {
    let payment = good(payer, body).await;
    payer.send(body, &payment).await.expect("an answer")
}

/// What a paid answer charged, in atomic units.
fn charged(answer: &Answer) -> u64 {
    let receipt = answer.receipt();
    let charged = receipt["charged"].as_str().expect("an amount");
    charged.parse().expect("an amount")
}

/// Has the payer call a contract, as its wallet would.
async fn payer_calls(stack: &Stack, to: Address, call: impl SolCall) {
    let calldata: Bytes = call.abi_encode().into();
    let payer = stack.payer.key.address();
    let done = stack.chain.send_as(payer, to, calldata).await;
    done.expect("the payer's own transaction");
}

/// Sets what Permit2 may take from the payer.
async fn approve(stack: &Stack, value: U256) {
    let spender = PERMIT2;
    payer_calls(stack, stack.asset, IErc20::approveCall { spender, value }).await;
}

async fn balance(stack: &Stack, account: Address) -> U256 {
    let balance = stack.chain.balance_of(stack.asset, account).await;
    balance.expect("a balance")
}
