//! Channels of `tempo/session`: what opens one, which vouchers count, and what is told by name.

use super::hand::{Channel, Hand, told, units};
use super::stack::Tempo;
use super::{refused, session_body, sessions};
use crate::harness::Answer;
use alloy::primitives::{Address, B256, U256};
use alloy::signers::local::PrivateKeySigner;
use futures::future::join_all;
use groat::protocol::mpp::WWW_AUTHENTICATE;
use groat::protocol::mpp::session::Session;
use serde_json::json;

const DEPOSIT: u64 = 100_000;

fn bill(answer: &Answer) -> u64 {
    units(&answer.receipt()["charged"])
}

async fn escrowed(tempo: &Tempo) -> U256 {
    let held = tempo.chain.balance_of(tempo.chain.escrow).await;
    held.expect("a balance")
}

#[tokio::test]
async fn an_opening_of_something_else_is_refused_by_name_and_not_sent() {
    let tempo = sessions("", &[]).await;
    let hand = Hand::of(&tempo);
    let body = session_body("hello");
    let challenge = hand.asked("session", &body).await;
    let session = Session::from_request(&challenge.request).expect("a session");
    let stranger = Address::repeat_byte(0x51);
    let channel = |terms: groat::protocol::mpp::session::Terms| Channel {
        id: terms.id(session.network, session.escrow),
        session: session.clone(),
        key: hand.key.clone(),
    };
    let ask = async |what: &str, credential: String, problem: &str| {
        let answer = hand.send(&body, &credential).await;
        refused(&answer, 402, problem, what);
        assert!(answer.header(WWW_AUTHENTICATE).is_some(), "{what}");
    };
    let verification = "verification-failed";

    let (terms, sent) = hand
        .opening_for(&session, DEPOSIT, |call| call.payee = stranger)
        .await;
    let credential = hand.open(challenge.clone(), &channel(terms), &sent);
    ask("for somebody else", credential, verification).await;
    let (terms, sent) = hand
        .opening_for(&session, DEPOSIT, |call| call.token = stranger)
        .await;
    let credential = hand.open(challenge.clone(), &channel(terms), &sent);
    ask("in another token", credential, verification).await;
    let (terms, sent) = hand.opening_for(&session, 5, |_| {}).await;
    let credential = hand.open(challenge.clone(), &channel(terms), &sent);
    ask(
        "with too little",
        credential,
        "session/amount-exceeds-deposit",
    )
    .await;
    let (terms, _) = hand.opening_for(&session, DEPOSIT, |_| {}).await;
    let (_, other) = hand.opening_for(&session, DEPOSIT, |_| {}).await;
    let credential = hand.open(challenge.clone(), &channel(terms), &other);
    ask("another channel", credential, verification).await;
    let (terms, sent) = hand.opening_for(&session, DEPOSIT, |_| {}).await;
    let mut others = channel(terms);
    others.key = PrivateKeySigner::random();
    let credential = hand.open(challenge.clone(), &others, &sent);
    ask("a voucher of another key", credential, verification).await;
    let (opened, sent) = hand.opening(&session, DEPOSIT).await;
    let mut dear = opened.voucher("open", DEPOSIT + 1);
    dear["type"] = json!("transaction");
    dear["transaction"] = json!(sent);
    let credential = hand.credential(challenge.clone(), &dear);
    ask(
        "a voucher above it",
        credential,
        "session/amount-exceeds-deposit",
    )
    .await;
    let mut transaction = hand.transaction(Vec::new()).await;
    transaction.calls = vec![super::hand::to(session.escrow, vec![1, 2, 3, 4])];
    let credential = hand.open(challenge.clone(), &opened, &hand.signed(transaction));
    ask("no opening", credential, verification).await;
    let poor = hand.stranger();
    let gift = tempo.chain.give(poor.key.address(), U256::from(1)).await;
    gift.expect("a gift");
    let (mut channel, sent) = poor.opening(&session, DEPOSIT).await;
    channel.key = poor.key.clone();
    let credential = poor.open(challenge, &channel, &sent);
    ask("without the money", credential, "payment-insufficient").await;

    assert_eq!(escrowed(&tempo).await, U256::ZERO, "nothing was sent");
    assert_eq!(tempo.seen().await.total, 0);
    assert_eq!(tempo.reconcile().await["calls"], 0);
}

