//! Usage that is missing, absurd or odd, and what is billed for it.

use crate::faults::{flags, holds, units};
use crate::harness::{Setup, Stack, chat};

#[tokio::test]
async fn rule_11_unbelievable_usage_is_estimated_and_flagged_within_the_ceiling() {
    let models = vec![
        ("no-usage", "sim/no-usage"),
        ("negative", "sim/negative-usage"),
        ("absurd", "sim/absurd-usage"),
        ("contradictory", "sim/contradictory-usage"),
    ];
    let stack = Stack::with(Setup {
        models: models.clone(),
        ..Setup::default()
    })
    .await;
    for (model, _) in models {
        for stream in [false, true] {
            let body = chat(model, "hello", stream);
            let answer = stack.payer.pay(&body).await;
            assert_eq!(answer.status, 200, "{model}: {}", answer.body);
            let receipt = stack.receipt(&answer.call()).await;
            holds(&receipt);
            assert_eq!(
                receipt["usage_source"], "estimated",
                "{model} {stream}: {receipt}"
            );
            assert!(
                flags(&receipt)
                    .iter()
                    .any(|flag| flag.starts_with("usage_")),
                "{model}: {receipt}"
            );
            assert!(units(&receipt, "charged") > 0, "{model}: never zero");
            assert_eq!(
                receipt["usage"]["uncached"],
                (body.len() as u64).div_ceil(4),
                "{model}: the stated rule"
            );
        }
    }
    stack.reconcile().await;
}

#[tokio::test]
async fn usage_that_is_odd_but_sound_is_billed_as_reported() {
    let models = vec![
        ("every-chunk", "sim/usage-every-chunk"),
        ("reasoning", "sim/reasoning"),
    ];
    let stack = Stack::with(Setup {
        models: models.clone(),
        ..Setup::default()
    })
    .await;
    for (model, _) in models {
        let answer = stack.payer.pay(&chat(model, "hello", true)).await;
        let receipt = answer.receipt();
        holds(&receipt);
        assert_eq!(receipt["usage_source"], "reported", "{model}: {receipt}");
        let seen = stack.seen().await;
        let call = seen.calls.last().expect("a call");
        let usage = &receipt["usage"];
        let output = usage["output"]
            .as_u64()
            .zip(usage["reasoning"].as_u64())
            .map(|(a, b)| a + b);
        assert_eq!(output, Some(call.output_tokens), "{model}: {receipt}");
    }
    stack.reconcile().await;
}
