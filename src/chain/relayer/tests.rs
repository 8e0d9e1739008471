use super::broadcast::{Broadcast, broadcast};
use super::fees::{Fees, gas_limit};
use super::job::{Job, ResumeRefusal, Sent};
use super::permit::{is_withdrawn, spent_by};
use super::policy::LanePolicy;
use super::proof::{Authorization, Expect, Verdict, judge};
use super::work::Work;
use crate::chain::bindings::{
    ChannelConfig, Eip2612Permit, ExactWitness, IBatchSettlement, IExactPermit2Proxy, IPermit2,
    PermitTransferFrom, TokenPermissions,
};
use crate::chain::{ChainError, Receipt};
use alloy::primitives::{Address, B256, Bytes, U256, address};
use alloy::rpc::types::Log;
use alloy::sol_types::{SolCall, SolEvent, SolValue};
use proptest::prelude::*;
use serde_json::json;
use std::time::Duration;

const ASSET: Address = address!("0x036CbD53842c5426634e7929541eC2318f3dCF7e");
const FROM: Address = Address::repeat_byte(0x11);
const TO: Address = Address::repeat_byte(0x22);

fn expect() -> Expect {
    Expect::Transfer {
        asset: ASSET,
        from: FROM,
        to: TO,
        value: U256::from(1000),
    }
}

fn receipt(status: u64, emitter: Address, to: Address, value: u64) -> Receipt {
    let log = json!({
        "address": emitter,
        "topics": [
            "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
            FROM.into_word(),
            to.into_word(),
        ],
        "data": B256::from(U256::from(value)),
        "blockNumber": "0x1",
        "blockHash": B256::ZERO,
        "transactionHash": B256::ZERO,
        "transactionIndex": "0x0",
        "logIndex": "0x0",
    });
    serde_json::from_value(json!({
        "transactionHash": B256::ZERO,
        "blockHash": B256::ZERO,
        "blockNumber": "0x1",
        "status": format!("{status:#x}"),
        "logs": [log],
    }))
    .expect("a receipt")
}

#[test]
fn only_the_tokens_own_event_of_exactly_this_transfer_proves_success() {
    let verdict = |receipt: Receipt| judge(&receipt, &expect());
    assert_eq!(verdict(receipt(1, ASSET, TO, 1000)), Verdict::Done);
    assert_eq!(verdict(receipt(0, ASSET, TO, 1000)), Verdict::Reverted);
    assert_eq!(verdict(receipt(1, FROM, TO, 1000)), Verdict::Quiet);
    assert_eq!(verdict(receipt(1, ASSET, FROM, 1000)), Verdict::Quiet);
    assert_eq!(verdict(receipt(1, ASSET, TO, 999)), Verdict::Quiet);
}

fn log(emitter: Address, topics: &[B256], data: &[u8]) -> Log {
    let data = Bytes::copy_from_slice(data);
    Log {
        inner: alloy::primitives::Log::new_unchecked(emitter, topics.to_vec(), data),
        ..Log::default()
    }
}

#[test]
fn a_claim_is_proved_by_the_events_of_all_its_channels() {
    let (contract, channels) = (TO, [B256::repeat_byte(1), B256::repeat_byte(2)]);
    let expect = Expect::claimed(contract, channels);
    let claimed = |emitter: Address, channel: B256| {
        let event = IBatchSettlement::Claimed::SIGNATURE_HASH;
        log(emitter, &[event, channel, FROM.into_word()], &[0; 64])
    };
    let both = channels.map(|channel| claimed(contract, channel));
    assert!(expect.is_met(&both));
    assert!(!expect.is_met(&both[..1]), "one row of two");
    let foreign = channels.map(|channel| claimed(FROM, channel));
    assert!(!expect.is_met(&foreign), "another contract's events");
    assert!(
        !Expect::Logs(Vec::new()).is_met(&both),
        "nothing is no proof"
    );
    let refund = Expect::refunded(contract, channels[0]);
    assert!(!refund.is_met(&both), "another event");
}

