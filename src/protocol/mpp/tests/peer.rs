//! The published crate as the reference: whatever it is given, we make the same of it.

use super::captured::{Recording, events};
use super::*;
use crate::protocol::mpp::session::{self, Account, Session, Terms, Voucher, v2};
use crate::protocol::mpp::tempo;
use alloy::signers::local::PrivateKeySigner;
use futures::executor::block_on;
use mpp::protocol::intents::{ChargeRequest, SessionRequest};
use mpp::protocol::methods::tempo as theirs;
use mpp::protocol::methods::tempo::session::SessionCredentialPayload;
use mpp::protocol::methods::tempo::{SessionReceipt, TempoChargeExt as _, TempoSessionExt as _};
use mpp::server::sse::{NeedVoucherEvent, SseEvent, parse_event};

fn address() -> impl Strategy<Value = Address> {
    any::<[u8; 20]>().prop_map(Address::from)
}

fn word() -> impl Strategy<Value = B256> {
    any::<[u8; 32]>().prop_map(B256::from)
}

fn signer() -> impl Strategy<Value = (Key, PrivateKeySigner)> {
    let both = |bytes: [u8; 32]| {
        let ours = Key::from_bytes(&bytes).ok()?;
        Some((ours, PrivateKeySigner::from_slice(&bytes).ok()?))
    };
    any::<[u8; 32]>().prop_filter_map("no key", both)
}

/// A signature, or something of its making that is none of it.
fn forms(signature: [u8; 65]) -> Vec<Vec<u8>> {
    let mut compact = signature[..64].to_vec();
    compact[32] |= (signature[64] - 27) << 7;
    let mut wrong_parity = compact.clone();
    wrong_parity[32] ^= 0x80;
    let mut raw = signature;
    raw[64] -= 27;
    let mut flipped = signature;
    flipped[64] = 55 - flipped[64];
    let high = super::hostile::twin(&signature);
    let mut compact_high = high[..64].to_vec();
    compact_high[32] |= (high[64] - 27) << 7;
    vec![
        signature.to_vec(),
        compact,
        wrong_parity,
        raw.to_vec(),
        flipped.to_vec(),
        high.to_vec(),
        high[..64].to_vec(),
        compact_high,
        signature[..63].to_vec(),
        [&signature[..], &[0]].concat(),
        [&[0x01], &signature[..]].concat(),
        [&[0x03], &[9; 20][..], &signature].concat(),
        vec![0; 65],
        vec![0; 64],
        Vec::new(),
    ]
}

fn closing(channel: B256, cumulative: u128, signature: &[u8]) -> Credential {
    let payload = json!({
        "action": "voucher", "channelId": channel, "cumulativeAmount": cumulative.to_string(),
        "signature": format!("0x{}", hex::encode(signature)),
    });
    Credential {
        challenge: made(&Issuer::new("api.example.com", keys())),
        source: None,
        payload: payload.to_string(),
    }
}

