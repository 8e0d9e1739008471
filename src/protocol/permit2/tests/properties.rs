use super::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_changed_payload_is_refused_or_says_the_same(
        which in 0..20usize,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let file = file();
        let p = &file.payments[which];
        let mut text = p.payload.to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        let Ok(object) = Object::parse(&text, &Limits::default()) else {
            return Ok(());
        };
        let Ok(signed) = parse_payload(&object) else {
            return Ok(());
        };
        let taken = check_terms(&signed, &p.terms(), file.now).is_ok()
            && check_signature(&signed, &p.terms()) == Ok(Proof::Payer);
        prop_assert!(!taken || signed.authorization == p.signed().authorization);
    }

    #[test]
    fn no_payload_panics(members in prop::collection::vec("[\"{}:,\\[\\]0-9a-zA-Z]{0,40}", 0..6)) {
        let keys = ["permit2Authorization", "signature", "x"];
        let text: Vec<_> = keys.iter().zip(&members).map(|(k, v)| format!("\"{k}\":{v}")).collect();
        if let Ok(object) = Object::parse(format!("{{{}}}", text.join(",")).as_bytes(), &Limits::default()) {
            let _ = parse_payload(&object);
        }
    }

    #[test]
    fn no_revert_panics(data in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = Refused::of_revert(&data);
    }

    #[test]
    fn what_a_key_signs_for_any_terms_is_accepted(
        seed in any::<[u8; 32]>(),
        amount in any::<u128>(),
        addresses in any::<[[u8; 20]; 3]>(),
        upto in any::<bool>(),
        chain in any::<u64>(),
        nonce in any::<[u8; 32]>(),
    ) {
        prop_assume!(Key::from_bytes(&seed).is_ok());
        let key = Key::from_bytes(&seed).unwrap();
        let [asset, pay_to, facilitator] = addresses.map(Address::from);
        let terms = Terms {
            domain: Separator::of_permit2(Network::from_chain_id(chain), PERMIT2),
            asset,
            pay_to,
            amount: Units::from_atomic(amount),
            proxy: if upto { UPTO_PROXY } else { EXACT_PROXY },
            facilitator: upto.then_some(facilitator),
        };
        let authorization = terms.authorization(key.address(), U256::from_be_bytes(nonce), 1_000);
        let signed = parsed(&signed_payload(&key, &authorization, &terms)).unwrap();
        prop_assert_eq!(&signed.authorization, &authorization);
        prop_assert_eq!(check_terms(&signed, &terms, 900), Ok(()));
        prop_assert_eq!(check_signature(&signed, &terms), Ok(Proof::Payer));
    }
}
