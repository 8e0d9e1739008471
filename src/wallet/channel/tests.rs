use super::*;
use crate::protocol::Network;
use crate::protocol::channel::{
    ChannelState, ReportedCharge, correct, paid_extra, refund_extra, signed_erc3009,
};
use alloy::primitives::U256;
use proptest::prelude::*;

fn units(n: u128) -> Units {
    Units::from_atomic(n)
}

fn key() -> Key {
    Key::from_bytes(&[7; 32]).expect("a key")
}

fn offer(amount: u128) -> Requirements {
    serde_json::from_value(serde_json::json!({
        "scheme": SCHEME,
        "network": "eip155:84532",
        "amount": amount.to_string(),
        "asset": "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
        "payTo": Address::repeat_byte(1),
        "maxTimeoutSeconds": 60,
        "extra": {
            "name": "USDC",
            "version": "2",
            "receiverAuthorizer": Address::repeat_byte(2),
            "withdrawDelay": 900,
            "minDeposit": "70",
        },
    }))
    .expect("an offer")
}

fn new_channel(chain: Option<&OnChain>) -> (Channel, Terms) {
    let terms = terms(&offer(10)).expect("terms");
    let config = config(key().address(), &terms);
    (Channel::new(config, terms.domain(), chain), terms)
}

fn call(amount: u128) -> OpenCall {
    OpenCall {
        amount: units(amount),
        deposit: Units::ZERO,
        model: "m".to_owned(),
        request: Hash::default(),
        call: None,
        reported: None,
    }
}

fn deposit(channel: &Channel, terms: &Terms, amount: u128) -> Deposit {
    let salt = B256::repeat_byte(3);
    signed_erc3009(&key(), &channel.config, terms, units(amount), (0, 60), salt)
}

/// What the wallet hears of a channel that has so much charged.
fn state(channel: &Channel) -> ChannelState {
    ChannelState {
        channel_id: channel.id,
        balance: channel.book.balance,
        total_claimed: Units::ZERO,
        withdraw_requested_at: 0,
        refund_nonce: U256::ZERO,
    }
}

fn response(extra: Map<String, Value>) -> SettleResponse {
    SettleResponse {
        success: true,
        error_reason: None,
        error_message: None,
        payer: None,
        transaction: String::new(),
        network: Network::from_chain_id(84532).to_string(),
        amount: None,
        extensions: None,
        extra: Some(extra),
    }
}

fn report(channel: &Channel, charged: u128, cumulative: u128) -> SettleResponse {
    let report = ReportedCharge {
        charged_amount: units(charged),
        cumulative: units(cumulative),
    };
    response(paid_extra(&state(channel), report))
}

/// A channel with 100 in it and one call of 4 behind it.
fn used() -> (Channel, Terms) {
    let (mut channel, terms) = new_channel(None);
    let first = deposit(&channel, &terms, 100);
    channel
        .sign(&key(), terms.domain(), call(10), Some(first))
        .expect("signed");
    let answer = report(&channel, 4, 4);
    channel
        .answered(Some("call_1".to_owned()), Some(&answer))
        .expect("believed");
    channel.receipted(units(4), "call_1").expect("receipted");
    assert_eq!(
        (channel.book.balance, channel.book.charged),
        (units(100), units(4))
    );
    assert_eq!(channel.left(), units(96));
    (channel, terms)
}

#[test]
fn a_voucher_is_for_what_receipts_show_and_one_call_more() {
    let (mut channel, terms) = used();
    let payload = channel
        .sign(&key(), terms.domain(), call(10), None)
        .expect("signed");
    assert_eq!(payload.voucher().max_claimable, units(14));
    assert_eq!(channel.signed_max, units(14));
    let again = channel.sign(&key(), terms.domain(), call(10), None);
    assert_eq!(again, Err(Distrust::ReceiptMissing), "one call at a time");
    channel.voided();
    let payload = channel
        .sign(&key(), terms.domain(), call(96), None)
        .expect("a void call cost nothing");
    assert_eq!(payload.voucher().max_claimable, units(100));
    channel.voided();
    let too_much = channel.sign(&key(), terms.domain(), call(97), None);
    assert_eq!(too_much, Err(Distrust::Lacks(units(1))));
    assert_eq!(channel.open_call, None, "nothing was signed");
    assert_eq!(
        channel
            .sign_refund(&key(), terms.domain())
            .voucher()
            .max_claimable,
        units(4)
    );
}

