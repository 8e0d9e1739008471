//! What operators and clients look at: models, health, metrics, errors.

use crate::harness::{Answer, Stack, chat};
use serde_json::json;

#[tokio::test]
async fn the_models_and_the_health_are_told() {
    let stack = Stack::usual().await;
    let get = |path: &str| Answer::of(stack.payer.client.get(format!("{}{path}", stack.payer.url)));
    let models = get("/v1/models").await.expect("an answer").json();
    assert_eq!(models["object"], "list");
    let model = &models["data"][0];
    assert_eq!(
        (&model["id"], &model["object"]),
        (&json!("m"), &json!("model"))
    );
    assert_eq!(model["pricing"]["prompt"], "0.00000028");
    assert_eq!(model["pricing"]["completion"], "0.0000004");
    assert_eq!(model["pricing"]["input_cache_read"], "0.000000028");
    let ready = get("/readyz").await.expect("an answer");
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json()["ready"], true);
    assert_eq!(get("/healthz").await.expect("an answer").body, "ok\n");
}

#[tokio::test]
async fn metrics_are_openmetrics_and_count_tokens_and_settlements() {
    let stack = Stack::usual().await;
    let receipt = stack.payer.pay(&chat("m", "hello", false)).await.receipt();
    let answer = Answer::of(
        stack
            .payer
            .client
            .get(format!("{}/metrics", stack.payer.url)),
    )
    .await
    .expect("an answer");
    assert!(
        answer
            .header("content-type")
            .unwrap_or_default()
            .starts_with("application/openmetrics-text")
    );
    let mut samples = std::collections::BTreeMap::new();
    let mut lines = answer.body.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(comment) = line.strip_prefix("# ") {
            let word = comment.split(' ').next().unwrap_or_default();
            assert!(["HELP", "TYPE", "UNIT", "EOF"].contains(&word), "{line}");
            assert_eq!(
                word == "EOF",
                lines.peek().is_none(),
                "EOF is the last line"
            );
            continue;
        }
        let (name, value) = line
            .rsplit_once(' ')
            .unwrap_or_else(|| panic!("no sample: {line}"));
        let value: f64 = value
            .parse()
            .unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(name.starts_with("groat_"), "{line}");
        assert!(
            samples.insert(name.to_owned(), value).is_none(),
            "twice: {line}"
        );
    }
    let count = |name: &str| {
        samples
            .get(name)
            .copied()
            .unwrap_or_else(|| panic!("no {name} in {}", answer.body))
    };
    let tokens = |class: &str| {
        count(&format!(
            "groat_tokens_total{{model=\"m\",class=\"{class}\"}}"
        ))
    };
    assert_eq!(
        Some(tokens("uncached")),
        receipt["usage"]["uncached"].as_f64()
    );
    assert_eq!(Some(tokens("output")), receipt["usage"]["output"].as_f64());
    assert_eq!(count("groat_settlements_total{outcome=\"confirmed\"}"), 1.0);
    assert_eq!(count("groat_challenges_total"), 1.0);
    assert_eq!(
        count("groat_charged_units_total").to_string(),
        receipt["charged"].as_str().unwrap_or_default()
    );
}

/// What an error looks like to OpenAI's clients, wherever it comes from.
#[tokio::test]
async fn errors_have_openais_shape_on_every_route() {
    let stack = Stack::usual().await;
    let client = &stack.payer.client;
    let at = |path: &str| format!("{}{path}", stack.payer.url);
    let answers = [
        (client.get(at("/nowhere")), 404, "not_found"),
        (
            client.put(at("/v1/chat/completions")),
            405,
            "method_not_allowed",
        ),
        (client.delete(at("/v1/models")), 405, "method_not_allowed"),
        (
            client.get(at("/v1/receipts/none")),
            404,
            "receipt_not_found",
        ),
        (client.get(at("/admin/ledger/verify")), 401, "admin_token"),
        (
            client.get(at("/admin/ledger/export")).bearer_auth("wrong"),
            401,
            "admin_token",
        ),
    ];
    for (request, status, code) in answers {
        let answer = Answer::of(request).await.expect("an answer");
        assert_eq!(answer.status, status, "{}", answer.body);
        assert_eq!(answer.code(), code);
        assert_eq!(answer.json()["error"]["param"], json!(null));
    }
}
