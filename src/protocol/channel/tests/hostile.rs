//! Payloads that no published client sends.

use super::*;
use crate::protocol::signature::EcdsaSignature;
use proptest::prelude::*;

type Change<'a, T> = &'a dyn Fn(&mut T, &mut Terms);

fn channel(change: Change<'_, ChannelConfig>) -> Option<Refused> {
    let v = vector("voucher 2");
    let (mut config, mut terms) = (v.parsed().config().clone(), v.terms());
    change(&mut config, &mut terms);
    let id = config.id(terms.domain());
    check_config(&config, id, &terms).err()
}

#[test]
fn each_part_of_a_channel_is_checked_and_named() {
    assert_eq!(channel(&|_, _| ()), None);
    assert_eq!(
        channel(&|c, _| c.receiver = Address::ZERO),
        Some(Refused::Receiver)
    );
    assert_eq!(
        channel(&|c, _| c.receiver_authorizer = c.receiver),
        Some(Refused::ReceiverAuthorizer)
    );
    let none = |c: &mut ChannelConfig, t: &mut Terms| {
        c.receiver_authorizer = Address::ZERO;
        t.receiver_authorizer = Address::ZERO;
    };
    assert_eq!(channel(&none), Some(Refused::ReceiverAuthorizer));
    assert_eq!(
        channel(&|c, _| c.token = Address::ZERO),
        Some(Refused::Token)
    );
    assert_eq!(
        channel(&|c, _| c.withdraw_delay += 1),
        Some(Refused::WithdrawDelay)
    );
    for delay in [0, 899, 2_592_001, (1 << 40) - 1] {
        let both = |c: &mut ChannelConfig, t: &mut Terms| {
            c.withdraw_delay = delay;
            t.withdraw_delay = delay;
        };
        assert_eq!(channel(&both), Some(Refused::WithdrawDelayRange), "{delay}");
    }
    let v = vector("voucher 2");
    let payload = v.parsed();
    for id in [B256::ZERO, B256::repeat_byte(0xff)] {
        let refused = check_config(payload.config(), id, &v.terms()).unwrap_err();
        assert_eq!(refused, Refused::ChannelIdMismatch);
    }
}

#[test]
fn no_part_of_what_is_signed_can_be_changed() {
    let File { now, payloads } = file();
    for v in payloads {
        let (payload, terms) = (v.parsed(), v.terms());
        let (config, voucher) = (payload.config(), payload.voucher());
        let judged = config.payer_authorizer.is_zero();
        let refused = |voucher: &Voucher, domain| match check_voucher(config, voucher, domain) {
            Err(Refused::VoucherSignature(_)) => true,
            Ok(Proof::ContractOnly { .. }) => judged,
            _ => false,
        };
        let mut other = voucher.clone();
        other.max_claimable = other.max_claimable.plus(units(1)).unwrap();
        assert!(refused(&other, terms.domain()));
        let mut other = voucher.clone();
        other.channel_id = B256::ZERO;
        assert!(refused(&other, terms.domain()));
        let elsewhere = Network::from_chain_id(5);
        let contract = addresses::BATCH_SETTLEMENT;
        assert!(refused(voucher, Domain::new(elsewhere, contract)));
        let network = terms.domain().network();
        assert!(refused(voucher, Domain::new(network, Address::ZERO)));
        let Some(deposit) = payload.deposit() else {
            continue;
        };
        let refused = |deposit: &Deposit, config: &ChannelConfig| {
            let proof = check_deposit_signature(config, deposit, &terms);
            check_deposit(config, deposit, &terms, now).is_err()
                || !matches!(proof, Ok(Proof::Payer))
        };
        let mut other = config.clone();
        other.salt.0[31] ^= 1;
        assert!(
            refused(deposit, &other),
            "a deposit is good for one channel"
        );
        let mut other = deposit.clone();
        other.amount = other.amount.plus(units(1)).unwrap();
        assert!(refused(&other, config));
        let mut other = deposit.clone();
        match &mut other.authorization {
            Authorization::Erc3009(a) => a.salt += U256::from(1),
            Authorization::Permit2(a) => a.nonce += U256::from(1),
        }
        assert!(refused(&other, config));
    }
}

fn deposit(label: &str, change: Change<'_, Deposit>, now: u64) -> Option<Refused> {
    let v = vector(label);
    let (payload, mut terms) = (v.parsed(), v.terms());
    let mut deposit = payload.deposit().unwrap().clone();
    change(&mut deposit, &mut terms);
    check_deposit(payload.config(), &deposit, &terms, now).err()
}

