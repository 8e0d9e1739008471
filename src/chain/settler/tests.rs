use super::*;
use crate::chain::bindings::IPermit2;
use alloy::primitives::LogData;
use alloy::sol_types::SolError;
use serde_json::json;

const SETTLER: Address = Address::repeat_byte(0x5e);
const BATCH: B256 = B256::repeat_byte(0xba);

fn receipt(status: u64, logs: Vec<(Address, LogData)>) -> Receipt {
    let logs: Vec<Log> = logs
        .into_iter()
        .map(|(address, data)| Log {
            inner: alloy::primitives::Log { address, data },
            ..Log::default()
        })
        .collect();
    serde_json::from_value(json!({
        "transactionHash": B256::ZERO,
        "blockHash": B256::ZERO,
        "blockNumber": "0x1",
        "status": format!("{status:#x}"),
        "logs": logs.iter().map(placed).collect::<Vec<_>>(),
    }))
    .expect("a receipt")
}

fn placed(log: &Log) -> serde_json::Value {
    json!({
        "address": log.address(), "topics": log.topics(), "data": log.data().data,
        "blockNumber": "0x1", "blockHash": B256::ZERO, "transactionHash": B256::ZERO,
        "transactionIndex": "0x0", "logIndex": "0x0",
    })
}

fn failed(batch: B256, index: u64, reason: Vec<u8>) -> LogData {
    ISettler::Failed {
        batch,
        index: U256::from(index),
        reason: reason.into(),
    }
    .encode_log_data()
}

fn ended(batch: B256, items: u64, failed: u64) -> LogData {
    ISettler::Settled {
        batch,
        items: U256::from(items),
        failed: U256::from(failed),
    }
    .encode_log_data()
}

#[test]
fn each_item_of_a_batch_is_told_apart_by_its_place() {
    let spent = IPermit2::InvalidNonce {}.abi_encode();
    let other = B256::repeat_byte(1);
    let receipt = receipt(
        1,
        vec![
            (SETTLER, failed(BATCH, 1, spent)),
            (SETTLER, failed(other, 0, Vec::new())),
            (Address::ZERO, failed(BATCH, 0, Vec::new())),
            (SETTLER, failed(BATCH, 2, Vec::new())),
            (SETTLER, ended(BATCH, 4, 2)),
        ],
    );
    let result = BatchResult::read(&receipt, SETTLER, BATCH).expect("a result");
    let done: Vec<bool> = (0..5).map(|index| result.is_done(index)).collect();
    assert_eq!(done, [true, false, false, true, false]);
    assert!(result.failed[&1].is::<IPermit2::InvalidNonce>());
    assert_eq!(result.failed[&1].message(), "InvalidNonce");
    assert!(expect(SETTLER, BATCH).is_met(receipt.logs()));
    assert!(!expect(SETTLER, B256::ZERO).is_met(receipt.logs()));
}

#[test]
fn a_batch_that_did_not_end_or_does_not_add_up_has_no_result() {
    let none = |status, logs| {
        let receipt = receipt(status, logs);
        assert_eq!(BatchResult::read(&receipt, SETTLER, BATCH), None);
    };
    none(0, vec![(SETTLER, ended(BATCH, 1, 0))]);
    none(1, vec![]);
    none(1, vec![(Address::ZERO, ended(BATCH, 1, 0))]);
    none(1, vec![(SETTLER, ended(BATCH, 2, 1))]);
    let beyond = failed(BATCH, 2, Vec::new());
    none(1, vec![(SETTLER, beyond), (SETTLER, ended(BATCH, 2, 1))]);
}
