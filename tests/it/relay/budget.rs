use super::hops::{Hops, Near};
use crate::harness::{chat, until};
use serde_json::json;

/// Pays until the near gateway cannot any more; says how many calls were answered.
async fn spend(hops: &Hops) -> u32 {
    let mut answered = 0;
    loop {
        let answer = hops.payer.pay(&chat("near/m", "hello", false)).await;
        if answer.status != 200 {
            assert_eq!(answer.status, 503, "{}", answer.body);
            assert!(answer.header("payment-required").is_none(), "no challenge");
            assert!(
                answer.body.contains("Nothing was charged"),
                "{}",
                answer.body
            );
            assert!(!answer.body.contains("budget"), "{}", answer.body);
            return answered;
        }
        answered += 1;
        assert!(answered < 100, "the budget is never spent");
    }
}

#[tokio::test]
async fn a_spent_budget_is_503_and_charges_nothing_until_it_is_raised() {
    let near = Near {
        pay: "budget_usd = \"0.0002\"",
        ..Near::default()
    };
    let mut hops = Hops::of(crate::harness::Setup::default(), near).await;
    let answered = spend(&hops).await;
    assert!(answered > 0, "the budget is enough for a call");
    let report = hops.reconcile().await;
    assert_eq!(report["calls"], json!(answered + 1));
    let far = hops.far.reconcile().await;
    assert_eq!(
        far["calls"],
        json!(answered),
        "the far one was not called again"
    );
    let paid = hops.paid().await;
    assert!(paid <= 200, "{paid}");
    assert_eq!(hops.moved(100_000_000).await, paid);

    // A restart forgets nothing of it.
    assert!(hops.near.terminate().await);
    hops.near.start("").await;
    assert_eq!(hops.paid().await, paid);
    assert_eq!(spend(&hops).await, 0);

    // More is allowed without a restart.
    let raise = |text: String| text.replace("0.0002", "0.10");
    hops.near.rewrite_config(raise);
    hops.near.signal("HUP").await;
    until("the budget is raised", || async {
        let answer = hops.payer.pay(&chat("near/m", "hello", false)).await;
        (answer.status == 200).then_some(())
    })
    .await;
    hops.reconcile().await;
}

#[tokio::test]
async fn calls_made_at_once_do_not_spend_more_than_there_is() {
    let near = Near {
        pay: "budget_usd = \"0.0003\"",
        ..Near::default()
    };
    let hops = Hops::of(crate::harness::Setup::default(), near).await;
    let calls = (0..12).map(|n| {
        let payer = hops.payer.clone();
        async move {
            payer
                .pay(&chat("near/m", &format!("hello {n}"), false))
                .await
                .status
        }
    });
    let answered = futures::future::join_all(calls).await;
    let answered = answered.iter().filter(|status| **status == 200).count();
    hops.reconcile().await;
    assert_eq!(hops.far.reconcile().await["calls"], json!(answered));
    let paid = hops.paid().await;
    assert!(
        answered > 0 && answered < 12 && paid <= 300,
        "{answered}, {paid}"
    );
    assert_eq!(hops.moved(100_000_000).await, paid);
}

#[tokio::test]
async fn a_killed_gateway_counts_all_that_it_may_have_signed() {
    let mut hops = Hops::usual().await;
    let first = hops.payer.pay(&chat("near/m", "hello", false)).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let before = hops.paid().await;
    hops.near.kill_9().await;
    hops.near.start("").await;
    assert_eq!(hops.paid().await, before);
    hops.near.kill_9().await;
    // It dies with the answer in its hands: what was signed for stays paid.
    hops.near.start("first_byte=return").await;
    let body = chat("near/m", "hello again", false);
    let payment = hops.payer.payment(&body).await;
    assert!(hops.payer.send(&body, &payment).await.is_err(), "it dies");
    hops.near.wait().await;
    hops.near.start("").await;
    let after = hops.paid().await;
    assert!(after > before, "{after}");
    hops.reconcile().await;
    hops.far.reconcile().await;
    assert_eq!(hops.moved(100_000_000).await, after);
}

#[tokio::test]
async fn what_is_asked_for_above_the_quote_or_the_limit_is_not_signed() {
    for near in [
        // Cheaper than the far gateway: our payer was quoted less than that asks for.
        Near {
            price: r#"prompt = "0.01", completion = "0.01", cache_read = "0.01", cache_write_5m = "0.01", cache_write_1h = "0.01""#,
            ..Near::default()
        },
        Near {
            pay: "budget_usd = \"1.00\"\ncall_max_usd = \"0.000001\"",
            ..Near::default()
        },
    ] {
        let hops = Hops::of(crate::harness::Setup::default(), near).await;
        let answer = hops.payer.pay(&chat("near/m", "hello", false)).await;
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert_eq!(hops.paid().await, 0);
        assert_eq!(hops.far.report().await["calls"], 0);
        assert_eq!(hops.reconcile().await["calls"], 1);
        let refused = "groat_bought_calls_total{upstream=\"far\",outcome=\"too_dear\"}";
        assert!(hops.metric(refused).await > 0);
    }
}
