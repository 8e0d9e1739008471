//! What a gateway keeps in memory: at rest, for each open stream, and after many calls. Each has a
//! gateway of its own, so that nothing else was there before.

use super::Outcome;
use super::arm::{Arm, Stretch};
use super::body::Body;
use super::gateway::Spec;
use super::job::Pace;
use super::process::used;
use super::session::{complaint, tell};
use super::stage::Stage;
use std::path::Path;
use std::time::{Duration, Instant};

/// Microseconds between the events of a stream.
const GAP_US: u64 = 1_000_000;

/// Streams that begin in a second, at least.
const BEGIN_A_SECOND: usize = 200;

/// Seconds that all of them stay open.
const STAY: usize = 10;

/// Connections that share a channel, as many as an offer has room for.
const SIDE_BY_SIDE: usize = 4;

/// Connections of the many calls.
const CONNECTIONS: usize = 64;

/// Calls of one stretch: what is signed ahead at once.
const STRETCH_CALLS: usize = 40_000;

/// Many streams at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Streams {
    pub(crate) wanted: usize,
    /// The most that were open at the same time.
    pub(crate) open: u64,
    pub(crate) rss_at_rest: u64,
    pub(crate) rss_before: u64,
    pub(crate) rss_open: u64,
}

impl Streams {
    /// Bytes for each stream.
    pub(crate) fn each(&self) -> f64 {
        self.rss_open.saturating_sub(self.rss_before) as f64 / self.open.max(1) as f64
    }
}

/// Many calls one after another.
#[derive(Debug, Clone)]
pub(crate) struct Soak {
    /// Calls made so far, memory then, and bytes on disk then.
    pub(crate) steps: Vec<(u64, u64, u64)>,
}

/// The gateway of a measure.
pub(crate) fn spec(stage: &Stage, name: &'static str, models: &[&Body]) -> Spec {
    let mut all = vec!["null".to_owned()];
    all.extend(models.iter().map(|body| body.model.clone()));
    Spec {
        name,
        settle: "after",
        together: false,
        upstream: stage.upstream(),
        models: all,
        price: super::gateway::PRICE,
    }
}

/// Opens streams, all at once, and looks at the memory when all of them have begun.
pub(crate) async fn streams(stage: &Stage, wanted: usize) -> Outcome<Streams> {
    let body = Body::stream(STAY + wanted / BEGIN_A_SECOND, GAP_US);
    let gateway = stage.gateway(&spec(stage, "streams", &[&body])).await?;
    let rss_at_rest = used(gateway.pid()).rss;
    let mut arm = Arm::by_voucher("streams", stage, &gateway).await?;
    let stretch = Stretch {
        body,
        connections: wanted,
        pace: Pace::Once,
        warm_up: 0.0,
        side_by_side: SIDE_BY_SIDE,
    };
    let tally = arm.run(stage, &stretch).await?;
    complaint(&tally)?;
    let server = "server";
    let streams = Streams {
        wanted,
        open: tally.open,
        rss_at_rest,
        rss_before: tally.rss_before.get(server).copied().unwrap_or_default(),
        rss_open: tally
            .used
            .get(server)
            .map(|used| used.rss)
            .unwrap_or_default(),
    };
    gateway.stop().await;
    tell(&format!(
        "streams: {} open at once, {:.1} KiB each",
        streams.open,
        streams.each() / 1024.0
    ));
    Ok(streams)
}

/// Makes so many calls, or as many as there is time for.
pub(crate) async fn soak(stage: &Stage, calls: u64, time: Duration) -> Outcome<Soak> {
    let spec = spec(stage, "soak", &[]);
    let gateway = stage.gateway(&spec).await?;
    let data = stage.folder.path().join(spec.name);
    let mut arm = Arm::by_voucher("soak", stage, &gateway).await?;
    let mut steps = vec![(0, used(gateway.pid()).rss, bytes(&data))];
    let (begun, mut made) = (Instant::now(), 0);
    while made < calls && begun.elapsed() < time {
        let left = usize::try_from(calls - made)?;
        let stretch = Stretch {
            body: Body::whole(1024),
            connections: CONNECTIONS,
            pace: Pace::Closed {
                seconds: 60.0,
                calls: STRETCH_CALLS.min(left),
            },
            warm_up: 0.0,
            side_by_side: 1,
        };
        let tally = arm.run(stage, &stretch).await?;
        complaint(&tally)?;
        made += tally.answered;
        let rss = used(gateway.pid()).rss;
        steps.push((made, rss, bytes(&data)));
        tell(&format!("soak: {made} calls, {} MiB", rss >> 20));
    }
    gateway.stop().await;
    Ok(Soak { steps })
}

/// The length of all files in a folder.
fn bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