#[test]
fn a_settlement_is_proved_for_its_receiver_and_token_only() {
    let expect = Expect::settled(TO, FROM, ASSET);
    let settled = |receiver: Address, token: Address| {
        let event = IBatchSettlement::Settled::SIGNATURE_HASH;
        let topics = [event, receiver.into_word(), token.into_word(), B256::ZERO];
        log(TO, &topics, &[0; 32])
    };
    assert!(expect.is_met(&[settled(FROM, ASSET)]));
    assert!(!expect.is_met(&[settled(TO, ASSET)]));
    assert!(!expect.is_met(&[settled(FROM, TO)]));
}

fn permit(nonce: u64) -> PermitTransferFrom {
    PermitTransferFrom {
        permitted: TokenPermissions {
            token: ASSET,
            amount: U256::from(1000),
        },
        nonce: U256::from(nonce),
        deadline: U256::from(u64::MAX),
    }
}

#[test]
fn a_call_is_known_by_the_permit_it_spends() {
    let witness = ExactWitness {
        to: TO,
        validAfter: U256::ZERO,
    };
    let plain = |nonce: u64, owner: Address, signature: &'static [u8]| {
        IExactPermit2Proxy::settleCall {
            permit: permit(nonce),
            owner,
            witness: witness.clone(),
            signature: Bytes::from_static(signature),
        }
        .abi_encode()
    };
    let sponsored = IExactPermit2Proxy::settleWithPermitCall {
        permit2612: Eip2612Permit {
            value: U256::from(1000),
            deadline: U256::MAX,
            r: B256::ZERO,
            s: B256::ZERO,
            v: 27,
        },
        permit: permit(7),
        owner: FROM,
        witness: witness.clone(),
        signature: Bytes::new(),
    }
    .abi_encode();
    let ours = spent_by(&plain(7, FROM, &[1; 65]));
    assert!(ours.is_some());
    assert_eq!(ours, spent_by(&plain(7, FROM, &[2; 64])), "however signed");
    assert_eq!(ours, spent_by(&sponsored), "however sponsored");
    // An equal payment by another nonce is another payment.
    assert_ne!(ours, spent_by(&plain(8, FROM, &[1; 65])));
    assert_ne!(ours, spent_by(&plain(7, TO, &[1; 65])));
    assert_eq!(spent_by(&[0xde, 0xad, 0xbe, 0xef]), None);
    assert_eq!(spent_by(&[]), None);
}

#[test]
fn a_deposit_by_another_collector_spends_another_permit() {
    let deposit = |collector: Address, nonce: u64| {
        let data = (U256::from(nonce), U256::MAX, Bytes::new(), Bytes::new());
        IBatchSettlement::depositCall {
            config: ChannelConfig {
                payer: FROM,
                payerAuthorizer: Address::ZERO,
                receiver: TO,
                receiverAuthorizer: TO,
                token: ASSET,
                withdrawDelay: alloy::primitives::aliases::U40::from(900),
                salt: B256::ZERO,
            },
            amount: 1000,
            collector,
            collectorData: data.abi_encode_params().into(),
        }
        .abi_encode()
    };
    let ours = spent_by(&deposit(TO, 7));
    assert!(ours.is_some());
    assert_ne!(ours, spent_by(&deposit(ASSET, 7)));
    assert_ne!(ours, spent_by(&deposit(TO, 8)));
}

#[test]
fn a_withdrawn_nonce_is_told_by_its_bit() {
    let withdrawn = |word: u64, mask: U256| {
        let event = IPermit2::UnorderedNonceInvalidation::SIGNATURE_HASH;
        let data = (U256::from(word), mask).abi_encode();
        log(TO, &[event, FROM.into_word()], &data)
    };
    let nonce = U256::from(3 * 256 + 17);
    let bit = U256::from(1) << 17;
    assert!(is_withdrawn(&withdrawn(3, bit), nonce));
    assert!(is_withdrawn(&withdrawn(3, U256::MAX), nonce));
    assert!(!is_withdrawn(&withdrawn(3, bit << 1), nonce));
    assert!(!is_withdrawn(&withdrawn(4, bit), nonce));
}

