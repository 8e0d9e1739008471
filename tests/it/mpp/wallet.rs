use crate::harness::{Answer, Payer, Stack};
use alloy::primitives::{B256, U256};
use groat::metering::Route;
use groat::protocol::eip712::Separator;
use groat::protocol::eip3009::{Authorization, Terms, signed_payload};
use groat::protocol::mpp::evm::{self, Charge};
use groat::protocol::mpp::{Challenge, Credential, WWW_AUTHENTICATE};

/// Which of the derivations a nonce is made by.
pub(super) const PACKED: usize = 0;
pub(super) const ARRAY: usize = 1;

/// The challenges of an answer.
pub(crate) fn challenges(answer: &Answer) -> Vec<Challenge> {
    let lines = answer.headers.get_all(WWW_AUTHENTICATE).iter();
    let lines: Vec<&str> = lines.filter_map(|line| line.to_str().ok()).collect();
    Challenge::read_all(lines).unwrap_or_default()
}

/// The challenge of an unpaid request.
pub(super) async fn asked(payer: &Payer, body: &str) -> Challenge {
    let answer = Answer::of(payer.post(body)).await.expect("an answer");
    assert_eq!(answer.status, 402, "{}", answer.body);
    challenges(&answer).pop().expect("a challenge")
}

/// What answers a challenge, signed by the payer as the published clients do it.
pub(super) fn answering(payer: &Payer, challenge: Challenge, derivation: usize) -> Credential {
    let charge = Charge::from_request(&challenge.request).expect("a charge");
    let expires = challenge.expires.as_deref().expect("an end");
    let authorization = Authorization {
        from: payer.key.address(),
        to: charge.recipient,
        value: U256::from(charge.amount.atomic()),
        valid_after: U256::ZERO,
        valid_before: U256::from(evm::unix_seconds(expires).expect("a time")),
        nonce: evm::nonces(&challenge)[derivation],
    };
    signed(payer, challenge, &authorization)
}

/// The same with any authorization.
pub(super) fn signed(
    payer: &Payer,
    challenge: Challenge,
    authorization: &Authorization,
) -> Credential {
    let charge = Charge::from_request(&challenge.request).expect("a charge");
    let terms = Terms {
        network: charge.network,
        asset: charge.currency,
        pay_to: charge.recipient,
        amount: charge.amount,
        domain: Separator::of_token(charge.network, charge.currency, "USDC", "2"),
    };
    let payload = signed_payload(&payer.key, authorization, &terms);
    let signature = payload["signature"].as_str().expect("a signature");
    let signature: alloy::primitives::Bytes = signature.parse().expect("bytes");
    Credential {
        source: Some(evm::source(charge.network, payer.key.address())),
        payload: evm::payload_of(authorization, &signature).to_string(),
        challenge,
    }
}

/// A good credential for this body, as a header.
pub(super) async fn credential(payer: &Payer, body: &str) -> String {
    answering(payer, asked(payer, body).await, ARRAY)
        .to_header()
        .expect("a header")
}

/// Sends a body with a credential.
pub(super) async fn pay(payer: &Payer, body: &str, credential: &str) -> Answer {
    let request = payer.post(body).header("authorization", credential);
    Answer::of(request).await.expect("an answer")
}

/// The same on a route.
pub(super) async fn pay_on(payer: &Payer, route: Route, body: &str, credential: &str) -> Answer {
    let request = payer.post_to(route, body);
    let request = request.header("authorization", credential);
    Answer::of(request).await.expect("an answer")
}

/// Nothing was bought, and the provider saw nothing.
pub(super) async fn nothing_happened(stack: &Stack) {
    assert_eq!(stack.report().await["calls"], 0);
    assert_eq!(stack.seen().await.total, 0);
}

pub(super) fn nonce() -> B256 {
    B256::from(rand::random::<[u8; 32]>())
}
