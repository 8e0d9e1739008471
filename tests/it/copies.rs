//! Many copies of one credential at once.

use crate::harness::{Answer, Payer, Stack, chat, total};
use futures::future::join_all;

const COPIES: usize = 256;
const ROUNDS: usize = 100;

#[tokio::test]
async fn rule_2_copies_of_one_credential_make_one_upstream_call_and_one_charge() {
    let stack = Stack::usual().await;
    let mut charged = 0;
    for round in 0..ROUNDS {
        let body = chat("m", &format!("round {round:03}"), round % 2 == 1);
        let payment = stack.payer.payment(&body).await;
        // In every fourth round half of the copies come with another body of the same price.
        let other = body.replace("round", "Round");
        let bodies: Vec<&str> = (0..COPIES)
            .map(|copy| {
                if round % 4 == 3 && copy % 2 == 0 {
                    &*other
                } else {
                    &*body
                }
            })
            .collect();
        let answers = at_once(&stack.payer, &bodies, &payment).await;

        let paid = answers
            .iter()
            .position(|answer| answer.status == 200)
            .expect("one is answered");
        let (bought, first) = (bodies[paid], &answers[paid]);
        for (body, answer) in bodies.iter().zip(&answers) {
            if *body == bought {
                assert_eq!(answer.status, 200, "round {round}: {}", answer.body);
                assert_eq!(answer.body, first.body, "round {round}");
                assert_eq!(answer.call(), first.call(), "round {round}");
            } else {
                assert_eq!(answer.status, 409, "round {round}: {}", answer.body);
                assert_eq!(answer.code(), "payment_used_for_another_request");
            }
        }
        let charge = first.receipt()["charged"]
            .as_str()
            .and_then(|text| text.parse::<i64>().ok());
        charged += charge.expect("a charge");
    }
    assert_eq!(
        stack.seen().await.total,
        ROUNDS as u64,
        "one upstream call a round"
    );
    let report = stack.reconcile().await;
    assert_eq!(report["calls"], ROUNDS as u64, "one held call a round");
    assert_eq!(total(&report, "captured"), charged, "one charge a round");
}

async fn at_once(payer: &Payer, bodies: &[&str], payment: &str) -> Vec<Answer> {
    let sent = bodies.iter().map(|body| payer.send(body, payment));
    let answers = join_all(sent).await;
    answers
        .into_iter()
        .map(|answer| answer.expect("an answer"))
        .collect()
}