proptest! {
    #[test]
    fn a_channels_id_is_the_crates(
        (payer, payee, token, authorized_signer, escrow) in (address(), address(), address(), address(), address()),
        salt in word(),
        chain in any::<u64>(),
    ) {
        let terms = Terms { payer, payee, token, salt, authorized_signer };
        let expected = theirs::compute_channel_id(payer, payee, token, salt, authorized_signer, escrow, chain);
        prop_assert_eq!(terms.id(Network::from_chain_id(chain), escrow), expected);
    }

    #[test]
    fn a_channels_id_of_version_2_is_the_crates(
        (payer, payee, operator, token, authorized_signer, escrow) in
            (address(), address(), address(), address(), address(), address()),
        (salt, expiring_nonce_hash) in (word(), word()),
        chain in any::<u64>(),
    ) {
        let descriptor = v2::Descriptor {
            payer, payee, operator, token, salt, authorized_signer, expiring_nonce_hash,
        };
        let expected = |escrow| theirs::precompile_voucher::compute_precompile_channel_id_with_escrow(
            payer, payee, operator, token, salt, authorized_signer, expiring_nonce_hash, escrow, chain,
        );
        let network = Network::from_chain_id(chain);
        prop_assert_eq!(descriptor.id(network, escrow), expected(escrow));
        let canonical = theirs::precompile_voucher::compute_precompile_channel_id(
            payer, payee, operator, token, salt, authorized_signer, expiring_nonce_hash, chain,
        );
        prop_assert_eq!(descriptor.id(network, v2::ESCROW), canonical);
    }

    #[test]
    fn a_voucher_is_signed_and_judged_as_by_the_crate(
        (ours, kit) in signer(),
        (channel, escrow) in (word(), address()),
        cumulative in any::<u128>(),
        chain in any::<u64>(),
    ) {
        let domain = session::domain(Network::from_chain_id(chain), escrow);
        let unsigned = Voucher { channel, cumulative: Units::from_atomic(cumulative), signature: [0; 65] };
        let made = ours.sign(unsigned.digest(domain)).to_bytes();
        let expected = block_on(theirs::sign_voucher(&kit, channel, cumulative, escrow, chain)).unwrap();
        prop_assert_eq!(made.as_slice(), expected.as_ref());
        for form in forms(made) {
            let taken = theirs::voucher::verify_voucher(escrow, chain, channel, cumulative, &form, ours.address());
            let read = session::action(&closing(channel, cumulative, &form));
            let by = read.ok().and_then(|action| action.pays()?.signer(domain).ok());
            prop_assert_eq!(by == Some(ours.address()), taken, "{}", hex::encode(&form));
        }
    }

    #[test]
    fn a_voucher_of_version_2_is_signed_and_judged_as_by_the_crate(
        (ours, kit) in signer(),
        (payee, operator, token) in (address(), address(), address()),
        (salt, expiring_nonce_hash) in (word(), word()),
        cumulative in 0..=v2::AMOUNT_MAX,
        chain in any::<u64>(),
    ) {
        let network = Network::from_chain_id(chain);
        let domain = v2::domain(network, v2::ESCROW);
        let descriptor = v2::Descriptor {
            payer: ours.address(), payee, operator, token, salt,
            authorized_signer: Address::ZERO, expiring_nonce_hash,
        };
        let channel = descriptor.id(network, v2::ESCROW);
        let unsigned = v2::Sum { channel, cumulative: Units::from_atomic(cumulative), signature: [0; 65] };
        let made = ours.sign(unsigned.voucher_digest(domain)).to_bytes();
        let expected = block_on(theirs::precompile_voucher::sign_precompile_voucher(&kit, channel, cumulative, chain));
        prop_assert_eq!(made.to_vec(), expected.unwrap().to_vec());
        let leave = ours.sign(unsigned.close_digest(domain)).to_bytes();
        let expected = block_on(theirs::precompile_voucher::sign_precompile_close_authorization_with_escrow(
            &kit, channel, cumulative, v2::ESCROW, chain,
        ));
        prop_assert_eq!(leave.to_vec(), expected.unwrap().to_vec());
        for form in forms(made) {
            let taken = theirs::precompile_voucher::verify_precompile_voucher_signature(
                &form, ours.address(), channel, cumulative, v2::ESCROW, chain,
            );
            let mut credential = closing(channel, cumulative, &form);
            let mut payload = file(&credential.payload);
            payload["descriptor"] = json!(descriptor);
            // The crate's client reads what ours is read from.
            let wire: SessionCredentialPayload = serde_json::from_value(payload.clone()).unwrap();
            let described = matches!(wire, SessionCredentialPayload::Voucher { descriptor: Some(_), .. });
            prop_assert!(described);
            credential.payload = payload.to_string();
            let by = match v2::payload(&credential, network, v2::ESCROW).map(|read| read.action) {
                Ok(v2::Action::Voucher(voucher)) => voucher.voucher_signer(domain).ok(),
                _ => None,
            };
            prop_assert_eq!(by == Some(ours.address()), taken.unwrap_or(false), "{}", hex::encode(&form));
        }
    }

    #[test]
    fn events_are_read_by_the_crate_as_they_are_meant(
        data in "[a-z \\r\\n:\"{}é]{0,60}",
        (channel, accepted, spent, deposit, required) in
            (word(), any::<u128>(), any::<u128>(), any::<u128>(), any::<u128>()),
        at in 0..4_000_000_000_u64,
        transaction in proptest::option::of(word()),
    ) {
        let read = |event: Vec<u8>| parse_event(&String::from_utf8(event).unwrap());
        let lines = data.replace("\r\n", "\n").replace('\r', "\n");
        // The crate ends an event by what follows it; so does every reader.
        let message = read(session::message_event(&data));
        prop_assert_eq!(message.map(|event| match event {
            SseEvent::Message(text) => text,
            other => panic!("{other:?}"),
        }), Some(lines));
        let units = Units::from_atomic;
        let account = Account { channel, accepted: units(accepted), spent: units(spent), deposit: units(deposit) };
        let need = NeedVoucherEvent {
            channel_id: channel.to_string(),
            required_cumulative: required.to_string(),
            accepted_cumulative: accepted.to_string(),
            deposit: deposit.to_string(),
        };
        prop_assert_eq!(read(account.need_voucher(units(required))), Some(SseEvent::PaymentNeedVoucher(need)));
        let transaction = transaction.map(|hash| hash.to_string());
        let receipt = account.receipt("challenge", at, transaction.as_deref());
        let Some(SseEvent::PaymentReceipt(told)) = read(session::receipt_event(&receipt)) else {
            panic!("no receipt");
        };
        let expected = SessionReceipt {
            tx_hash: transaction,
            ..SessionReceipt::new(
                receipt.timestamp.clone(), "challenge", channel.to_string(),
                accepted.to_string(), spent.to_string(),
            )
        };
        prop_assert_eq!(&told, &expected);
        prop_assert_eq!(SessionReceipt::from_header(&receipt.to_header().unwrap()).unwrap(), expected);
    }

    #[test]
    fn requests_are_read_by_the_crate_as_they_are_meant(
        (amount, suggested) in (1..u128::MAX, any::<u128>()),
        (currency, recipient, escrow) in (address(), address(), address()),
        chain in any::<u32>(),
        fee_payer in any::<bool>(),
    ) {
        let network = Network::from_chain_id(u64::from(chain));
        let amount = Units::from_atomic(amount);
        let charge = tempo::Charge { amount, currency, recipient, network, fee_payer };
        let read: ChargeRequest = serde_json::from_str(&request::decode(&charge.to_request()).unwrap()).unwrap();
        prop_assert_eq!(read.amount_u256().unwrap(), U256::from(amount.atomic()));
        prop_assert_eq!(read.currency_address().unwrap(), currency);
        prop_assert_eq!(read.recipient_address().unwrap(), recipient);
        prop_assert_eq!((read.chain_id(), read.fee_payer()), (Some(u64::from(chain)), fee_payer));
        let suggested_deposit = Units::from_atomic(suggested);
        let session = Session { amount, suggested_deposit, currency, recipient, network, escrow };
        let read: SessionRequest = serde_json::from_str(&request::decode(&session.to_request()).unwrap()).unwrap();
        prop_assert_eq!((read.amount.clone(), read.suggested_deposit.clone()), (amount.to_string(), Some(suggested.to_string())));
        let details = read.tempo_session_details().unwrap();
        prop_assert_eq!(details.escrow_contract, escrow.to_string());
        prop_assert_eq!((details.chain_id, details.session_protocol.as_deref()), (Some(u64::from(chain)), Some("v1")));
        prop_assert!(!read.is_tip1034_session());
    }
}

