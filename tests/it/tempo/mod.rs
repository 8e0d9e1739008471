//! The local Tempo, and what MPP takes on it.

mod again;
mod channels;
mod charge;
mod closing;
mod ground;
mod hand;
mod killed;
mod refused;
mod session;
mod stack;
mod streams;

use crate::harness::{Answer, chat};
use stack::{Setup, Tempo};

/// A gateway that takes sessions, with more lines of `[tempo]` and after it.
async fn sessions(more: &str, models: &[(&str, &str)]) -> Tempo {
    let escrow = groat::chain::dev::TEMPO_ESCROW;
    let more = format!("[tempo]\nescrow = \"{escrow}\"\n{more}");
    Tempo::of(Setup {
        rails: "\"tempo-session\"",
        more: &more,
        models,
        ..Setup::default()
    })
    .await
}

/// A streamed request.
fn session_body(prompt: &str) -> String {
    chat("m", prompt, true)
}

/// An answer of this status that names this problem, and asks for money anew only with a 402.
#[track_caller]
fn refused(answer: &Answer, status: u16, problem: &str, what: &str) {
    assert_eq!(answer.status, status, "{what}: {answer:?}");
    let said = answer.json();
    let kind = said["type"].as_str().unwrap_or_default();
    assert!(kind.ends_with(problem), "{what}: {answer:?}");
    if status != 402 {
        assert_eq!(answer.header("www-authenticate"), None, "{what}");
    }
}
