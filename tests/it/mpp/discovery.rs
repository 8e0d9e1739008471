use crate::harness::{Answer, Setup, Stack};
use crate::routes::ALL;
use groat::metering::Route;

async fn get(stack: &Stack, path: &str) -> Answer {
    let url = format!("{}{path}", stack.payer.url);
    let answer = Answer::of(stack.payer.client.get(url)).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    answer
}

#[tokio::test]
async fn what_is_told_of_the_paid_routes_is_what_they_do() {
    let setup = Setup {
        upstream: ALL,
        ..Setup::default()
    };
    let stack = Stack::with(setup).await;
    let document = get(&stack, "/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["x-service-info"]["docs"]["llms"], "/llms.txt");
    let list = get(&stack, "/.well-known/x402").await.json();
    let text = get(&stack, "/llms.txt").await;
    assert!(
        text.header("content-type")
            .is_some_and(|kind| kind.starts_with("text/plain"))
    );
    for route in Route::ALL {
        let operation = &document["paths"][route.path()]["post"];
        let offers = operation["x-payment-info"]["offers"]
            .as_array()
            .expect("offers");
        let named = |offer: &serde_json::Value| {
            offer["method"] == "evm" && offer["intent"] == "charge" && offer["amount"].is_null()
        };
        assert!(offers.iter().any(named), "{route}");
        assert!(operation["responses"]["402"].is_object(), "{route}");
        // The example is a request that is asked to be paid for.
        let example = &operation["requestBody"]["content"]["application/json"]["example"];
        let required = stack.payer.challenge_to(route, &example.to_string()).await;
        assert!(required.accepts[0].amount.atomic() > 0, "{route}");
        let resource = format!("POST {}", route.path());
        let listed = list["resources"].as_array().expect("resources");
        assert!(listed.iter().any(|listed| *listed == resource), "{route}");
        assert!(text.body.contains(&resource), "{route}");
    }
}

#[tokio::test]
async fn routes_that_no_model_answers_on_are_not_told() {
    let stack = Stack::usual().await;
    let document = get(&stack, "/openapi.json").await.json();
    let list = get(&stack, "/.well-known/x402").await.json();
    let paid: Vec<&String> = document["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .filter(|(_, path)| path.get("post").is_some())
        .map(|(path, _)| path)
        .collect();
    let listed = list["resources"].as_array().expect("resources");
    assert_eq!(paid.len(), listed.len());
    for path in paid {
        assert!(
            listed
                .iter()
                .any(|listed| *listed == format!("POST {path}")),
            "{path}"
        );
    }
}