#[test]
fn the_crate_reads_captured_events_and_payloads_as_we_do() {
    let recording = Recording::session();
    let mut seen = 0;
    for (exchange, credential) in recording.credentials() {
        let wire: SessionCredentialPayload = serde_json::from_str(&credential.payload).unwrap();
        let action = session::action(&credential).unwrap();
        let (channel, amount) = match &wire {
            SessionCredentialPayload::Open {
                channel_id,
                cumulative_amount,
                ..
            }
            | SessionCredentialPayload::Voucher {
                channel_id,
                cumulative_amount,
                ..
            }
            | SessionCredentialPayload::Close {
                channel_id,
                cumulative_amount,
                ..
            } => (channel_id, cumulative_amount),
            SessionCredentialPayload::TopUp {
                channel_id,
                additional_deposit,
                ..
            } => (channel_id, additional_deposit),
        };
        assert_eq!(*channel, action.channel().to_string());
        let ours = match &action {
            session::Action::TopUp { additional, .. } => *additional,
            session::Action::Open { voucher, .. }
            | session::Action::Voucher(voucher)
            | session::Action::Close(voucher) => voucher.cumulative,
        };
        assert_eq!(*amount, ours.to_string());
        for (name, data) in events(exchange["answered"]["body"].as_str().unwrap()) {
            let read = parse_event(&format!("event: {name}\ndata: {data}\n\n")).unwrap();
            assert_eq!(matches!(read, SseEvent::Message(_)), name == "message");
            seen += 1;
        }
    }
    assert_eq!(seen, 23);
}
