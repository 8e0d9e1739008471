//! The published vectors of what a server on Tempo must refuse, before it pays for gas and after the
//! chain has a transfer.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use super::*;
use crate::clock::now_ms;
use crate::protocol::Network;
use crate::protocol::mpp::{Challenge, Credential, evm, tempo};
use alloy::eips::eip2930::{AccessList, AccessListItem};
use alloy::primitives::{B256, Signature, U256};
use serde_json::Value;
use std::str::FromStr;
use tempo_alloy::primitives::TempoTransaction;
use tempo_alloy::primitives::transaction::{Call, PrimitiveSignature, TempoSignature};

const CHAIN_ID: u64 = 42431;

fn vectors() -> Value {
    let text = include_str!("../../../../tests/data/mpp/tempo_verification.json");
    serde_json::from_str(text).unwrap()
}

fn parsed<T: FromStr<Err: fmt::Debug>>(value: &Value) -> T {
    value.as_str().unwrap().parse().unwrap()
}

/// A node that knows its chain's id and one receipt.
async fn node(receipt: Value) -> String {
    let answer = move |body: String| async move {
        let asked: Value = serde_json::from_str(&body).unwrap();
        let result = match asked["method"].as_str() {
            Some("eth_chainId") => json!(format!("{CHAIN_ID:#x}")),
            Some("eth_getTransactionReceipt") => receipt,
            other => panic!("{other:?} was asked"),
        };
        axum::Json(json!({"jsonrpc": "2.0", "id": asked["id"], "result": result}))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn judge(receipt: Value, asset: Address, sponsor: Option<PrivateKeySigner>) -> Judge {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = node(receipt).await;
    Judge::new(&url, asset, sponsor).unwrap()
}

/// The challenge of the vectors, with the chain that it is on.
fn challenge(vector: &Value) -> Challenge {
    let mut wire = vector["challenge"].clone();
    wire["request"]["methodDetails"]["chainId"] = CHAIN_ID.into();
    let request = wire["request"].to_string();
    let request = {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(request)
    };
    wire["request"] = request.into();
    serde_json::from_value(wire).unwrap()
}

fn signed(challenge: Challenge, payload: &Value, payer: Address) -> Signed {
    let credential = Credential {
        challenge,
        source: Some(evm::source(Network::from_chain_id(CHAIN_ID), payer)),
        payload: payload.to_string(),
    };
    let means = tempo::means(&credential).unwrap();
    Signed {
        credential,
        payer,
        means,
    }
}

/// Why it is refused; nothing if it is not.
fn reason(judged: Result<(), AuthorizeFailure>) -> Option<String> {
    match judged {
        Ok(()) => None,
        Err(AuthorizeFailure::Refused(refusal)) => Some(refusal.to_string()),
        Err(other) => panic!("the node was not understood: {other:?}"),
    }
}

#[tokio::test]
async fn published_receipts_pay_by_the_memo_of_their_challenge_alone() {
    let vector = &vectors()["receipts"];
    let challenge = challenge(vector);
    let hash = B256::repeat_byte(0x11);
    // A captured receipt, for all that the vectors leave out.
    let text = include_str!("../../../../tests/data/mpp/tempo/charge-push-mppx.json");
    let captured: Value = serde_json::from_str(text).unwrap();
    let mut exchanges = captured["exchanges"].as_array().unwrap().iter();
    let mined = exchanges.find_map(|exchange| exchange.pointer("/mined/receipt"));
    for case in vector["cases"].as_array().unwrap() {
        let payer = Address::from_word(parsed(&case["topics"][1]));
        let mut receipt = mined.unwrap().clone();
        let mut log = receipt["logs"][0].clone();
        log["address"] = vector["challenge"]["request"]["currency"].clone();
        log["topics"] = case["topics"].clone();
        log["data"] = vector["data"].clone();
        receipt["logs"] = json!([log]);
        receipt["logsBloom"] = format!("0x{}", "00".repeat(256)).into();
        receipt["from"] = json!(payer);
        receipt["transactionHash"] = json!(hash);
        let judge = judge(
            receipt,
            parsed(&vector["challenge"]["request"]["currency"]),
            None,
        )
        .await;
        let payload = json!({"type": "hash", "hash": hash});
        let judged = judge
            .validate(&signed(challenge.clone(), &payload, payer))
            .await;
        let reason = reason(judged);
        assert_eq!(
            reason.is_none(),
            case["good"] == true,
            "{}: {reason:?}",
            case["name"]
        );
        // The money has moved: no fresh challenge would mend it.
        let moved = reason.is_none_or(|reason| reason.starts_with("What was sent beforehand"));
        assert!(moved, "{}", case["name"]);
    }
}

#[tokio::test]
async fn published_transfers_are_sent_with_the_memo_of_their_challenge_alone() {
    let vector = &vectors()["receipts"];
    let key: PrivateKeySigner = parsed(&vectors()["cosign"]["payerKey"]);
    let currency = parsed(&vector["challenge"]["request"]["currency"]);
    let judge = judge(Value::Null, currency, None).await;
    for case in vector["cases"].as_array().unwrap() {
        // The call that would have made this log.
        let word = |value: &Value| parsed::<B256>(value);
        let (to, amount) = (word(&case["topics"][2]), word(&vector["data"]));
        let mut input = match case["topics"].get(3) {
            Some(_) => vec![0x95, 0x77, 0x7d, 0x59],
            None => vec![0xa9, 0x05, 0x9c, 0xbb],
        };
        input.extend(to.0.iter().chain(&amount.0));
        input.extend(
            case["topics"]
                .get(3)
                .into_iter()
                .flat_map(|memo| word(memo).0),
        );
        let transaction = transaction(currency, [input], now_ms() / 1000 + 60);
        let signature = key.sign_hash_sync(&transaction.signature_hash()).unwrap();
        let whole = transaction.into_signed(wrapped(signature)).encoded_2718();
        let payload =
            json!({"type": "transaction", "signature": format!("0x{}", hex::encode(&whole))});
        assert_eq!(judge.sender(&whole), Ok(key.address()));
        let judged = judge
            .validate(&signed(challenge(vector), &payload, key.address()))
            .await;
        let reason = reason(judged);
        assert_eq!(
            reason.is_none(),
            case["good"] == true,
            "{}: {reason:?}",
            case["name"]
        );
    }
}

fn wrapped(signature: Signature) -> TempoSignature {
    TempoSignature::Primitive(PrimitiveSignature::Secp256k1(signature))
}

fn transaction(
    token: Address,
    inputs: impl IntoIterator<Item = Vec<u8>>,
    valid_before: u64,
) -> TempoTransaction {
    let calls = inputs.into_iter().map(|input| Call {
        to: TxKind::Call(token),
        value: U256::ZERO,
        input: input.into(),
    });
    TempoTransaction {
        chain_id: CHAIN_ID,
        max_priority_fee_per_gas: 1,
        max_fee_per_gas: 1,
        gas_limit: 1_000_000,
        calls: calls.collect(),
        nonce_key: U256::MAX,
        valid_before: NonZeroU64::new(valid_before),
        ..TempoTransaction::default()
    }
}

/// The sender's half of what a vector describes, with these calls in place of its own if there are some.
fn half(vector: &Value, case: &Value, calls: Option<Vec<Value>>) -> (Vec<u8>, Address) {
    let key: PrivateKeySigner = parsed(&vector["payerKey"]);
    let calls = calls.unwrap_or_else(|| case["calls"].as_array().unwrap().clone());
    let inputs = calls.iter().map(|call| parsed::<Bytes>(call).to_vec());
    let valid_before = now_ms() / 1000 + case["validIn"].as_u64().unwrap();
    let mut transaction = transaction(parsed(&vector["feeToken"]), inputs, valid_before);
    transaction.gas_limit = case["gasLimit"].as_u64().unwrap();
    if case["nonceKey"] != "max" {
        transaction.nonce_key = U256::ZERO;
    }
    if case["feeToken"].is_string() {
        transaction.fee_token = Some(parsed(&case["feeToken"]));
    }
    if case["accessList"] == true {
        let item = AccessListItem {
            address: parsed(&vector["feeToken"]),
            storage_keys: vec![B256::ZERO],
        };
        transaction.access_list = AccessList(vec![item]);
    }
    transaction.fee_payer_signature = Some(Signature::new(U256::ZERO, U256::ZERO, false));
    let signature = key.sign_hash_sync(&transaction.signature_hash()).unwrap();
    let access_list = transaction.access_list.clone();
    let mut envelope =
        FeePayerEnvelope78::from_signing_tx(transaction, key.address(), wrapped(signature));
    envelope.access_list = access_list;
    (envelope.encoded_envelope(), key.address())
}

#[tokio::test]
async fn gas_is_paid_for_what_the_published_vectors_allow_and_for_nothing_else() {
    let vector = &vectors()["cosign"];
    let sponsor: PrivateKeySigner = parsed(&vector["sponsorKey"]);
    let asset: Address = parsed(&vector["feeToken"]);
    let judge = judge(Value::Null, asset, Some(sponsor.clone())).await;
    let judged = async |half: &[u8], payer| {
        let payload =
            json!({"type": "transaction", "signature": format!("0x{}", hex::encode(half))});
        reason(
            judge
                .validate(&signed(challenge(vector), &payload, payer))
                .await,
        )
    };
    let mut allowed = 0;
    for case in vector["cases"].as_array().unwrap() {
        let (envelope, payer) = half(vector, case, None);
        let reason = judged(&envelope, payer).await;
        let Some(says) = case["says"].as_str() else {
            allowed += 1;
            assert_eq!(reason, None, "{}", case["name"]);
            let paid = sponsored(decoded(&envelope).unwrap(), payer, &sponsor, asset).unwrap();
            assert_eq!(paid.encoded_2718()[0], 0x76);
            let transaction = paid.tx();
            assert_eq!(transaction.fee_token, Some(asset));
            assert_eq!(
                (transaction.calls.len(), transaction.access_list.len()),
                (1, 0)
            );
            let hash = transaction.fee_payer_signature_hash(payer);
            let by = transaction.fee_payer_signature.unwrap();
            assert_eq!(
                by.recover_address_from_prehash(&hash).unwrap(),
                sponsor.address()
            );
            assert_eq!(paid.recover_signer().unwrap(), payer);
            continue;
        };
        let reason = reason.unwrap();
        if says.contains("no matching payment call") {
            assert!(
                reason.contains("memo is not bound"),
                "{}: {reason}",
                case["name"]
            );
            continue;
        }
        // The others pay without a memo, too, which alone is reason enough; with one each is refused by name.
        let memos = case["calls"].as_array().unwrap().iter();
        let memos = memos.map(|_| vector["memoCall"].clone()).collect();
        let (envelope, payer) = half(vector, case, Some(memos));
        let reason = judged(&envelope, payer).await.unwrap();
        // In its other words: it leaves access lists out, so that who signed one is somebody else.
        let own = match case["name"].as_str() {
            Some("access_list_rejected") => "sender mismatch",
            Some("extra_call_rejected") => "expected 1 transfer calls, got 2",
            Some("gas_limit_above_policy_rejected") => "gas limit 2000001 exceeds",
            Some("validity_window_above_policy_rejected") => "exceeds policy maximum 900s",
            _ => says,
        };
        let told = reason.to_lowercase().contains(own);
        assert!(told, "{}: {reason}", case["name"]);
    }
    assert_eq!(allowed, 1);
}
