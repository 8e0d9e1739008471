use super::super::tokens::count_json_tokens;
use super::*;

#[test]
fn tokens_are_counted_as_openai_counts_them() {
    assert_eq!(count_tokens(Tokenizer::O200kBase, "hello world"), 2);
    assert_eq!(count_tokens(Tokenizer::Cl100kBase, "tiktoken is great!"), 6);
    assert_eq!(count_tokens(Tokenizer::Bytes, "é"), 2);
    // Marks of the chat format are plain text when a caller writes them.
    assert!(count_tokens(Tokenizer::O200kBase, "<|endoftext|>") > 1);
}

#[test]
fn hostile_text_is_counted_quickly_or_by_its_bytes() {
    let full = usize::try_from(TOKENIZED_BYTES_MAX).unwrap();
    for text in [
        " ".repeat(full - 1) + "x",
        "a".repeat(full),
        "\u{301}".repeat(full / 2),
    ] {
        for tokenizer in [Tokenizer::O200kBase, Tokenizer::Cl100kBase] {
            let tokens = count_tokens(tokenizer, &text);
            assert!(tokens > 0 && tokens < TOKENIZED_BYTES_MAX);
        }
    }
    assert_eq!(
        count_tokens(Tokenizer::O200kBase, &"a".repeat(full + 1)),
        TOKENIZED_BYTES_MAX + 1
    );
}

#[test]
fn json_text_is_counted_unescaped_and_nothing_is_hidden() {
    let count = |json: &str| count_json_tokens(Tokenizer::O200kBase, json);
    assert_eq!(count(r#""hello world""#), 2);
    assert_eq!(count(r#""\u0068ello \u0077orld""#), 2);
    assert_eq!(
        count(r#"{"hello":"a \" b"}"#),
        3 + 1 + 3 + count_tokens(Tokenizer::O200kBase, "a \" b") + 3
    );
    // A repeated key, a long number and a lone surrogate all count.
    assert!(count(r#"{"a":"x","a":"hello world"}"#) > count(r#"{"a":"hello world"}"#));
    assert_eq!(count(&"1".repeat(500)), 500);
    assert_eq!(count(r#""\ud800""#), 8);
    assert_eq!(count("\"unfinished"), 11);
}

#[test]
fn tokenizers_are_named_as_in_configuration() {
    for name in ["bytes", "o200k_base", "cl100k_base"] {
        let tokenizer: Tokenizer = name.parse().unwrap();
        assert_eq!(tokenizer.to_string(), name);
        assert_eq!(
            serde_json::to_string(&tokenizer).unwrap(),
            format!("\"{name}\"")
        );
    }
    assert!("gpt".parse::<Tokenizer>().is_err());
}
