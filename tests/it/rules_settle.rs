//! When money moves, and at which price.

use crate::faults::{holds, units};
use crate::harness::{Answer, Setup, Stack, chat, total, until};
use groat::protocol::x402::SettleResponse;

#[tokio::test]
async fn rule_1_in_every_mode_what_the_chain_moved_is_what_the_books_say() {
    for (settle, told) in [("before", true), ("on_first_byte", true), ("after", false)] {
        let payment: &'static str = match settle {
            "before" => "settle = \"before\"",
            "after" => "settle = \"after\"",
            _ => "settle = \"on_first_byte\"",
        };
        let stack = Stack::with(Setup {
            payment,
            ..Setup::default()
        })
        .await;
        let payer = stack.payer.key.address();
        let funds = stack.balance(payer).await;
        let mut charged = 0;
        for stream in [false, true] {
            let answer = stack.payer.pay(&chat("m", "hello", stream)).await;
            assert_eq!(answer.status, 200, "{settle}: {}", answer.body);
            let receipt = answer.receipt();
            holds(&receipt);
            charged += units(&receipt, "charged");
            let response = answer
                .header("payment-response")
                .map(|text| SettleResponse::from_header(text).expect("readable"));
            assert_eq!(response.is_some(), told, "{settle}: {:?}", answer.headers);
            if let Some(response) = response {
                assert!(response.success);
                assert_eq!(response.payer, Some(payer));
                assert_eq!(response.network, "eip155:84532");
                assert_eq!(
                    response.amount.map(|amount| amount.to_string()).as_deref(),
                    receipt["ceiling"].as_str()
                );
                assert_eq!(receipt["settlement"]["transaction"], response.transaction);
            }
            assert_eq!(
                receipt["settlement"]["status"],
                if told { "settled" } else { "pending" }
            );
            let settled = until("the receipt says it is settled", || async {
                let receipt = stack.receipt(&answer.call()).await;
                (receipt["settlement"]["status"] == "settled").then_some(receipt)
            })
            .await;
            holds(&settled);
            assert_eq!(
                units(&settled, "charged"),
                units(&receipt, "charged"),
                "{settle}: the bill stands"
            );
        }
        let report = stack.reconcile().await;
        let moved = funds - stack.balance(payer).await;
        assert_eq!(total(&report, "settled"), moved as i64, "{settle}");
        assert_eq!(total(&report, "captured"), charged as i64, "{settle}");
        assert_eq!(
            total(&report, "available"),
            (moved - charged) as i64,
            "{settle}: the change is credit"
        );
    }
}

/// Raises the prompt price in the configuration. The ceilings stay: cache writes are dearer still.
fn raise(stack: &Stack) {
    stack
        .gateway
        .rewrite_config(|text| text.replace("prompt = \"0.28\"", "prompt = \"0.50\""));
}

/// Raises the prompt price while the gateway runs.
async fn reprice(stack: &Stack) {
    raise(stack);
    stack.gateway.signal("HUP").await;
    let url = format!("{}/v1/models", stack.payer.url);
    until("the new price is told", || async {
        let models = Answer::of(stack.payer.client.get(&url)).await.ok()?.json();
        (models["data"][0]["pricing"]["prompt"] == "0.0000005").then_some(())
    })
    .await;
}

#[tokio::test]
async fn rule_9_an_offer_outlives_a_price_change_by_its_grace_and_is_billed_at_its_own_price() {
    let stack = Stack::usual().await;
    let body = chat("m", "hello", false);
    let payment = stack.payer.payment(&body).await;
    reprice(&stack).await;
    let old = stack.payer.send(&body, &payment).await.expect("an answer");
    assert_eq!(old.status, 200, "{}", old.body);
    let (old, new) = (old.receipt(), stack.payer.pay(&body).await.receipt());
    for (receipt, rate) in [(&old, "280000"), (&new, "500000")] {
        holds(receipt);
        assert_eq!(receipt["price_row"]["prompt"], rate, "{receipt}");
    }
    assert_ne!(old["price_row_sha256"], new["price_row_sha256"]);
    stack.reconcile().await;
}

#[tokio::test]
async fn an_offer_outlives_a_restart_at_other_prices() {
    let mut stack = Stack::usual().await;
    let body = chat("m", "hello", false);
    let payment = stack.payer.payment(&body).await;
    assert!(stack.gateway.terminate().await);
    raise(&stack);
    stack.gateway.start("").await;
    let old = stack.payer.send(&body, &payment).await.expect("an answer");
    assert_eq!(old.status, 200, "{}", old.body);
    assert_eq!(old.receipt()["price_row"]["prompt"], "280000");
    stack.reconcile().await;
}

#[tokio::test]
async fn an_offer_at_an_old_price_is_refused_after_its_grace() {
    let stack = Stack::with(Setup {
        payment: "quote_grace_seconds = 0\nmarkup_bps = 500",
        ..Setup::default()
    })
    .await;
    // Long enough for the prompt price to decide the ceiling.
    let body = chat("m", &"hello ".repeat(100), false);
    let payment = stack.payer.payment(&body).await;
    reprice(&stack).await;
    let refused = stack.payer.send(&body, &payment).await.expect("an answer");
    assert_eq!(refused.status, 402, "{}", refused.body);
    assert_eq!(refused.reason(), "No matching payment requirements");
    assert_eq!(stack.entries().await, 0, "nothing is held");
    assert_eq!(
        stack.payer.pay(&body).await.status,
        200,
        "the fresh offer is taken"
    );
}

#[tokio::test]
async fn a_bad_configuration_does_not_change_the_prices_of_a_running_gateway() {
    let stack = Stack::usual().await;
    stack
        .gateway
        .rewrite_config(|text| text.replace("prompt = \"0.28\"", "prompt = 0.28"));
    stack.gateway.signal("HUP").await;
    until("the mistake is logged", || async {
        stack
            .gateway
            .log()
            .contains("the old prices stay")
            .then_some(())
    })
    .await;
    let receipt = stack.payer.pay(&chat("m", "hello", false)).await.receipt();
    assert_eq!(receipt["price_row"]["prompt"], "280000");
}
