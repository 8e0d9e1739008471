//! What published clients sent on a local Tempo, and what a published server answered.

use super::*;
use crate::protocol::mpp::session::{Account, Action, Session, Terms, Voucher};
use crate::protocol::mpp::tempo::{self, Means};
use alloy::primitives::{B256, U256, keccak256};
use alloy::sol_types::SolValue;

const CHARGES: [&str; 7] = [
    include_str!("../../../../tests/data/mpp/tempo/charge-fee-payer-mpp-rs.json"),
    include_str!("../../../../tests/data/mpp/tempo/charge-fee-payer-mppx.json"),
    include_str!("../../../../tests/data/mpp/tempo/charge-fee-payer-pympp.json"),
    include_str!("../../../../tests/data/mpp/tempo/charge-pull-mpp-rs.json"),
    include_str!("../../../../tests/data/mpp/tempo/charge-pull-mppx.json"),
    include_str!("../../../../tests/data/mpp/tempo/charge-pull-pympp.json"),
    include_str!("../../../../tests/data/mpp/tempo/charge-push-mppx.json"),
];
const SESSION: &str = include_str!("../../../../tests/data/mpp/tempo/session-mpp-rs.json");

/// One recording: what its server was configured with, and what went over the wire.
pub(super) struct Recording(Value);

impl Recording {
    pub(super) fn session() -> Self {
        Self(file(SESSION))
    }

    fn charges() -> impl Iterator<Item = Self> {
        CHARGES.into_iter().map(|text| Self(file(text)))
    }

    fn all() -> impl Iterator<Item = Self> {
        Self::charges().chain([Self::session()])
    }

    fn keys(&self) -> Keys {
        Keys::new(self.text("secret").as_bytes(), []).unwrap()
    }

    fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap()
    }

    pub(super) fn address(&self, key: &str) -> Address {
        self.text(key).parse().unwrap()
    }

    pub(super) fn network(&self) -> Network {
        Network::from_chain_id(self.0["chain_id"].as_u64().unwrap())
    }

    fn exchanges(&self) -> &[Value] {
        self.0["exchanges"].as_array().unwrap()
    }

    /// The credentials that were sent, with what else is known of their exchanges.
    pub(super) fn credentials(&self) -> impl Iterator<Item = (&Value, Credential)> {
        let read = |line| Credential::read(find([line]).unwrap().unwrap()).unwrap();
        self.exchanges().iter().filter_map(move |exchange| {
            let line = header(&exchange["sent"], "authorization")?;
            Some((exchange, read(line)))
        })
    }
}

/// A header of one side of an exchange.
fn header<'v>(message: &'v Value, name: &str) -> Option<&'v str> {
    let mut pairs = message["headers"].as_array().unwrap().iter();
    let found = pairs.find(|pair| pair[0].as_str().unwrap().eq_ignore_ascii_case(name))?;
    found[1].as_str()
}

/// Events as they stand in a body.
pub(super) fn events(body: &str) -> impl Iterator<Item = (&str, &str)> {
    body.split("\n\n").filter_map(|event| {
        let (name, data) = event.trim_start_matches('\n').split_once('\n')?;
        Some((name.strip_prefix("event: ")?, data.strip_prefix("data: ")?))
    })
}

