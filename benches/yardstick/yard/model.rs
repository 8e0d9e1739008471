//! Time to the first token of a real model, asked in turn directly, through Groat and through what no proxy can
//! go below: with its prompt in the model's cache, and with all of it to be read.

use super::Outcome;
use super::arm::{Arm, DIRECT, LIBRARIES, NGINX, Stretch, VOUCHER};
use super::body::Body;
use super::child::{Program, answers, free_port};
use super::gateway::{PRICE, Spec};
use super::histogram::Durations;
use super::job::Pace;
use super::nginx::Nginx;
use super::pass;
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
    /// By all ways.
    pub(crate) cached: Ways,
    /// Directly and through Groat.
    pub(crate) afresh: Ways,
}

/// The same prompt by each way, by the arm's name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ways(pub(crate) Vec<(String, Durations)>);

impl Ways {
    /// The median of one way.
    pub(crate) fn median(&self, arm: &str) -> Option<f64> {
        let (_, durations) = self.0.iter().find(|(name, _)| name == arm)?;
        durations.at(0.5)
    }

    /// One way's median over the direct one.
    pub(crate) fn over_direct(&self, arm: &str) -> Option<f64> {
        Some(self.median(arm)? / self.median(DIRECT)?)
    }
}

/// Asks by each in turn, so many times each; less often for a prompt that is to be read.
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
    let nginx = Nginx::start(stage.folder.path(), address, None).await?;
    let libraries = pass::start(&stage.place, address).await?;
    let mut arms = [
        Arm::plain(DIRECT, address, None),
        Arm::by_voucher(VOUCHER, stage, &gateway).await?,
        Arm::plain(NGINX, nginx.address, None),
        Arm::plain(LIBRARIES, libraries.address, None),
    ];
    let [direct, groat, ..] = &mut arms;
    let turns_afresh = turns.div_ceil(CACHED_AS_OFTEN);
    let afresh = ask(stage, &mut [direct, groat], (false, turns_afresh)).await?;
    let mut arms: Vec<&mut Arm> = arms.iter_mut().collect();
    let cached = ask(stage, &mut arms, (true, turns)).await?;
    gateway.stop().await;
    Ok(Tokens { cached, afresh })
}

async fn ask(
    stage: &Stage,
    arms: &mut [&mut Arm],
    (cached, turns): (bool, usize),
) -> Outcome<Ways> {
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
    let mut ways = Ways(
        arms.iter()
            .map(|arm| (arm.name.clone(), Durations::default()))
            .collect(),
    );
    for turn in 0..=turns {
        for (arm, (_, durations)) in arms.iter_mut().zip(&mut ways.0) {
            let tally = arm.run(stage, &stretch).await?;
            complaint(&tally)?;
            // The first turn warms the cache.
            if turn > 0 {
                durations.add(&tally.token);
            }
        }
    }
    let medians = ways.0.iter().map(|(name, durations)| {
        format!(
            "{name} {:.1} ms",
            durations.at(0.5).unwrap_or_default() / 1000.0
        )
    });
    tell(&format!(
        "first token of the real model, its prompt {}, p50: {}",
        if cached { "cached" } else { "read anew" },
        medians.collect::<Vec<_>>().join(", ")
    ));
    Ok(ways)
}
