#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use super::*;
use crate::protocol::addresses::PERMIT2;
use crate::protocol::permit2::Authorization;
use crate::protocol::x402::Requirements;
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    approvals: Vec<Sponsored>,
    hostile: Vec<Hostile>,
}

/// A payment by a published client, with an approval transaction.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sponsored {
    requirements: Requirements,
    payload: Value,
    extensions: Extensions,
    hash: B256,
    nonce: u64,
    gas: u64,
    max_fee_per_gas: String,
}

/// A transaction for the first of the payments, and why it is refused, if it is.
#[derive(Deserialize)]
struct Hostile {
    label: String,
    reason: Option<String>,
    raw: String,
}

impl Sponsored {
    fn approval(&self) -> Approval {
        extract(&self.extensions).unwrap().unwrap()
    }

    fn check(&self, approval: &Approval) -> Result<Transaction, Refused> {
        let payment = &self.payload["permit2Authorization"];
        let payment: Authorization = serde_json::from_value(payment.clone()).unwrap();
        let network = self.requirements.network;
        check(approval, payment.from, &payment.permitted, PERMIT2, network)
    }
}

fn file() -> File {
    let text = include_str!("../../../../tests/data/permit2/erc20_approval.json");
    serde_json::from_str(text).unwrap()
}

#[test]
fn what_the_published_clients_sign_is_accepted() {
    let file = file();
    assert!(file.approvals.len() >= 6);
    for s in &file.approvals {
        let transaction = s.check(&s.approval()).unwrap();
        assert_eq!(transaction.hash, s.hash);
        assert_eq!(transaction.nonce, s.nonce);
        assert_eq!(transaction.gas_limit, s.gas);
        assert_eq!(
            transaction.max_fee_per_gas_wei.to_string(),
            s.max_fee_per_gas
        );
        assert_eq!(transaction.approved, U256::MAX);
        let cost = u128::from(transaction.gas_limit) * transaction.max_fee_per_gas_wei;
        assert_eq!(transaction.cost_max_wei(), U256::from(cost));
    }
}

#[test]
fn transactions_of_no_good_will_are_refused_by_name() {
    let file = file();
    let s = &file.approvals[0];
    assert!(file.hostile.len() >= 17);
    for hostile in &file.hostile {
        let approval = Approval {
            transaction: fields::bytes(&hostile.raw, TRANSACTION_BYTES_MAX).unwrap(),
            ..s.approval()
        };
        let got = s.check(&approval).err().map(Refused::reason);
        assert_eq!(got, hostile.reason.as_deref(), "{}", hostile.label);
    }
}

#[test]
fn what_stands_beside_the_transaction_is_checked_and_named() {
    let s = &file().approvals[1];
    let named = |change: &dyn Fn(&mut Approval)| {
        let mut approval = s.approval();
        change(&mut approval);
        s.check(&approval).err().map(Refused::reason)
    };
    assert_eq!(
        named(&|a| a.from = PERMIT2),
        Some("erc20_approval_from_mismatch")
    );
    assert_eq!(
        named(&|a| a.asset = PERMIT2),
        Some("erc20_approval_asset_mismatch")
    );
    assert_eq!(
        named(&|a| a.spender = Address::ZERO),
        Some("erc20_approval_spender_not_permit2")
    );
    let parse = Some("erc20_approval_tx_parse_failed");
    assert_eq!(named(&|a| a.transaction.clear()), parse);
    assert_eq!(named(&|a| a.transaction.push(0)), parse);
    assert_eq!(named(&|a| a.transaction.truncate(100)), parse);
    assert_eq!(named(&|a| a.transaction[0] = 3), parse);
}

#[test]
fn only_what_the_client_added_is_read_and_strictly() {
    let s = &file().approvals[0];
    let echo = |value| Extensions::from([(KEY.to_owned(), value)]);
    assert_eq!(extract(&echo(advert())), Ok(None));
    assert_eq!(extract(&Extensions::new()), Ok(None));
    let good = &s.extensions[KEY]["info"];
    for key in [
        "from",
        "asset",
        "spender",
        "amount",
        "signedTransaction",
        "version",
    ] {
        for bad in [json!(1), json!(""), json!("-1"), json!("0x0"), json!("1.")] {
            let mut info = good.clone();
            info[key] = bad.clone();
            let got = extract(&echo(json!({ "info": info })));
            assert_eq!(got, Err(Refused::Format), "{key} {bad}");
        }
    }
    let mut long = good.clone();
    long["signedTransaction"] = json!(format!("0x{}", "00".repeat(TRANSACTION_BYTES_MAX + 1)));
    assert_eq!(
        extract(&echo(json!({ "info": long }))),
        Err(Refused::Format)
    );
}

proptest! {
    #[test]
    fn a_transaction_with_any_byte_changed_is_refused(
        which in 0..6usize,
        at in any::<prop::sample::Index>(),
        flip in 1..=255u8,
    ) {
        let s = &file().approvals[which];
        let mut approval = s.approval();
        let at = at.index(approval.transaction.len());
        approval.transaction[at] ^= flip;
        prop_assert!(s.check(&approval).is_err());
    }

    #[test]
    fn no_bytes_panic(kind in 0..5u8, tail in prop::collection::vec(any::<u8>(), 0..300)) {
        let s = &file().approvals[0];
        let transaction = [&[kind][..], &tail].concat();
        let approval = Approval { transaction, ..s.approval() };
        prop_assert!(s.check(&approval).is_err());
    }
}
