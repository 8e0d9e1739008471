//! llama.cpp's server with SmolLM2: a real KV cache, whose discount reaches the receipt.

use crate::harness::{Answer, Dev, descendants, gone, tool};
use groat::metering::Usage;
use groat::pricing::bill;
use groat::protocol::receipt::{ReceiptBody, UsageSource, verify};
use serde_json::{Value, json};

const MODEL: &str = "smollm2-135m-instruct";

/// About two hundred tokens: long enough to be worth caching, short enough for one busy core.
fn shared_prefix() -> String {
    "The groat was an English silver coin worth four pence. It was first struck under Edward the First, \
     and again under Edward the Third, when it stayed. "
        .repeat(6)
}

fn question(text: &str, stream: bool) -> String {
    let messages =
        json!([{"role": "system", "content": shared_prefix()}, {"role": "user", "content": text}]);
    let mut body =
        json!({"model": MODEL, "messages": messages, "max_tokens": 12, "temperature": 0});
    if stream {
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
    }
    body.to_string()
}

#[tokio::test]
async fn a_real_models_cache_hit_lowers_the_bill_by_exactly_the_cached_tokens() {
    tool("GROAT_LLAMA_SERVER", "--real-model");
    tool("GROAT_LLAMA_MODEL", "--real-model");
    let dev = Dev::start(&["--model", "llama"]).await;
    assert_eq!(dev.ready["models"], json!([MODEL]));
    let payer = dev.payer();

    let (cold, _) = billed(
        &payer
            .pay(&question("When was the groat first struck?", false))
            .await,
    );
    assert_eq!(
        cold.usage.cache_read, 0,
        "the first call finds nothing cached"
    );
    let whole = payer.pay(&question("What was a groat worth?", false)).await;
    let streamed = payer
        .pay(&question("Which Edward struck it again?", true))
        .await;
    for answer in [whole, streamed] {
        let (body, reported) = billed(&answer);
        let cached = reported["prompt_tokens_details"]["cached_tokens"]
            .as_u64()
            .expect("llama.cpp reports cached tokens");
        assert!(cached > 0, "the prefix was cached: {reported}");
        assert_eq!(body.usage.cache_read, cached);
        assert_eq!(
            body.usage.prompt_total(),
            reported["prompt_tokens"].as_u64()
        );
        discounted_by(&body, cached);
    }
    let report = dev.report().await;
    assert_eq!(
        (&report["calls"], &report["faults"]),
        (&json!(3), &json!([]))
    );
    let processes = descendants(dev.pid());
    assert!(
        processes.len() >= 2,
        "the chain and the model are processes of their own"
    );
    let (status, _) = dev.end_by("TERM").await;
    assert_eq!(status.code(), Some(0));
    gone(&processes).await;
}

/// bill(warm) = bill(the same tokens, none cached) − cached × (prompt rate − cache read rate), to the pUSD.
fn discounted_by(body: &ReceiptBody, cached: u64) {
    let usage = Usage {
        uncached: body.usage.uncached + cached,
        cache_read: 0,
        ..body.usage
    };
    let without = bill(&body.price_row, &usage, body.markup_bps)
        .expect("a bill")
        .total;
    let row = serde_json::to_value(&body.price_row).expect("a row");
    let rate = |name: &str| -> u128 {
        row[name]
            .as_str()
            .expect("a rate")
            .parse()
            .expect("pUSD a token")
    };
    let discount = u128::from(cached) * (rate("prompt") - rate("cache_read"));
    assert!(discount > 0);
    assert_eq!(body.total_pusd.pico(), without.pico() - discount);
    assert_eq!(body.cache_saving_pusd.pico(), discount);
    assert_eq!(body.list_pusd, without);
}

/// A paid answer's receipt, which holds, and the usage that the caller sees.
fn billed(answer: &Answer) -> (ReceiptBody, Value) {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body = verify(&answer.receipt().to_string())
        .expect("a receipt that holds")
        .receipt
        .body;
    assert_eq!(body.usage_source, UsageSource::Reported);
    let whole = serde_json::from_str(&answer.body).into_iter();
    let chunks = answer
        .events()
        .into_iter()
        .filter_map(|data| serde_json::from_str(&data).ok());
    let usages: Vec<Value> = whole
        .chain(chunks)
        .filter_map(|value: Value| value.get("usage").cloned())
        .collect();
    (
        body,
        usages.into_iter().rfind(Value::is_object).expect("usage"),
    )
}
