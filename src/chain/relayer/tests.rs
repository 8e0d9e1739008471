use super::fees::{Fees, gas_limit};
use super::job::{Expect, Job, ResumeRefusal, Sent};
use super::verdict::{Broadcast, Verdict, broadcast, judge};
use super::work::Work;
use crate::chain::{ChainError, Receipt};
use alloy::primitives::{Address, B256, Bytes, U256, address};
use proptest::prelude::*;
use serde_json::json;
use std::time::Duration;

const ASSET: Address = address!("0x036CbD53842c5426634e7929541eC2318f3dCF7e");
const FROM: Address = Address::repeat_byte(0x11);
const TO: Address = Address::repeat_byte(0x22);

fn expect() -> Expect {
    Expect {
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
    assert_eq!(verdict(receipt(1, ASSET, TO, 1000)), Verdict::Moved);
    assert_eq!(verdict(receipt(0, ASSET, TO, 1000)), Verdict::Reverted);
    assert_eq!(verdict(receipt(1, FROM, TO, 1000)), Verdict::Quiet);
    assert_eq!(verdict(receipt(1, ASSET, FROM, 1000)), Verdict::Quiet);
    assert_eq!(verdict(receipt(1, ASSET, TO, 999)), Verdict::Quiet);
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