#[test]
fn streams_report_late_and_whole_answers_at_once() {
    for reported in [4, 10] {
        let (mut channel, terms) = used();
        channel
            .sign(&key(), terms.domain(), call(10), None)
            .expect("signed");
        let answer = report(&channel, reported - 4, reported);
        channel.answered(None, Some(&answer)).expect("believed");
        channel.receipted(units(6), "call_2").expect("receipted");
        assert_eq!(channel.book.charged, units(10), "reported {reported}");
        assert_eq!(channel.last_receipt.as_deref(), Some("call_2"));
    }
}

#[test]
fn more_than_receipts_show_ends_the_channel() {
    for reported in [3, 7, 11] {
        let (mut channel, terms) = used();
        channel
            .sign(&key(), terms.domain(), call(10), None)
            .expect("signed");
        let answer = report(&channel, 0, reported);
        channel.answered(None, Some(&answer)).expect("a report");
        let believed = channel.receipted(units(6), "call_2");
        assert!(
            matches!(believed, Err(Distrust::Unreceipted { .. })),
            "{reported}"
        );
        assert!(!channel.has_room(units(1)));
        let signed = channel.sign(&key(), terms.domain(), call(10), None);
        assert!(matches!(signed, Err(Distrust::Blocked(_))));
    }
    let (mut channel, terms) = used();
    channel
        .sign(&key(), terms.domain(), call(10), None)
        .expect("signed");
    let above = channel.receipted(units(11), "call_2");
    assert!(matches!(above, Err(Distrust::AboveOffer { .. })));
}

#[test]
fn a_report_that_is_none_ends_the_channel() {
    let charge = |value: Value| Map::from_iter([("chargedAmount".to_owned(), value)]);
    for extra in [
        charge(Value::from(4)),
        charge(Value::from("4.0")),
        charge(Value::from("11")),
    ] {
        let (mut channel, terms) = used();
        channel
            .sign(&key(), terms.domain(), call(10), None)
            .expect("signed");
        let believed = channel.answered(None, Some(&response(extra)));
        assert_eq!(believed, Err(Distrust::Report));
        assert!(channel.blocked.is_some());
    }
}

#[test]
fn a_lost_answer_may_have_cost_its_ceiling_and_no_more() {
    // What can be this call's own charge of 1 is not taken for a lost one's.
    for (reported, charged, unseen) in [(4, 5, 10), (5, 5, 10), (7, 7, 8), (15, 15, 0)] {
        let (mut channel, terms) = used();
        channel
            .sign(&key(), terms.domain(), call(10), None)
            .expect("signed");
        channel.lost().expect("sums that fit");
        channel
            .sign(&key(), terms.domain(), call(10), None)
            .expect("signed");
        let answer = report(&channel, 0, reported);
        channel.answered(None, Some(&answer)).expect("a report");
        channel.receipted(units(1), "call_3").expect("believed");
        let books = (channel.book.charged, channel.unseen);
        assert_eq!(books, (units(charged), units(unseen)), "{reported}");
    }
    let (mut channel, terms) = used();
    channel
        .sign(&key(), terms.domain(), call(10), None)
        .expect("signed");
    channel.lost().expect("sums that fit");
    channel
        .sign(&key(), terms.domain(), call(10), None)
        .expect("signed");
    let answer = report(&channel, 10, 16);
    channel.answered(None, Some(&answer)).expect("a report");
    let believed = channel.receipted(units(1), "call_3");
    assert!(matches!(believed, Err(Distrust::Unreceipted { .. })));
}

