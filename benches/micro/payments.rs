//! One payment for each rail, signed for what the gateway itself offers, as published clients echo it.

use alloy::primitives::{B256, U256};
use groat::money::Units;
use groat::protocol::channel::{self, ChannelConfig, Payload, WITHDRAW_DELAY_SECONDS_MIN};
use groat::protocol::signature::Key;
use groat::protocol::x402::{
    BATCH_SETTLEMENT, EXACT, PAYMENT_SIGNATURE, PaymentPayload, PaymentRequired, Requirements,
    X_PAYMENT, payment_header_v1,
};
use groat::protocol::{addresses, eip3009, permit2};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

/// The time at which every payment is signed and judged, in Unix seconds.
pub(crate) const NOW: u64 = 1_800_000_000;

const PAYER: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";

/// What a channel was charged before the call.
const CHARGED_BEFORE: Units = Units::from_atomic(1_234_567);

/// A payment's header, by the name of its rail in the cases.
pub(crate) fn payments(required: &PaymentRequired) -> Vec<(&'static str, HeaderMap)> {
    let key = Key::from_hex(PAYER).expect("a key");
    let offer = |scheme: &str, method: Option<&str>| {
        required
            .accepts
            .iter()
            .find(|offer| {
                offer.scheme == scheme && offer.extra_text("assetTransferMethod") == method
            })
            .expect("an offer of each rail")
    };
    let exact = offer(EXACT, None);
    let exact_permit2 = offer(EXACT, Some(permit2::METHOD));
    let upto = offer(permit2::UPTO, Some(permit2::METHOD));
    let channel = offer(BATCH_SETTLEMENT, None);
    let v2 = |offer: &Requirements, payload: Value| {
        let payment = PaymentPayload {
            x402_version: 2,
            resource: Some(required.resource.clone()),
            accepted: json!(offer),
            payload,
            extensions: required.extensions.clone(),
        };
        header(PAYMENT_SIGNATURE, payment.to_header().expect("a header"))
    };
    let by_eip3009 = by_eip3009(&key, exact);
    let v1 = payment_header_v1(exact.network, &by_eip3009).expect("a chain of version 1");
    vec![
        ("exact-v1", header(X_PAYMENT, v1.expect("a header"))),
        ("exact-v2", v2(exact, by_eip3009)),
        (
            "exact-permit2",
            v2(exact_permit2, by_permit2(&key, exact_permit2)),
        ),
        ("upto", v2(upto, by_permit2(&key, upto))),
        ("voucher", v2(channel, by_voucher(&key, channel))),
    ]
}

fn by_eip3009(key: &Key, offer: &Requirements) -> Value {
    let terms = eip3009::Terms::of(offer).expect("terms");
    let authorization = eip3009::Authorization {
        from: key.address(),
        to: terms.pay_to,
        value: U256::from(terms.amount.atomic()),
        valid_after: U256::ZERO,
        valid_before: U256::from(NOW + 300),
        nonce: B256::repeat_byte(0x5a),
    };
    eip3009::signed_payload(key, &authorization, &terms)
}

fn by_permit2(key: &Key, offer: &Requirements) -> Value {
    let terms = permit2::Terms::of(offer).expect("terms");
    let nonce = U256::from_be_bytes([0x5a; 32]);
    let authorization = terms.authorization(key.address(), nonce, NOW + 300);
    permit2::signed_payload(key, &authorization, &terms)
}

fn by_voucher(key: &Key, offer: &Requirements) -> Value {
    let domain = channel::Domain::new(offer.network, addresses::BATCH_SETTLEMENT);
    let authorizer = offer.extra_text("receiverAuthorizer").expect("it");
    let extra = offer.extra.as_ref().expect("its extra");
    let delay = extra["withdrawDelay"].as_u64();
    let config = ChannelConfig {
        payer: key.address(),
        payer_authorizer: key.address(),
        receiver: offer.pay_to,
        receiver_authorizer: authorizer.parse().expect("an address"),
        token: offer.asset,
        withdraw_delay: delay.unwrap_or(WITHDRAW_DELAY_SECONDS_MIN),
        salt: B256::ZERO,
    };
    let next = CHARGED_BEFORE.plus(offer.amount).expect("an amount");
    let voucher = channel::signed_voucher(key, config.id(domain), next, domain);
    Payload::Voucher { config, voucher }.to_json()
}

fn header(name: &'static str, value: String) -> HeaderMap {
    let value = HeaderValue::try_from(value).expect("a value");
    HeaderMap::from_iter([(HeaderName::from_static(name), value)])
}