#[test]
fn each_part_of_a_deposit_is_checked_and_named() {
    let now = file().now;
    let (by_token, by_permit2) = ("deposit 0", "deposit 1");
    let expires = now + 300;
    for label in [by_token, by_permit2] {
        assert_eq!(deposit(label, &|_, _| (), expires - 6), None);
        let none = deposit(label, &|d, _| d.amount = Units::ZERO, now);
        assert_eq!(none, Some(Refused::DepositBelowMin));
    }
    let late = deposit(by_token, &|_, _| (), expires - 5);
    assert_eq!(late, Some(Refused::ValidBefore));
    let late = deposit(by_permit2, &|_, _| (), expires - 5);
    assert_eq!(late, Some(Refused::Permit2Deadline));
    let token = |change: &dyn Fn(&mut Erc3009)| {
        let change = |d: &mut Deposit, _: &mut Terms| match &mut d.authorization {
            Authorization::Erc3009(a) => change(a),
            Authorization::Permit2(_) => unreachable!(),
        };
        deposit(by_token, &change, now)
    };
    let soon = token(&|a| a.valid_after = U256::from(now + 1));
    assert_eq!(soon, Some(Refused::ValidAfter));
    let long = token(&|a| a.valid_before = U256::MAX);
    assert_eq!(long, Some(Refused::ValidBefore));
    let permit2 = |change: &dyn Fn(&mut Permit2)| {
        let change = |d: &mut Deposit, _: &mut Terms| match &mut d.authorization {
            Authorization::Permit2(a) => change(a),
            Authorization::Erc3009(_) => unreachable!(),
        };
        deposit(by_permit2, &change, now)
    };
    let from = permit2(&|a| a.from = a.spender).map(|refused| refused.reason());
    assert_eq!(
        from,
        Some("invalid_batch_settlement_evm_permit2_invalid_signature")
    );
    assert_eq!(
        permit2(&|a| a.spender = a.from),
        Some(Refused::Permit2Spender)
    );
    assert_eq!(permit2(&|a| a.token = a.from), Some(Refused::Token));
    assert_eq!(
        permit2(&|a| a.amount += U256::from(1)),
        Some(Refused::Permit2Amount)
    );
    assert_eq!(
        permit2(&|a| a.channel_id = B256::ZERO),
        Some(Refused::ChannelIdMismatch)
    );
    assert_eq!(
        permit2(&|a| a.deadline = U256::MAX),
        Some(Refused::Permit2Deadline)
    );
    let method = |label, method| deposit(label, &|_, t| t.method = method, now);
    assert_eq!(
        method(by_token, Method::Permit2),
        Some(Refused::Permit2Required)
    );
    assert_eq!(
        method(by_permit2, Method::Eip3009),
        Some(Refused::Erc3009Required)
    );
}

#[test]
fn a_permit_for_anything_but_the_deposit_is_refused() {
    let now = file().now;
    let v = vector("with a permit");
    let (payload, terms) = (v.parsed(), v.terms());
    let deposit = payload.deposit().unwrap();
    let check = |change: &dyn Fn(&mut eip2612::Signed)| {
        let mut permit = v.permit().unwrap();
        change(&mut permit);
        let refused = check_permit(payload.config(), deposit, &permit, &terms, now);
        refused.err().map(|refused| refused.reason())
    };
    assert_eq!(check(&|_| ()), None);
    assert_eq!(
        check(&|p| p.permit.amount += U256::from(1)),
        Some("invalid_batch_settlement_evm_eip2612_amount_mismatch")
    );
    assert_eq!(
        check(&|p| p.permit.from = Address::ZERO),
        Some("eip2612_from_mismatch")
    );
    assert_eq!(
        check(&|p| p.permit.nonce += U256::from(1)),
        Some("permit2_allowance_required")
    );
}

#[test]
fn a_contract_judges_vouchers_only_where_no_key_is_named() {
    let v = vector("voucher 5");
    let (payload, domain) = (v.parsed(), v.terms().domain());
    assert!(payload.config().payer_authorizer.is_zero());
    let mut voucher = payload.voucher().clone();
    voucher.signature = vec![7; 96];
    let digest = v.digest("Voucher");
    let proof = check_voucher(payload.config(), &voucher, domain);
    assert_eq!(proof, Ok(Proof::ContractOnly { digest }));
    let keyed = ChannelConfig {
        payer_authorizer: payload.config().payer,
        ..payload.config().clone()
    };
    let refused = check_voucher(&keyed, &voucher, domain).unwrap_err();
    assert_eq!(
        refused.reason(),
        "invalid_batch_settlement_evm_voucher_signature"
    );
    voucher.signature.extend([0x64, 0x92].repeat(16));
    for config in [payload.config(), &keyed] {
        let refused = check_voucher(config, &voucher, domain).unwrap_err();
        assert_eq!(refused, Refused::UndeployedWallet);
    }
}

fn changed(v: &Vector, pointer: &str, value: Value) -> Result<Payload, Refusal> {
    let mut payload = v.payload.clone();
    *payload.pointer_mut(pointer).unwrap() = value;
    parsed(&payload)
}