#[tokio::test]
async fn copies_of_an_opening_open_once_and_make_one_call() {
    let tempo = sessions("", &[]).await;
    let hand = Hand::of(&tempo);
    let body = session_body("hello");
    let (channel, sent, credential) = hand.to_open(&body, DEPOSIT).await;
    let copies = (0..16).map(|_| hand.streamed(&channel, &body, &credential));
    let answers = join_all(copies).await;
    for answer in &answers {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.call(), answers[0].call());
        assert_eq!(answer.body, answers[0].body);
    }
    // The same opening for another request is a voucher on a channel that is there.
    let other = session_body("hello again");
    let challenge = hand.asked("session", &other).await;
    let again = hand.open(challenge, &channel, &sent);
    let answer = hand.streamed(&channel, &other, &again).await;
    assert_eq!(
        answer.status, 402,
        "what was spent is signed for first: {answer:?}"
    );
    assert_eq!(escrowed(&tempo).await, U256::from(DEPOSIT));
    assert_eq!(tempo.seen().await.total, 1);
    assert_eq!(tempo.reconcile().await["calls"], 1);
}

#[tokio::test]
async fn vouchers_that_do_not_count_are_refused_by_name_and_cost_nothing() {
    let tempo = sessions("", &[]).await;
    let hand = Hand::of(&tempo);
    let (channel, first) = hand.opened(&session_body("one"), DEPOSIT).await;
    let spent = units(&told(&first)["spent"]);
    assert_eq!(spent, bill(&first));
    let (two, three) = (session_body("two"), session_body("three"));

    let mut forged = channel.clone();
    forged.key = PrivateKeySigner::random();
    let answer = hand.call(&forged, &two, spent + 1).await;
    refused(&answer, 402, "verification-failed", "another key");
    let answer = hand.call(&channel, &two, DEPOSIT + 1).await;
    refused(
        &answer,
        402,
        "session/amount-exceeds-deposit",
        "above the deposit",
    );
    for below in [1, spent] {
        let answer = hand.call(&channel, &two, below).await;
        refused(
            &answer,
            402,
            "session/insufficient-balance",
            "below what was spent",
        );
        let said = answer.json();
        assert_eq!(units(&said["spent"]), spent, "{said}");
        assert_eq!(units(&said["requiredCumulative"]), spent + 1, "{said}");
        assert_eq!(said["channelId"], json!(channel.id), "{said}");
    }
    let mut unknown = channel.clone();
    unknown.id = B256::repeat_byte(9);
    let answer = hand.call(&unknown, &two, spent + 1).await;
    refused(&answer, 402, "session/channel-not-found", "another channel");
    let stranger = hand.stranger();
    let answer = stranger.call(&channel, &two, spent + 1).await;
    refused(&answer, 402, "verification-failed", "another source");

    // The same without a request.
    for (payload, status, problem) in [
        (
            forged.voucher("voucher", spent + 1),
            402,
            "verification-failed",
        ),
        (
            channel.voucher("voucher", DEPOSIT + 1),
            402,
            "session/amount-exceeds-deposit",
        ),
        (
            unknown.voucher("voucher", 5),
            410,
            "session/channel-not-found",
        ),
        (
            json!({ "action": "gift", "channelId": channel.id }),
            402,
            "invalid-payload",
        ),
    ] {
        let answer = hand.manage(&payload).await;
        refused(&answer, status, problem, &payload.to_string());
        // What can be mended can be sent anew for another challenge.
        let again = answer.header(WWW_AUTHENTICATE).is_some();
        assert_eq!(again, status == 402, "{answer:?}");
    }
    // A copy says nothing new.
    assert_eq!(
        hand.manage(&channel.voucher("voucher", spent)).await.status,
        200
    );

    // The credential of one request buys no other; the voucher itself may.
    let challenge = hand.asked("session", &two).await;
    let credential = hand.credential(challenge, &channel.voucher("voucher", spent + 1));
    let answer = hand.streamed(&channel, &three, &credential).await;
    refused(&answer, 402, "verification-failed", "another body");
    let second = hand.streamed(&channel, &two, &credential).await;
    assert_eq!(second.status, 200, "{second:?}");
    let again = hand.streamed(&channel, &two, &credential).await;
    assert_eq!((again.call(), &again.body), (second.call(), &second.body));
    let spent = spent + bill(&second);
    assert_eq!(units(&told(&second)["spent"]), spent);
    assert_eq!(tempo.seen().await.total, 2);

    let closed = hand.manage(&channel.voucher("close", spent)).await;
    assert_eq!(closed.status, 200, "{closed:?}");
    assert_eq!(tempo.reconcile().await["calls"], 2);
}

