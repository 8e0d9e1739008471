//! The yardstick itself: that it loses and invents no call, and that what it computes is right. Not how
//! fast anything is.

mod figures;
mod parts;

use crate::yard::arm::{Arm, LIBRARIES, Stretch, UNPAID, VOUCHER};
use crate::yard::body::Body;
use crate::yard::books::books;
use crate::yard::gateway::{Gateway, Spec};
use crate::yard::job::{Pace, Tally};
use crate::yard::memory;
use crate::yard::pass;
use crate::yard::session::Session;
use crate::yard::settled::{MEASURE, Settling};
use crate::yard::stage::{Place, Stage};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Connections of a stretch here.
const CONNECTIONS: usize = 3;

async fn stage() -> Stage {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_groat"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let stage = Stage::set(Place::Here, binary, folder).await;
    stage.expect("a stage; run ./scripts/setup")
}

async fn gateway(stage: &Stage, streams: &Body, together: bool) -> Gateway {
    let spec = Spec {
        together,
        ..memory::spec(stage, "tried", &[streams])
    };
    stage.gateway(&spec).await.expect("a gateway")
}

async fn run(arm: &mut Arm, stage: &Stage, body: &Body, pace: Pace) -> Tally {
    let stretch = Stretch {
        body: body.clone(),
        connections: CONNECTIONS,
        pace,
        warm_up: 0.0,
        side_by_side: 1,
    };
    let tally = arm.run(stage, &stretch).await.expect("a stretch of load");
    assert_eq!(tally.complaint(), None, "{}", arm.name);
    assert_eq!(tally.sent, tally.answered, "{}", arm.name);
    tally
}

/// How many calls a gateway's ledger has.
async fn held(stage: &Stage, gateway: &Gateway) -> u64 {
    let url = format!("http://{}/admin/ledger/verify", gateway.address);
    let asked = stage.http.get(url).bearer_auth(&gateway.admin_token);
    let report: Value = asked
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("a report");
    assert_eq!(report["faults"], serde_json::json!([]), "{report}");
    report["calls"].as_u64().expect("a count")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_of_every_arm_is_answered_and_counted() {
    let stage = stage().await;
    let whole = Body::whole(1024);
    let streams = Body::stream(7, 1000);
    let gateway = gateway(&stage, &streams, false).await;

    let mut direct = Arm::plain("direct", stage.null.address, None);
    for body in [&whole, &streams] {
        let tally = run(&mut direct, &stage, body, Pace::Once).await;
        assert_eq!(tally.answered, CONNECTIONS as u64);
    }

    let passing = pass::start(&stage.place, stage.null.address).await;
    let mut alone = Arm::plain(LIBRARIES, passing.expect("a proxy").address, None);
    let tally = run(&mut alone, &stage, &whole, Pace::Once).await;
    assert_eq!(tally.answered, CONNECTIONS as u64);

    let mut unpaid = Arm::unpaid(UNPAID, &gateway);
    let open = Pace::Open {
        seconds: 0.2,
        rate: 100.0,
    };
    let tally = run(&mut unpaid, &stage, &whole, open).await;
    assert_eq!(tally.answered, 20, "each call that was due was made");
    assert_eq!(held(&stage, &gateway).await, 0, "an offer is no call");

    let mut voucher = Arm::by_voucher(VOUCHER, &stage, &gateway)
        .await
        .expect("an arm");
    let closed = Pace::Closed {
        seconds: 30.0,
        calls: 12,
    };
    let tally = run(&mut voucher, &stage, &whole, closed).await;
    assert!(tally.answered >= 12, "{tally:?}");
    assert_eq!(tally.last.count(), tally.in_time, "{tally:?}");
    // Each channel was opened by a call, and one more told what a call costs.
    let mut calls = CONNECTIONS as u64 + 1 + tally.answered;
    assert_eq!(held(&stage, &gateway).await, calls);

    let tally = run(&mut voucher, &stage, &streams, Pace::Once).await;
    calls += tally.answered;
    assert_eq!(held(&stage, &gateway).await, calls);
    assert_eq!(
        tally.open, CONNECTIONS as u64,
        "all streams were open at once"
    );
    assert_eq!(tally.token.count(), tally.answered);
    // Seven pieces of text, the end of the choice, the usage and the last word.
    assert_eq!(tally.gaps.count(), 9 * tally.answered);

    let books = books(&stage, &gateway).await.expect("books");
    assert_eq!((books.calls, books.channels), (calls, CONNECTIONS as u64));
    assert!(books.entries >= 2 * books.calls, "{books:?}");
    assert!((1..=3).contains(&books.claimed.transactions), "{books:?}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_settled_are_counted_once_the_payee_has_the_money() {
    let stage = stage().await;
    let streams = Body::stream(7, 1000);
    let gateway = gateway(&stage, &streams, true).await;
    let payee = gateway.pay_to;
    let mut session = Session::new(stage);
    session.arms.push(Arm::by_exact("exact", &gateway));
    session.arms.push(Arm::by_upto("upto", &gateway));
    session.arms.push(Arm::by_mpp("mpp", &gateway));
    let settling = Settling {
        rounds: 1,
        seconds: 30.0,
        calls: 5,
        connections: CONNECTIONS,
    };
    session.settled(settling).await;
    assert_eq!(session.not_run, []);
    let answered: Vec<u64> = session
        .lines
        .iter()
        .filter(|line| line.measure == MEASURE)
        .map(|line| line.tally.answered)
        .collect();
    // Charges are bound to a connection's body, so each connection has a few to spare.
    assert!(matches!(answered[..], [5, 5, 5..=18]), "{answered:?}");
    for line in &session.lines {
        assert!(
            (1..=line.tally.answered).contains(&line.mined.transactions),
            "{:?}",
            line.mined
        );
        assert!(line.mined.gas > 5 * 21_000, "{:?}", line.mined);
    }
    assert!(session.stage.balance(payee).await.expect("a balance") > 0);
    // Nine calls of each arm told what one of them moves, or more by charges.
    let calls = held(&session.stage, &gateway).await;
    let least = 3 * 9 + answered.iter().sum::<u64>();
    assert!((least..least + 40).contains(&calls), "{calls}");
    gateway.stop().await;
}