#[test]
fn numbers_are_read_as_the_published_servers_read_them() {
    let v = vector("deposit 0");
    let same = |pointer, value| assert_eq!(changed(&v, pointer, value), Ok(v.parsed()));
    same("/channelConfig/withdrawDelay", json!("2592000"));
    same("/voucher/maxClaimableAmount", json!(1));
    let salt = match &v.parsed().deposit().unwrap().authorization {
        Authorization::Erc3009(a) => a.salt.to_string(),
        Authorization::Permit2(_) => unreachable!(),
    };
    same(
        "/deposit/authorization/erc3009Authorization/salt",
        json!(salt),
    );
    let lower = v.payload["channelConfig"]["payer"].as_str().unwrap();
    same("/channelConfig/payer", json!(lower.to_lowercase()));
    // Signers that write 0 and 1 for the last byte are understood, and contracts get 27 and 28.
    let signature = v.payload["voucher"]["signature"].as_str().unwrap();
    let parity = u8::from_str_radix(&signature[130..], 16).unwrap() - 27;
    let short = format!("{}{parity:02x}", &signature[..130]);
    same("/voucher/signature", json!(short));
    let refund = vector("refund");
    let mut payload = refund.payload.clone();
    payload["amount"] = Value::Null;
    assert_eq!(parsed(&payload), Ok(refund.parsed()));
}

#[test]
fn what_is_not_of_its_form_is_refused_by_name() {
    let v = vector("deposit 0");
    let reason = |pointer, value| changed(&v, pointer, value).unwrap_err().reason();
    for kind in [json!("claim"), json!(null), json!(7)] {
        assert_eq!(
            reason("/type", kind),
            "invalid_batch_settlement_evm_payload_type"
        );
    }
    for id in [json!("0x12"), json!(null), json!("ff".repeat(33))] {
        assert_eq!(
            reason("/voucher/channelId", id),
            "invalid_batch_settlement_evm_channel_id_invalid"
        );
    }
    let too_much = U256::from(u128::MAX) + U256::from(1);
    for amount in [
        json!("-1"),
        json!("1.0"),
        json!(1.5),
        json!(-1),
        json!(""),
        json!("0x"),
        json!(" 1"),
        json!(too_much.to_string()),
        json!("9".repeat(79)),
        json!({}),
        json!(null),
    ] {
        for pointer in ["/voucher/maxClaimableAmount", "/deposit/amount"] {
            assert_eq!(
                reason(pointer, amount.clone()),
                "invalid_payload",
                "{amount}"
            );
        }
    }
    for delay in [json!(1u64 << 40), json!(-900), json!(900.5), json!("9e2")] {
        assert_eq!(
            reason("/channelConfig/withdrawDelay", delay),
            "invalid_payload"
        );
    }
    let long = format!("0x{}", "00".repeat(2049));
    for signature in [json!(long), json!("0xz"), json!("00")] {
        assert_eq!(reason("/voucher/signature", signature), "invalid_payload");
    }
    let one = v.payload["deposit"]["authorization"]["erc3009Authorization"].clone();
    for authorization in [
        json!({}),
        json!({ "erc3009Authorization": one, "permit2Authorization": one }),
    ] {
        assert_eq!(
            reason("/deposit/authorization", authorization),
            "invalid_batch_settlement_evm_payload_type"
        );
    }
    let refund = vector("refund of a part");
    for amount in [json!("0"), json!("-5"), json!("all"), json!(0.5)] {
        assert_eq!(
            changed(&refund, "/amount", amount).unwrap_err().reason(),
            "invalid_batch_settlement_evm_refund_amount_invalid"
        );
    }
    let text = v.payload.to_string().replacen("\"salt\":", "\"payer\":", 1);
    let twice = Object::parse(text.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(
        parse_payload(&twice).unwrap_err().reason(),
        "invalid_payload"
    );
}

#[test]
fn malleable_twins_of_vouchers_are_refused() {
    let v = vector("voucher 0");
    let signature = bytes(v.payload["voucher"]["signature"].as_str().unwrap());
    let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    let order = U256::from_str_radix(order, 16).unwrap();
    let s: B256 = (order - U256::from_be_slice(&signature[32..64])).into();
    let twin = [&signature[..32], s.as_slice(), &[55 - signature[64]]].concat();
    assert!(EcdsaSignature::from_bytes(&twin).is_err());
    let twin = format!("0x{}", hex::encode(twin));
    let payload = changed(&v, "/voucher/signature", json!(twin)).unwrap();
    let refused = check_voucher(payload.config(), payload.voucher(), v.terms().domain());
    assert!(matches!(refused, Err(Refused::VoucherSignature(_))));
}

#[test]
fn a_channel_is_bound_to_its_contract_and_chain() {
    let v = vector("voucher 0");
    let (config, domain) = (v.parsed().config().clone(), v.terms().domain());
    let contract = address!("0x0000000000000000000000000000000000000001");
    let elsewhere = Domain::new(domain.network(), contract);
    assert_ne!(config.id(domain), config.id(elsewhere));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_panics(text in "\\PC{0,200}", at in 0usize..400) {
        let limits = Limits::default();
        if let Ok(object) = Object::parse(text.as_bytes(), &limits) {
            prop_assert!(parse_payload(&object).is_err());
        }
        let mut payload = vector("with a permit").payload.to_string();
        if payload.is_char_boundary(at) {
            payload.insert_str(at, &text);
            if let Ok(object) = Object::parse(payload.as_bytes(), &limits) {
                let _ = parse_payload(&object);
            }
        }
    }
}