#[test]
fn what_is_kept_once_by_more_than_a_nonce_may_change_its_key() {
    let job = Job {
        id: "op".to_owned(),
        to: ASSET,
        calldata: Bytes::new(),
        expect: Expect::settled(TO, FROM, ASSET),
        authorization: Some(Authorization::Repeatable { after_block: 1 }),
        gas_limit_max: Some(3_000_000),
    };
    let sent = Sent {
        relayer: FROM,
        lane_nonce: 3,
        transaction: B256::ZERO,
        raw_transaction: Bytes::new(),
    };
    let taken = Work::resumed(job, vec![sent], TO, Duration::ZERO).expect("taken");
    assert_eq!(taken.gas_limit_max(&LanePolicy::default()), 3_000_000);
}

#[test]
fn a_refused_broadcast_decides_nothing_but_says_what_to_do() {
    let refused = |message: &str| {
        broadcast::<B256>(&Err(ChainError::Refused {
            code: -32000,
            message: message.to_owned(),
        }))
    };
    assert_eq!(refused("already known"), Broadcast::Known);
    assert_eq!(refused("transaction already imported"), Broadcast::Known);
    assert_eq!(
        refused("nonce too low: next nonce 5, tx nonce 3"),
        Broadcast::NonceTooLow
    );
    assert_eq!(
        refused("replacement transaction underpriced"),
        Broadcast::Underpriced
    );
    assert_eq!(
        refused("max fee per gas less than block base fee"),
        Broadcast::Underpriced
    );
    assert_eq!(
        refused("Insufficient funds for gas * price + value"),
        Broadcast::OutOfGas
    );
    assert_eq!(refused("the moon is full"), Broadcast::Unknown);
    assert_eq!(
        broadcast::<B256>(&Err(ChainError::TimedOut)),
        Broadcast::Unknown
    );
}

#[test]
fn a_plain_transfer_is_never_taken_over_from_another_key() {
    let job = Job {
        id: "w".to_owned(),
        to: ASSET,
        calldata: Bytes::new(),
        expect: expect(),
        authorization: None,
        gas_limit_max: None,
    };
    let sent = Sent {
        relayer: FROM,
        lane_nonce: 3,
        transaction: B256::ZERO,
        raw_transaction: Bytes::new(),
    };
    let taken = Work::resumed(job, vec![sent], TO, Duration::ZERO);
    assert_eq!(taken.err(), Some(ResumeRefusal::OtherRelayer(FROM)));
}

#[test]
fn an_outbox_record_does_not_print_the_payers_signature() {
    let sent = Sent {
        relayer: FROM,
        lane_nonce: 3,
        transaction: B256::ZERO,
        raw_transaction: Bytes::from_static(&[0xca, 0xfe, 0xba, 0xbe]),
    };
    assert!(!format!("{sent:?}").contains("cafebabe"));
}

proptest! {
    #[test]
    fn fees_stay_under_the_cap_and_a_bump_outbids(
        base in 0u128..1 << 80,
        tip in 0u128..1 << 60,
        cap in 0u128..1 << 82,
        percent in 0u32..200,
    ) {
        if let Ok(fees) = Fees::suggest(base, tip, cap) {
            prop_assert!(fees.max_fee <= cap && fees.tip <= fees.max_fee);
            prop_assert!(fees.max_fee >= base + tip);
            if let Ok(bumped) = fees.bumped(fees, percent, cap) {
                prop_assert!(bumped.max_fee <= cap && bumped.tip <= bumped.max_fee);
                // Nodes demand at least an eighth more of both.
                prop_assert!(bumped.max_fee >= fees.max_fee + fees.max_fee / 8);
                prop_assert!(bumped.tip >= fees.tip + fees.tip / 8);
            }
        } else {
            prop_assert!(base + tip > cap);
        }
    }

    #[test]
    fn a_gas_limit_never_wraps(estimate: u64) {
        prop_assert!(gas_limit(estimate) >= estimate);
    }
}
