use super::program::{AT_ONCE, PYTHON, Program};
use crate::harness::{Setup, Stack};
use futures::{StreamExt, stream};

/// A challenge above what these libraries pay by default ends in their own refusal: nothing is
/// signed. So the calls that they do pay are paid within limits that nobody raised.
#[tokio::test]
async fn clients_with_a_default_spend_limit_refuse_what_is_above_it() {
    let mut stack = Stack::with(Setup {
        payment: "ceiling_max_usd = \"100\"",
        ..Setup::default()
    })
    .await;
    stack.gateway.kill_9().await;
    stack
        .gateway
        .rewrite_config(|text| text.replace("completion = \"0.40\"", "completion = \"400000\""));
    stack.gateway.start("").await;

    let limited = [
        Program::Node("x402-fetch-v2"),
        Program::Node("x402-fetch-v1"),
        Program::Node("openai-sdk"),
    ];
    let programs = limited.into_iter().chain(PYTHON);
    let outcomes = stream::iter(programs).map(|program| {
        let stack = &stack;
        async move {
            (
                program,
                program
                    .run(stack, "m", &["whole", "What is a groat?"])
                    .await,
            )
        }
    });
    let outcomes: Vec<_> = outcomes.buffer_unordered(AT_ONCE).collect().await;
    for (program, outcome) in outcomes {
        let complaint = outcome
            .expect_err("a payment above the limit is refused")
            .to_lowercase();
        let of_the_limit = ["spendcontrols", "spend_controls", "maximum allowed"]
            .iter()
            .any(|words| complaint.contains(words));
        assert!(
            of_the_limit,
            "{program:?} failed for another reason: {complaint}"
        );
    }
    let report = stack.reconcile().await;
    assert_eq!(report["calls"], 0);
    assert_eq!(stack.seen().await.total, 0);
}