#[test]
fn captured_challenges_are_read_printed_and_sealed_as_their_server_did() {
    let mut seen = 0;
    for recording in Recording::all() {
        for exchange in recording.exchanges() {
            let Some(line) = header(&exchange["answered"], "www-authenticate") else {
                continue;
            };
            let read = read_one(line).unwrap();
            assert_eq!(json!(read), exchange["challenge"]);
            assert_eq!(read_one(&read.to_header().unwrap()), Ok(read.clone()));
            assert!(recording.keys().sealed(&read));
            assert_eq!(recording.keys().id_of(&read), read.id);
            let meant = file(&request::decode(&read.request).unwrap());
            assert_eq!(request::encode(&meant), read.request, "canonical");
            assert_eq!(meant, exchange["request"]);
            if let Some(digest) = &read.digest {
                let body = exchange["sent"]["body"].as_str().unwrap();
                let hash: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(body).into();
                assert_eq!(body_digest(&hash), *digest);
                assert!(is_digest_of(digest, &hash));
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 11);
}

#[test]
fn captured_charges_are_read_with_their_transactions_and_payers() {
    let mut seen = Vec::new();
    for recording in Recording::charges() {
        for (exchange, credential) in recording.credentials() {
            let what = recording.text("client");
            assert_eq!(
                json!(credential.challenge),
                exchange["credential"]["challenge"]
            );
            assert!(recording.keys().sealed(&credential.challenge), "{what}");
            let asked = tempo::Charge::from_request(&credential.challenge.request).unwrap();
            let gas = exchange["request"]["methodDetails"]["feePayer"] == true;
            let expected = tempo::Charge {
                amount: exchange["request"]["amount"]
                    .as_str()
                    .unwrap()
                    .parse()
                    .unwrap(),
                currency: recording.address("asset"),
                recipient: recording.address("payee"),
                network: recording.network(),
                fee_payer: gas,
            };
            assert_eq!(asked, expected, "{what}");
            let again = tempo::Charge::from_request(&asked.to_request());
            assert_eq!(again.as_ref(), Some(&asked), "{what}");

            let payer = recording.address("payer");
            let named = tempo::named_payer(&credential, recording.network());
            assert_eq!(named, Some(payer), "{what}");
            assert_eq!(
                tempo::check_source(&credential, asked.network, payer),
                Ok(())
            );
            let stranger = tempo::check_source(&credential, asked.network, asked.recipient);
            assert_eq!(stranger, Err(Refused::Source), "{what}");

            let payload = &exchange["credential"]["payload"];
            let means = tempo::means(&credential).unwrap();
            match &means {
                Means::Pull(bytes) => {
                    let sent = payload["signature"].as_str().unwrap();
                    assert_eq!(format!("0x{}", hex::encode(bytes)), sent, "{what}");
                    assert_eq!(bytes[0], if gas { 0x78 } else { 0x76 }, "{what}");
                }
                Means::Push(hash) => {
                    assert_eq!(json!(hash), payload["hash"], "{what}");
                    assert_eq!(json!(hash), exchange["mined"]["hash"], "{what}");
                }
            }
            assert!(
                !format!("{means:?}").contains(&hex::encode(means.bytes())[..20])
                    || !matches!(means, Means::Pull(_))
            );
            // What the kit's server told of it is a receipt to us as well.
            let told = header(&exchange["answered"], "payment-receipt").unwrap();
            assert_eq!(Receipt::from_header(told).unwrap().method, tempo::METHOD);
            seen.push((exchange["step"].as_str().unwrap().to_owned(), gas));
        }
    }
    assert_eq!(seen.len(), CHARGES.len());
}

/// What the captured transaction opened: the call's words are the terms that the channel's id is made of.
fn opened(exchange: &Value, payer: Address) -> (Terms, U256) {
    let input = exchange["transaction"]["fields"][4][1][2].as_str().unwrap();
    let words = hex::decode(&input[10..]).unwrap();
    type Call = (Address, Address, U256, B256, Address);
    let (payee, token, deposit, salt, authorized_signer) = Call::abi_decode(&words).unwrap();
    let terms = Terms {
        payer,
        payee,
        token,
        salt,
        authorized_signer,
    };
    (terms, deposit)
}

#[test]
fn a_captured_session_is_read_from_its_opening_to_its_close() {
    let recording = Recording::session();
    let (network, payer) = (recording.network(), recording.address("payer"));
    let escrow = recording.address("escrow");
    let domain = session::domain(network, escrow);
    let mut channel = None;
    let mut paid = Vec::new();
    let mut steps = Vec::new();
    for (exchange, credential) in recording.credentials() {
        assert!(recording.keys().sealed(&credential.challenge));
        assert_eq!(tempo::named_payer(&credential, network), Some(payer));
        let payload = &exchange["credential"]["payload"];
        let action = session::action(&credential).unwrap();
        let voucher = match &action {
            Action::Open {
                transaction,
                voucher,
            } => {
                let (terms, deposit) = opened(exchange, payer);
                assert_eq!(
                    (terms.payee, terms.token),
                    (recording.address("payee"), recording.address("asset"))
                );
                assert_eq!(deposit, U256::from(900));
                assert_eq!(terms.id(network, escrow), voucher.channel);
                assert_eq!(terms.signer(), payer);
                channel = Some(voucher.channel);
                assert_eq!(transaction[0], 0x76);
                Some(voucher)
            }
            Action::TopUp {
                transaction,
                additional,
                ..
            } => {
                assert_eq!(*additional, Units::from_atomic(400));
                let hash = keccak256(transaction);
                assert_eq!(json!(hash), exchange["transaction"]["hash"]);
                None
            }
            Action::Voucher(voucher) | Action::Close(voucher) => Some(voucher),
        };
        assert_eq!(Some(action.channel()), channel);
        assert_eq!(json!(action.channel()), payload["channelId"]);
        if let Some(voucher) = voucher {
            assert_eq!(json!(voucher.cumulative), payload["cumulativeAmount"]);
            assert_eq!(voucher.signer(domain), Ok(payer));
            assert_ne!(voucher.signer(session::domain(network, payer)), Ok(payer));
            paid.push(voucher.cumulative.atomic());
        }
        steps.push(exchange["step"].as_str().unwrap());
    }
    assert_eq!(
        (steps.first(), steps.last()),
        (Some(&"open"), Some(&"close"))
    );
    assert!(steps.contains(&"topUp"));
    assert!(paid.is_sorted(), "{paid:?}");
    assert_eq!(paid.last(), Some(&1200));
}

#[test]
fn the_events_of_a_captured_stream_are_those_that_we_write() {
    let recording = Recording::session();
    let mut names = [0; 3];
    let mut deposit = Units::from_atomic(900);
    for exchange in recording.exchanges() {
        let body = exchange["answered"]["body"].as_str().unwrap();
        for (name, data) in events(body) {
            let captured = format!("event: {name}\ndata: {data}\n\n").into_bytes();
            let told = serde_json::from_str(data).unwrap_or(Value::Null);
            let units = |key: &str| -> Units { told[key].as_str().unwrap().parse().unwrap() };
            match name {
                "message" => {
                    names[0] += 1;
                    assert_eq!(session::message_event(data), captured);
                }
                "payment-need-voucher" => {
                    names[1] += 1;
                    deposit = units("deposit");
                    let account = Account {
                        channel: told["channelId"].as_str().unwrap().parse().unwrap(),
                        accepted: units("acceptedCumulative"),
                        spent: Units::ZERO,
                        deposit,
                    };
                    let ours = account.need_voucher(units("requiredCumulative"));
                    let ours = String::from_utf8(ours).unwrap();
                    let (_, ours) = events(&ours).next().unwrap();
                    assert_eq!(file(ours), told);
                }
                _ => {
                    names[2] += 1;
                    let account = Account {
                        channel: told["channelId"].as_str().unwrap().parse().unwrap(),
                        accepted: units("acceptedCumulative"),
                        spent: units("spent"),
                        deposit,
                    };
                    let ours = account.receipt(told["challengeId"].as_str().unwrap(), 0, None);
                    told_at_least(&json!(ours), &told);
                    let ours = String::from_utf8(session::receipt_event(&ours)).unwrap();
                    assert_eq!(events(&ours).next().unwrap().0, name);
                }
            }
        }
    }
    assert_eq!(names, [12, 9, 2]);
}

/// Our receipt has all that the captured one has, but for what only its server knows: its clock, and how
/// many ticks it counted.
fn told_at_least(ours: &Value, captured: &Value) {
    for (key, value) in captured.as_object().unwrap() {
        match key.as_str() {
            "timestamp" => assert!(ours[key].is_string()),
            "units" | "txHash" => {}
            _ => assert_eq!(&ours[key], value, "{key}"),
        }
    }
}

#[test]
fn receipts_of_a_captured_session_have_the_members_that_its_client_reads() {
    let recording = Recording::session();
    let mut seen = 0;
    for (exchange, credential) in recording.credentials() {
        let Some(told) = header(&exchange["answered"], "payment-receipt") else {
            continue;
        };
        let read = Receipt::from_header(told).unwrap();
        assert_eq!(json!(read), exchange["receipt"]);
        let units = |key: &str| -> Units { read.more[key].as_str().unwrap().parse().unwrap() };
        let account = Account {
            channel: read.reference.parse().unwrap(),
            accepted: units("acceptedCumulative"),
            spent: units("spent"),
            deposit: Units::from_atomic(1300),
        };
        let transaction = read.more.get("txHash").map(|hash| hash.as_str().unwrap());
        let ours = account.receipt(&credential.challenge.id, 1_795_812_620, transaction);
        told_at_least(&json!(ours), &exchange["receipt"]);
        assert_eq!(ours.more.get("txHash"), read.more.get("txHash"));
        let again = Receipt::from_header(&ours.to_header().unwrap());
        assert_eq!(again, Some(ours));
        seen += 1;
    }
    assert_eq!(seen, 12);
}

#[test]
fn what_a_captured_session_asked_for_is_what_we_ask_for_in_its_words() {
    let recording = Recording::session();
    let (_, credential) = recording.credentials().next().unwrap();
    let captured = file(&request::decode(&credential.challenge.request).unwrap());
    let ours = Session {
        amount: Units::from_atomic(100),
        suggested_deposit: Units::from_atomic(900),
        currency: recording.address("asset"),
        recipient: recording.address("payee"),
        network: recording.network(),
        escrow: recording.address("escrow"),
    };
    let request = ours.to_request();
    assert_eq!(Session::from_request(&request), Some(ours));
    let meant = file(&request::decode(&request).unwrap());
    let lower = |value: &Value| value.as_str().map(str::to_lowercase);
    for pointer in [
        "/amount",
        "/currency",
        "/recipient",
        "/methodDetails/escrowContract",
    ] {
        let (ours, theirs) = (meant.pointer(pointer), captured.pointer(pointer));
        assert_eq!(ours.map(lower), theirs.map(lower), "{pointer}");
    }
    assert_eq!(
        meant["methodDetails"]["chainId"],
        captured["methodDetails"]["chainId"]
    );
    assert_eq!(meant["methodDetails"]["sessionProtocol"], "v1");
}

#[test]
fn a_captured_voucher_is_nobody_elses_when_anything_of_it_changes() {
    let recording = Recording::session();
    let payer = recording.address("payer");
    let domain = session::domain(recording.network(), recording.address("escrow"));
    let vouchers = recording.credentials().filter_map(|(_, credential)| {
        match session::action(&credential).unwrap() {
            Action::Voucher(voucher) => Some(voucher),
            _ => None,
        }
    });
    for voucher in vouchers {
        let more = Units::from_atomic(voucher.cumulative.atomic() + 1);
        let other = [
            Voucher {
                cumulative: more,
                ..voucher.clone()
            },
            Voucher {
                channel: B256::ZERO,
                ..voucher.clone()
            },
        ];
        for other in other {
            assert_ne!(other.signer(domain), Ok(payer));
        }
        let elsewhere = session::domain(Network::from_chain_id(1), recording.address("escrow"));
        assert_ne!(voucher.signer(elsewhere), Ok(payer));
        let printed = format!("{voucher:?}");
        assert!(!printed.contains(&hex::encode(voucher.signature)));
    }
}
