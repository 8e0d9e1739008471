#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use super::*;
use crate::protocol::addresses::PERMIT2;
use crate::protocol::permit2::Authorization;
use proptest::prelude::*;

#[derive(Deserialize)]
struct File {
    now: u64,
    permits: Vec<Sponsored>,
}

/// A payment by a published client, with a permit.
#[derive(Deserialize)]
struct Sponsored {
    key: String,
    requirements: Requirements,
    payload: Value,
    extensions: Extensions,
    digest: B256,
}

impl Sponsored {
    fn token(&self) -> TokenDomain {
        TokenDomain::of(&self.requirements).unwrap()
    }

    fn signed(&self) -> Signed {
        extract(&self.extensions).unwrap().unwrap()
    }

    fn payment(&self) -> Authorization {
        serde_json::from_value(self.payload["permit2Authorization"].clone()).unwrap()
    }
}

fn file() -> File {
    let text = include_str!("../../../../tests/data/permit2/eip2612.json");
    serde_json::from_str(text).unwrap()
}

#[test]
fn what_the_published_clients_sign_is_accepted_and_signed_alike() {
    let file = file();
    assert!(file.permits.len() >= 10);
    for s in &file.permits {
        let (signed, payment) = (s.signed(), s.payment());
        let permitted = &payment.permitted;
        let held = check_terms(&signed.permit, payment.from, permitted, PERMIT2, file.now);
        assert_eq!(held, Ok(()));
        assert_eq!(digest(&signed.permit, &s.token()), s.digest);
        assert_eq!(check_signature(&signed, &s.token()), Ok(()));
        let key = Key::from_hex(&s.key).unwrap();
        assert_eq!(sign(&key, signed.permit, &s.token()), signed);
        assert_eq!(signed.info(), s.extensions[KEY]["info"]);
    }
}

#[test]
fn an_echo_keeps_what_was_advertised_and_carries_the_permit() {
    let signed = file().permits[0].signed();
    let echoed = echo_with_permit(&advert(), &signed);
    assert_eq!(
        echoed["info"]["description"],
        advert()["info"]["description"]
    );
    let echo = |value| Extensions::from([(KEY.to_owned(), value)]);
    assert_eq!(extract(&echo(echoed.clone())), Ok(Some(signed)));
    let checked = crate::protocol::x402::check_echo(&echo(advert()), &echo(echoed));
    assert_eq!(checked, Ok(()));
    assert_eq!(extract(&echo(advert())), Ok(None));
    assert_eq!(extract(&Extensions::new()), Ok(None));
}

#[test]
fn an_echo_of_the_permit_alone_is_an_echo_as_kits_before_2_27_write_it() {
    let signed = file().permits[0].signed();
    let echo = |value| Extensions::from([(KEY.to_owned(), value)]);
    let bare = json!({ "info": signed.info() });
    let checked = crate::protocol::x402::check_echo(&echo(advert()), &echo(bare.clone()));
    assert_eq!(checked, Ok(()));
    assert_eq!(extract(&echo(bare)), Ok(Some(signed)));
}

#[test]
fn every_tampered_member_changes_who_signed() {
    for s in file().permits {
        let with = |change: &dyn Fn(&mut Permit, &mut TokenDomain)| {
            let (mut signed, mut token) = (s.signed(), s.token());
            change(&mut signed.permit, &mut token);
            assert_eq!(check_signature(&signed, &token), Err(Refused::Signature));
        };
        let one = U256::from(1);
        with(&|p, _| p.from = Address::ZERO);
        with(&|p, _| p.spender = Address::ZERO);
        with(&|p, _| p.amount += one);
        with(&|p, _| p.nonce += one);
        with(&|p, _| p.deadline += one);
        with(&|_, t| t.network = Network::from_chain_id(t.network.chain_id() + 1));
        with(&|_, t| t.asset = Address::ZERO);
        with(&|_, t| t.name.push(' '));
        with(&|_, t| t.version.push('0'));
    }
}

#[test]
fn each_term_is_checked_and_named() {
    let file = file();
    let s = &file.permits[1];
    let payment = s.payment();
    let check = |change: &dyn Fn(&mut Permit), now| {
        let mut permit = s.signed().permit;
        change(&mut permit);
        let held = check_terms(&permit, payment.from, &payment.permitted, PERMIT2, now);
        held.err().map(|refused| refused.reason())
    };
    let named = |change: &dyn Fn(&mut Permit)| check(change, file.now);
    assert_eq!(named(&|p| p.from = PERMIT2), Some("eip2612_from_mismatch"));
    assert_eq!(
        named(&|p| p.asset = PERMIT2),
        Some("eip2612_asset_mismatch")
    );
    assert_eq!(
        named(&|p| p.spender = Address::ZERO),
        Some("eip2612_spender_not_permit2")
    );
    assert_eq!(
        named(&|p| p.amount = U256::MAX),
        Some("permit2_2612_amount_mismatch")
    );
    let deadline: u64 = s.signed().permit.deadline.to();
    assert_eq!(check(&|_| (), deadline - 6), None);
    for late in [deadline - 5, deadline, u64::MAX] {
        assert_eq!(check(&|_| (), late), Some("eip2612_deadline_expired"));
    }
    assert_eq!(named(&|p| p.deadline = U256::MAX), None);
}

#[test]
fn members_missing_or_not_of_their_form_are_refused() {
    let s = &file().permits[0];
    let good = s.extensions[KEY]["info"].clone();
    let with = |key: &str, value: Option<Value>| {
        let mut info = good.clone();
        let members = info.as_object_mut().unwrap();
        match value {
            Some(value) => members.insert(key.to_owned(), value),
            None => members.remove(key),
        };
        parse(&info).map(|signed| signed.permit)
    };
    for key in [
        "from",
        "asset",
        "spender",
        "amount",
        "nonce",
        "deadline",
        "signature",
        "version",
    ] {
        assert_eq!(with(key, None), Err(Refused::Format), "{key}");
        for bad in [
            json!(null),
            json!(1),
            json!(""),
            json!("0x"),
            json!("-1"),
            json!("1."),
        ] {
            let got = with(key, Some(bad.clone()));
            assert_eq!(got, Err(Refused::Format), "{key} {bad}");
        }
    }
    assert!(with("version", Some(json!("1.0.2"))).is_ok());
    let digits = good["signature"].as_str().unwrap();
    let order = U256::from_str_radix(
        "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
        16,
    );
    let s = U256::from_str_radix(&digits[66..130], 16).unwrap();
    let high = format!("{}{:064x}1b", &digits[..66], order.unwrap() - s);
    for bad in [
        &digits[..130],
        &format!("{digits}00"),
        &high,
        &digits.replace("0x", ""),
    ] {
        assert_eq!(
            with("signature", Some(json!(bad))),
            Err(Refused::Format),
            "{bad}"
        );
    }
}

proptest! {
    #[test]
    fn a_changed_permit_is_refused_or_says_the_same(
        which in 0..10usize,
        at in any::<prop::sample::Index>(),
        byte in 32..127u8,
    ) {
        let s = &file().permits[which];
        let mut text = s.extensions[KEY]["info"].to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        let Some(signed) = serde_json::from_slice(&text).ok().and_then(|info| parse(&info).ok()) else {
            return Ok(());
        };
        let of_token = signed.permit.asset == s.token().asset;
        let taken = of_token && check_signature(&signed, &s.token()).is_ok();
        prop_assert!(!taken || signed.permit == s.signed().permit);
    }
}
