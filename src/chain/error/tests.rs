use super::*;
use crate::chain::bindings::IPermit2;

fn payload(json: &str) -> ErrorPayload {
    serde_json::from_str(json).expect("a JSON-RPC error object")
}

#[test]
fn a_revert_is_a_definite_no_and_keeps_the_contracts_reason() {
    let data = alloy::hex::encode(Revert::from("FiatToken: authorization is used").abi_encode());
    let json = format!(r#"{{"code":3,"message":"execution reverted","data":"0x{data}"}}"#);
    let error = refusal(&payload(&json));
    let ChainError::Reverted(reason) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(reason.message(), "FiatToken: authorization is used");
    assert!(!error.is_unknown());
}

#[test]
fn custom_errors_and_wordless_reverts_have_a_reason_too() {
    let reason = RevertReason::new("x", Bytes::from_static(&[0xde, 0xad, 0xbe, 0xef, 0x00]));
    assert_eq!(reason.message(), "custom error 0xdeadbeef");
    let named = Bytes::from(IPermit2::InvalidNonce {}.abi_encode());
    let reason = RevertReason::new("x", named);
    assert_eq!(reason.message(), "InvalidNonce");
    assert!(reason.is::<IPermit2::InvalidNonce>());
    assert!(!reason.is::<IPermit2::InvalidSigner>());
    let error = refusal(&payload(
        r#"{"code":-32000,"message":"execution reverted"}"#,
    ));
    assert!(!error.is_unknown());
}

#[test]
fn rate_limits_and_unknown_refusals_leave_the_question_open() {
    for json in [
        r#"{"code":-32005,"message":"rate limited"}"#,
        r#"{"code":-32601,"message":"method not found"}"#,
        r#"{"code":429,"message":"Too Many Requests"}"#,
    ] {
        assert!(refusal(&payload(json)).is_unknown(), "{json}");
    }
}

#[test]
fn a_nodes_words_are_one_bounded_line() {
    let long = format!("a\nb{}", "é".repeat(400));
    let short = shorten(&long);
    assert!(short.len() <= MESSAGE_BYTES_MAX);
    assert!(short.starts_with("a b"));
}