#[tokio::test]
async fn a_channel_is_filled_again_and_each_top_up_counts_once() {
    let tempo = sessions("", &[]).await;
    let hand = Hand::of(&tempo);
    // Enough for one call at a time, and no more.
    let body = session_body("one");
    let (_, _, credential) = hand.to_open(&body, 5).await;
    let answer = hand.send(&body, &credential).await;
    let detail = answer.json()["detail"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let ceiling: u64 = detail
        .split(|c: char| !c.is_ascii_digit())
        .find_map(|digits| digits.parse().ok())
        .unwrap_or_else(|| panic!("no ceiling in {detail:?}"));

    let (channel, first) = hand.opened(&body, ceiling).await;
    let spent = bill(&first);
    let answer = hand
        .call(&channel, &body.replace("one", "two"), spent + 1)
        .await;
    refused(
        &answer,
        402,
        "session/amount-exceeds-deposit",
        "it does not fit",
    );
    let said = answer.json();
    assert_eq!(units(&said["deposit"]), ceiling, "{said}");
    let stranger = hand.stranger();
    let adding = hand.adding(&channel, 3 * ceiling).await;
    let mut less = adding.clone();
    less["additionalDeposit"] = json!((3 * ceiling - 1).to_string());
    let wrong = hand.manage(&less).await;
    refused(
        &wrong,
        402,
        "verification-failed",
        "another amount than is said",
    );
    let gift = tempo
        .chain
        .give(stranger.key.address(), U256::from(4_000_000))
        .await;
    gift.expect("a gift");
    let theirs = stranger
        .manage(&stranger.adding(&channel, ceiling).await)
        .await;
    assert_eq!(
        theirs.status, 402,
        "who did not open it cannot fill it: {theirs:?}"
    );

    for _ in 0..2 {
        let added = hand.manage(&adding).await;
        assert_eq!(added.status, 200, "{added:?}");
        assert_eq!(units(&told(&added)["deposit"]), 4 * ceiling);
    }
    let second = hand
        .call(&channel, &body.replace("one", "two"), spent + 1)
        .await;
    assert_eq!(second.status, 200, "{second:?}");
    let spent = spent + bill(&second);
    let before = tempo
        .chain
        .balance_of(hand.key.address())
        .await
        .expect("one");
    let closed = hand.manage(&channel.voucher("close", spent)).await;
    assert_eq!(closed.status, 200, "{closed:?}");
    let after = tempo
        .chain
        .balance_of(hand.key.address())
        .await
        .expect("one");
    assert_eq!(after - before, U256::from(4 * ceiling - spent));
    let late = hand.adding(&channel, ceiling).await;
    let late = hand.manage(&late).await;
    refused(&late, 410, "session/channel-finalized", "it is closed");
    assert_eq!(tempo.reconcile().await["calls"], 2);
}

#[tokio::test]
async fn what_fails_before_its_first_byte_costs_nothing_and_its_unit_is_not_lost() {
    let tempo = sessions("", &[("broken", "sim/broken?fail_status=500")]).await;
    let hand = Hand::of(&tempo);
    let (channel, first) = hand.opened(&session_body("one"), DEPOSIT).await;
    let spent = bill(&first);
    let body = crate::harness::chat("broken", "two", true);
    let challenge = hand.asked("session", &body).await;
    let credential = hand.credential(challenge, &channel.voucher("voucher", spent + 1));
    let failed = hand.send(&body, &credential).await;
    assert_eq!(failed.status, 502, "{failed:?}");
    assert_eq!(failed.header("payment-receipt"), None);
    let second = hand.call(&channel, &session_body("three"), spent + 1).await;
    assert_eq!(second.status, 200, "{second:?}");
    assert_eq!(units(&told(&second)["spent"]), spent + bill(&second));
    let closed = hand
        .manage(&channel.voucher("close", spent + bill(&second)))
        .await;
    assert_eq!(units(&told(&closed)["spent"]), spent + bill(&second));
    assert_eq!(tempo.reconcile().await["calls"], 3);
}