#[test]
fn a_deposit_without_an_answer_is_looked_for_on_chain() {
    let (mut channel, terms) = new_channel(None);
    let first = deposit(&channel, &terms, 100);
    channel
        .sign(&key(), terms.domain(), call(10), Some(first))
        .expect("signed");
    channel.lost().expect("sums that fit");
    assert_eq!(channel.deposit_unknown, units(100));
    let second = deposit(&channel, &terms, 100);
    let signed = channel.sign(&key(), terms.domain(), call(10), Some(second));
    assert_eq!(signed, Err(Distrust::DepositUnknown));
    let chain = OnChain {
        balance: units(100),
        claimed: units(3),
        withdrawal: None,
    };
    channel
        .observe(&chain)
        .expect("a lost call can have cost 3");
    assert_eq!(channel.left(), units(100));
    channel
        .sign(&key(), terms.domain(), call(10), None)
        .expect("signed");
}

#[test]
fn the_chain_may_show_a_withdrawal_a_refund_and_a_theft() {
    let (mut channel, terms) = used();
    let chain = |balance, claimed, withdrawal| OnChain {
        balance: units(balance),
        claimed: units(claimed),
        withdrawal,
    };
    let leaving = chain(100, 4, Some((units(96), 1_000)));
    channel.observe(&leaving).expect("nothing amiss");
    assert_eq!(
        (channel.left(), channel.withdrawal_from),
        (Units::ZERO, Some(1_000))
    );
    let signed = channel.sign(&key(), terms.domain(), call(10), None);
    assert_eq!(signed, Err(Distrust::Withdrawing));
    channel
        .observe(&chain(4, 4, None))
        .expect("it was paid back");
    assert_eq!(
        (channel.left(), channel.withdrawal_from),
        (Units::ZERO, None)
    );
    let stolen = channel.observe(&chain(100, 5, None));
    assert!(matches!(stolen, Err(Distrust::Unreceipted { .. })));
}

#[test]
fn a_correction_needs_a_voucher_of_ours_and_charges_that_can_be() {
    let (mut channel, terms) = used();
    channel.signed_max = units(14);
    channel.unseen = units(10);
    let own = signed_voucher(&key(), channel.id, units(14), terms.domain());
    let foreign = signed_voucher(
        &Key::from_bytes(&[9; 32]).expect("a key"),
        channel.id,
        units(14),
        terms.domain(),
    );
    let told = |charged, signature: Option<&[u8]>| {
        let mut extra = Map::new();
        let best = signature.map(|signature| (units(14), signature));
        correct(
            &mut extra,
            &channel.config,
            &state(&channel),
            units(charged),
            best,
        );
        extra
    };
    let after = |extra: &Map<String, Value>, chain: Option<&OnChain>| {
        let mut channel = channel.clone();
        let corrected = channel.correct(extra, terms.domain(), chain);
        corrected.map(|()| (channel.book.charged, channel.unseen))
    };
    let own = Some(own.signature.as_slice());
    assert_eq!(after(&told(9, own), None), Ok((units(9), units(5))));
    assert_eq!(after(&told(2, own), None), Ok((units(2), units(10))));
    assert_eq!(
        after(&told(9, Some(&foreign.signature)), None),
        Err(Distrust::Unproven)
    );
    assert_eq!(after(&told(9, None), None), Err(Distrust::NeedsChain));
    assert_eq!(after(&told(15, own), None), Err(Distrust::Unproven));
    let chain = OnChain {
        balance: units(100),
        claimed: units(6),
        withdrawal: None,
    };
    assert_eq!(after(&told(5, own), Some(&chain)), Err(Distrust::Unproven));
    assert_eq!(
        after(&told(9, None), Some(&chain)),
        Ok((units(6), units(8)))
    );
    let mut honest = channel.clone();
    honest.unseen = units(4);
    let corrected = honest.correct(&told(9, own), terms.domain(), None);
    assert!(matches!(corrected, Err(Distrust::Unreceipted { .. })));
    assert!(honest.blocked.is_some());
}

