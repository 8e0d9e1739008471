use super::{credential, pay};
use crate::harness::{Stack, chat, total};
use futures::future::join_all;

const COPIES: usize = 256;

#[tokio::test]
async fn rule_2_copies_of_one_credential_of_mpp_make_one_call_and_one_charge() {
    let stack = Stack::usual().await;
    for stream in [false, true] {
        let body = chat("m", &format!("hello {stream}"), stream);
        let credential = credential(&stack.payer, &body).await;
        let sent = (0..COPIES).map(|_| pay(&stack.payer, &body, &credential));
        let answers = join_all(sent).await;
        let first = answers.first().expect("an answer");
        for answer in &answers {
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert_eq!(answer.body, first.body);
            assert_eq!(answer.call(), first.call());
        }
    }
    assert_eq!(stack.seen().await.total, 2);
    let report = stack.reconcile().await;
    assert_eq!(report["calls"], 2);
    assert!(total(&report, "captured") > 0);
}
