use super::*;
use crate::json::{Limits, Object};
use crate::metering::Route;
use crate::money::Pusd;

const TERMS: QuoteTerms = QuoteTerms {
    markup_bps: 500,
    output_cap: 1024,
    context_tokens: None,
    max_output_tokens: Some(4096),
    tokenizer: Tokenizer::Bytes,
};

fn shape(json: &str) -> RequestShape {
    RequestShape::read(
        Route::Chat,
        &Object::parse(json.as_bytes(), &Limits::default()).unwrap(),
    )
    .unwrap()
}

const BODY: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;

#[test]
fn a_quote_is_the_worst_case_computed_by_hand() {
    let quote = quote(&row(), &shape(BODY), &TERMS).unwrap();
    // 57 bytes, one message: 57 + 128 + 16 prompt tokens, below the tier at 1,000.
    assert_eq!(BODY.len(), 57);
    assert_eq!(quote.prompt_tokens_max, 201);
    assert_eq!(
        (quote.output_tokens_max, quote.impose_max_tokens),
        (1024, Some(1024))
    );
    // Prompt at the write price 350,000, output at the reasoning price 500,000, and the fee.
    let list: u128 = 201 * 350_000 + 1024 * 500_000 + 1_000_000_000;
    assert_eq!(quote.ceiling, Pusd::from_pico(list + list * 500 / 10_000));
}

#[test]
fn a_prompt_that_may_reach_a_tier_is_quoted_at_its_price() {
    let body = BODY.replace("hi", &"x".repeat(1000));
    let terms = QuoteTerms {
        markup_bps: 0,
        ..TERMS
    };
    let quote_at = |terms: &QuoteTerms| quote(&row(), &shape(&body), terms).unwrap();
    let tokens = 1055 + 128 + 16;
    let list = tokens * 560_000 + 1024 * 500_000 + 1_000_000_000;
    assert_eq!(quote_at(&terms).ceiling, Pusd::from_pico(list));
    // No longer prompt than the context window is ever answered.
    let short = QuoteTerms {
        context_tokens: Some(1000),
        ..terms
    };
    assert_eq!(quote_at(&short).prompt_tokens_max, 1000);
    let list = 1000 * 350_000 + 1024 * 500_000 + 1_000_000_000;
    assert_eq!(quote_at(&short).ceiling, Pusd::from_pico(list));
}

#[test]
fn the_callers_limit_is_used_for_every_choice_and_not_imposed() {
    let body = BODY.replace(
        "{\"model\"",
        "{\"max_tokens\":10,\"max_completion_tokens\":20,\"n\":3,\"model\"",
    );
    let quote = quote(&row(), &shape(&body), &TERMS).unwrap();
    assert_eq!(
        (quote.output_tokens_max, quote.impose_max_tokens),
        (60, None)
    );
}

#[test]
fn more_output_than_the_endpoint_gives_is_refused_by_the_limit() {
    let body = BODY.replace("{\"model\"", "{\"max_tokens\":4097,\"model\"");
    let refusal = quote(&row(), &shape(&body), &TERMS).unwrap_err();
    assert_eq!(
        refusal,
        QuoteRefusal::OutputAboveLimit {
            asked: 4097,
            limit: 4096
        }
    );
    assert!(refusal.to_string().contains("4096"));
    // The imposed cap is never above the endpoint's own limit.
    let small = QuoteTerms {
        max_output_tokens: Some(100),
        ..TERMS
    };
    assert_eq!(
        quote(&row(), &shape(BODY), &small)
            .unwrap()
            .impose_max_tokens,
        Some(100)
    );
}

#[test]
fn a_tokenizer_brings_the_quote_closer_but_tools_keep_their_allowance() {
    let words = "The quick brown fox jumps over the lazy dog. ".repeat(40);
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"{words}"}}],"tools":[{{"type":"function","function":{{"name":"f"}}}}]}}"#
    );
    let object = Object::parse(body.as_bytes(), &Limits::default()).unwrap();
    let mut shape = RequestShape::read(Route::Chat, &object).unwrap();
    let terms = QuoteTerms {
        tokenizer: Tokenizer::O200kBase,
        ..TERMS
    };
    let uncounted = quote(&row(), &shape, &terms).unwrap();
    shape.count_text(Tokenizer::O200kBase, &object);
    let counted = quote(&row(), &shape, &terms).unwrap();
    assert!(counted.prompt_tokens_max * 10 < uncounted.prompt_tokens_max * 7);
    assert!(counted.prompt_tokens_max > 400 + 128 + 16 + 640 + 32);
    // A count by one tokenizer is not used for an endpoint with another.
    let other = QuoteTerms {
        tokenizer: Tokenizer::Cl100kBase,
        ..TERMS
    };
    assert_eq!(quote(&row(), &shape, &other).unwrap(), uncounted);
}

#[test]
fn rule_11_a_missing_usage_is_estimated_never_zero_and_within_the_quote() {
    let quote = quote(&row(), &shape(BODY), &TERMS).unwrap();
    let usage = |prompt, delivered| {
        let usage = estimate_usage(prompt, delivered, &quote);
        (usage.uncached, usage.output)
    };
    assert_eq!(usage(57, 9), (15, 3));
    assert_eq!(usage(0, 0), (1, 0));
    assert_eq!(usage(u64::MAX, u64::MAX), (201, 1024));
}