#[test]
fn a_wallet_that_lost_its_file_takes_up_what_the_chain_and_its_own_voucher_prove() {
    let chain = OnChain {
        balance: units(100),
        claimed: units(6),
        withdrawal: None,
    };
    let (mut channel, terms) = new_channel(Some(&chain));
    assert_eq!(
        (channel.book.charged, channel.unseen),
        (units(6), units(94))
    );
    let own = signed_voucher(&key(), channel.id, units(40), terms.domain());
    let best = Some((units(40), own.signature.as_slice()));
    let mut extra = Map::new();
    correct(
        &mut extra,
        &channel.config,
        &state(&channel),
        units(31),
        best,
    );
    channel
        .correct(&extra, terms.domain(), Some(&chain))
        .expect("proven");
    assert_eq!(
        (channel.book.charged, channel.left()),
        (units(31), units(69))
    );
    let (mut blind, terms) = new_channel(None);
    let corrected = blind.correct(&extra, terms.domain(), None);
    assert_eq!(corrected, Err(Distrust::NeedsChain));
}

#[test]
fn a_refunded_channel_goes_on_from_its_charges() {
    let (mut channel, terms) = used();
    channel.blocked = Some("a quarrel".to_owned());
    channel.refunded();
    assert_eq!(channel.left(), Units::ZERO);
    let lacks = channel.sign(&key(), terms.domain(), call(10), None);
    assert_eq!(lacks, Err(Distrust::Lacks(units(10))));
    let again = deposit(&channel, &terms, 50);
    let payload = channel
        .sign(&key(), terms.domain(), call(10), Some(again))
        .expect("signed");
    assert_eq!(payload.voucher().max_claimable, units(14));
    let answer = response(refund_extra(&state(&channel), units(4)));
    channel.answered(None, Some(&answer)).expect("believed");
    assert_eq!(channel.left(), units(50));
}

#[test]
fn the_file_keeps_every_word_of_a_channel() {
    let (mut channel, terms) = used();
    channel
        .sign(&key(), terms.domain(), call(10), None)
        .expect("signed");
    let text = serde_json::to_string(&channel).expect("JSON");
    assert_eq!(
        serde_json::from_str::<Channel>(&text).expect("a channel"),
        channel
    );
}

proptest! {
    /// Whatever a gateway answers, no voucher goes beyond what receipts show, what lost calls can
    /// have cost, and the one call that is paid.
    #[test]
    fn no_voucher_is_above_what_was_shown_and_one_call(
        steps in prop::collection::vec((1_u128..30, 0_u128..40, 0_u128..400, 0_u8..6), 1..40),
    ) {
        let (mut channel, terms) = new_channel(None);
        channel.book.balance = units(1_000);
        let (mut shown, mut lost) = (0_u128, 0_u128);
        for (amount, charged, told, kind) in steps {
            let signed = channel.sign(&key(), terms.domain(), call(amount), None);
            let Ok(payload) = signed else {
                prop_assert!(channel.blocked.is_some() || channel.left() < units(amount));
                break;
            };
            let max = payload.voucher().max_claimable;
            prop_assert!(max <= units(shown + lost + amount), "{max} {shown} {lost} {amount}");
            prop_assert!(max <= channel.book.balance);
            match kind {
                0 => channel.voided(),
                1 => {
                    channel.lost().expect("small sums");
                    lost += amount;
                }
                _ => {
                    let before = channel.book.charged.atomic();
                    let told = match kind {
                        2 => before,
                        3 => before + charged,
                        4 => before + charged + told % 8,
                        _ => told,
                    };
                    let answer = report(&channel, 0, told);
                    let _ = channel.answered(None, Some(&answer));
                    let _ = channel.receipted(units(charged), "call");
                    shown += charged;
                }
            }
        }
    }
}
