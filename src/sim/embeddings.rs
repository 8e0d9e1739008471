//! Embeddings: numbers that follow from the input alone.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::config::Behaviour;
use super::openai::json;
use super::prompt::Request;
use super::usage::Counts;

/// Numbers in one embedding.
const DIMENSIONS: u64 = 8;

/// The body of a list of embeddings.
pub(super) fn whole(
    request: &Request<'_>,
    behaviour: &Behaviour,
    hash: u64,
    counts: Counts,
) -> String {
    let prompt = counts.as_reported(behaviour).prompt;
    let item = |index: usize| {
        let numbers = numbers(hash.wrapping_add(index as u64));
        let embedding = match request.wants_base64() {
            true => {
                let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
                json(&STANDARD.encode(bytes))
            }
            false => {
                let texts: Vec<String> = numbers.iter().map(f32::to_string).collect();
                format!("[{}]", texts.join(","))
            }
        };
        format!(r#"{{"object":"embedding","index":{index},"embedding":{embedding}}}"#)
    };
    let items: Vec<String> = (0..request.inputs()).map(item).collect();
    let usage = match behaviour.no_usage {
        true => String::new(),
        false => format!(r#","usage":{{"prompt_tokens":{prompt},"total_tokens":{prompt}}}"#),
    };
    format!(
        r#"{{"object":"list","data":[{}],"model":{}{usage}}}"#,
        items.join(","),
        json(&request.model)
    )
}

fn numbers(hash: u64) -> Vec<f32> {
    let spread = |i| {
        hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(8 * i as u32)
    };
    (0..DIMENSIONS)
        .map(|i| f32::from((spread(i) & 0xff) as u8) / 256.0)
        .collect()
}
