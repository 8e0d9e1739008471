//! Time to the first token of a real model, asked directly and through Groat in turn: with its prompt in the
//! model's cache, and with all of it to be read.

use super::Outcome;
use super::arm::{Arm, Stretch};
use super::body::Body;
use super::child::{Program, answers, free_port};
use super::gateway::{PRICE, Spec};
use super::histogram::Durations;
use super::job::Pace;
use super::session::{complaint, tell};
use super::stage::Stage;
use groat::chain::dev::leashed;
use std::net::SocketAddr;
use std::path::Path;

const MODEL: &str = "smollm2-135m-instruct";

/// A prompt of several hundred tokens, where it is cached.
const CACHED_BYTES: usize = 3000;

/// One that is read in about a second.
const AFRESH_BYTES: usize = 600;

/// Tokens that are answered: the first is what counts.
const OUTPUT: u64 = 4;

/// What is asked with the prompt in the cache is asked so many times as often.
const CACHED_AS_OFTEN: usize = 4;

/// Microseconds to the first token.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tokens {
    pub(crate) cached: Both,
    pub(crate) afresh: Both,
}

/// The same prompt by both ways.
#[derive(Debug, Clone, Default)]
pub(crate) struct Both {
    pub(crate) direct: Durations,
    pub(crate) groat: Durations,
}

impl Both {
    /// Groat's median over the direct one.
    pub(crate) fn ratio(&self) -> Option<f64> {
        Some(self.groat.at(0.5)? / self.direct.at(0.5)?)
    }
}

/// Asks both in turn, so many times each; less often for a prompt that is to be read.
pub(crate) async fn first_tokens(
    stage: &Stage,
    (server, model): (&Path, &Path),
    turns: usize,
) -> Outcome<Tokens> {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let mut command = leashed(server);
    command
        .arg("--model")
        .arg(model)
        .args(["--host", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--alias", MODEL, "--ctx-size", "8192", "--no-ui"])
        // One slot, so that every call meets the same cache, and one thread, so that it does not wait
        // for itself.
        .args(["--parallel", "1", "--threads", "1"])
        .stderr(std::process::Stdio::null());
    let mut llama = Program::start(&mut command)?;
    answers(&mut llama, &format!("http://{address}/health")).await?;
    let spec = Spec {
        name: "model",
        settle: "after",
        together: false,
        upstream: format!("http://{address}/v1"),
        models: vec![MODEL.to_owned()],
        price: PRICE,
    };
    let gateway = stage.gateway(&spec).await?;
    let mut arms = [
        Arm::plain("direct", address, None),
        Arm::by_voucher("groat", stage, &gateway).await?,
    ];
    let cached = ask(stage, &mut arms, (true, turns)).await?;
    let afresh = ask(stage, &mut arms, (false, turns.div_ceil(CACHED_AS_OFTEN))).await?;
    gateway.stop().await;
    Ok(Tokens { cached, afresh })
}

async fn ask(
    stage: &Stage,
    [direct, groat]: &mut [Arm; 2],
    (cached, turns): (bool, usize),
) -> Outcome<Both> {
    let stretch = Stretch {
        body: Body {
            model: MODEL.to_owned(),
            bytes: if cached { CACHED_BYTES } else { AFRESH_BYTES },
            stream: true,
            output: OUTPUT,
            cached,
        },
        connections: 1,
        pace: Pace::Once,
        warm_up: 0.0,
        side_by_side: 1,
    };
    let mut both = Both::default();
    for turn in 0..=turns {
        for (arm, durations) in [
            (&mut *direct, &mut both.direct),
            (&mut *groat, &mut both.groat),
        ] {
            let tally = arm.run(stage, &stretch).await?;
            complaint(&tally)?;
            // The first turn warms the cache.
            if turn > 0 {
                durations.add(&tally.token);
            }
        }
    }
    tell(&format!(
        "first token of the real model, its prompt {}: direct p50 {:.1} ms, through Groat {:.1} ms",
        if cached { "cached" } else { "read anew" },
        both.direct.at(0.5).unwrap_or_default() / 1000.0,
        both.groat.at(0.5).unwrap_or_default() / 1000.0
    ));
    Ok(both)
}
