use super::program::Program;
use crate::harness::{Answer, Stack, chat, until};
use alloy::primitives::U256;
use groat::protocol::receipt::verify;
use serde_json::{Value, json};

const SIWX: Program = Program::Node("siwx-fetch");

#[tokio::test]
async fn a_wallet_signs_in_by_the_published_package_and_sees_and_withdraws_its_credit() {
    let stack = Stack::usual().await;
    let owed = two_calls(&stack).await;
    stack.reconcile().await;

    let credits = SIWX.run(&stack, "m", &["credits"]).await.expect("credits");
    assert_eq!(credits["status"], 200, "{credits}");
    assert_eq!(
        credits["body"]["credits"][0]["available"],
        owed.to_string(),
        "credit is what was held less what was charged"
    );

    let replayed = get_credits(&stack, credits["sign_in"].as_str()).await;
    assert_eq!(
        replayed.status, 401,
        "a sign-in is good once: {}",
        replayed.body
    );
    assert_eq!(replayed.json()["error"]["code"], "invalid_siwx_nonce");

    let before = balance(&stack).await;
    let too_much = (owed + 1).to_string();
    let refused = SIWX
        .run(&stack, "m", &["withdraw", &too_much])
        .await
        .expect("an answer");
    assert_eq!(
        (&refused["status"], &refused["body"]["error"]["code"]),
        (&json!(400), &json!("insufficient_credit")),
        "{refused}"
    );
    let part = SIWX
        .run(&stack, "m", &["withdraw", "1"])
        .await
        .expect("a withdrawal");
    let rest = SIWX
        .run(&stack, "m", &["withdraw"])
        .await
        .expect("a withdrawal");
    for (withdrawal, amount) in [(part, 1), (rest, owed - 1)] {
        assert_eq!(withdrawal["status"], 202, "{withdrawal}");
        assert_eq!(
            withdrawal["body"]["amount"],
            amount.to_string(),
            "{withdrawal}"
        );
    }
    until("the withdrawals are on chain", || async {
        (balance(&stack).await == before + U256::from(owed)).then_some(())
    })
    .await;
    until("the ledger knows of it", || async {
        let report: Value = stack.report().await;
        (report["totals"][0]["withdrawn"] == json!(owed)).then_some(())
    })
    .await;
    let report = stack.reconcile().await;
    assert_eq!(report["withdrawals"], 2);
    assert_eq!(report["totals"][0]["available"], 0);
}

#[tokio::test]
async fn nobody_sees_credit_without_a_sign_in_of_that_wallet() {
    let stack = Stack::usual().await;
    two_calls(&stack).await;
    let asked = get_credits(&stack, None).await;
    assert_eq!(asked.status, 402, "the published package signs in on a 402");
    let nonsense = get_credits(&stack, Some("e30=")).await;
    assert_eq!(
        (
            nonsense.status.as_u16(),
            nonsense.json()["error"]["code"].clone()
        ),
        (401, json!("invalid_siwx_header"))
    );

    let mut stranger = stack;
    stranger.chain.payer_key = alloy::signers::local::PrivateKeySigner::random();
    let credits = SIWX
        .run(&stranger, "m", &["credits"])
        .await
        .expect("an answer");
    assert_eq!(
        (&credits["status"], &credits["body"]["credits"]),
        (&json!(200), &json!([])),
        "{credits}"
    );
}

/// Pays two calls, and says what their receipts owe back, in atomic units.
async fn two_calls(stack: &Stack) -> u128 {
    let mut owed = 0;
    for prompt in ["What is a groat?", "What is a penny?"] {
        let answer = stack.payer.pay(&chat("m", prompt, false)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let receipt = verify(&answer.receipt().to_string())
            .expect("a receipt that holds")
            .receipt
            .body;
        owed += receipt.held.atomic() - receipt.charged.atomic();
    }
    assert!(owed > 1, "there is credit to split");
    owed
}

async fn get_credits(stack: &Stack, sign_in: Option<&str>) -> Answer {
    let request = stack
        .payer
        .client
        .get(format!("{}/v1/credits", stack.payer.url));
    let request = match sign_in {
        Some(header) => request.header("sign-in-with-x", header),
        None => request,
    };
    Answer::of(request).await.expect("an answer")
}

async fn balance(stack: &Stack) -> U256 {
    stack
        .chain
        .balance_of(stack.chain.asset, stack.chain.payer_key.address())
        .await
        .expect("a balance")
}
