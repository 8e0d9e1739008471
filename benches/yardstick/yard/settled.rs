//! Calls that are each settled on the chain: the clock stops when the payee has the money of all.

use super::Outcome;
use super::arm::{Arm, Stretch};
use super::body::Body;
use super::job::Pace;
use super::session::{Line, Mined, Session, complaint, tell};
use super::stage::Stage;
use alloy::primitives::{Address, U64, U256};
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long settlements may take that were still under way.
const PATIENCE: Duration = Duration::from_secs(120);

/// Pause between two looks at the payee's balance.
const LOOK: Duration = Duration::from_millis(10);

/// How long what a lost stretch left behind may take to be settled, so that it is not taken for the next
/// one's.
const LEFT_BEHIND: Duration = Duration::from_secs(5);

/// A local node shows a block's balances before it shows the block, and while blocks come fast falls behind with
/// that: those are all that were mined once no other has come for so long.
const PUBLISHED: Duration = Duration::from_millis(500);

/// How long and how much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settling {
    pub(crate) rounds: usize,
    /// At most so many seconds of calls in a round,
    pub(crate) seconds: f64,
    /// and at most so many calls.
    pub(crate) calls: usize,
    pub(crate) connections: usize,
}

impl Session {
    /// Measures the arms whose calls are each settled, in turn.
    pub(crate) async fn settled(&mut self, settling: Settling) {
        let mut chosen: Vec<(usize, Option<u128>)> = (0..self.arms.len())
            .filter(|at| self.arms[*at].payee.is_some())
            .map(|at| (at, None))
            .collect();
        for _ in 0..settling.rounds {
            let mut again = Vec::new();
            for (at, price) in chosen {
                let mut settled = self.settle(at, price, settling).await;
                if let Err(error) = &settled {
                    tell(&format!("{}: {error}; once more", self.arms[at].name));
                    tokio::time::sleep(LEFT_BEHIND).await;
                    settled = self.settle(at, price, settling).await;
                }
                match settled {
                    Ok(price) => again.push((at, Some(price))),
                    Err(error) => {
                        let name = self.arms[at].name.clone();
                        self.lines
                            .retain(|line| line.measure != MEASURE || line.arm != name);
                        self.miss(format!("{name}, {MEASURE}"), &error);
                    }
                }
            }
            if !again.is_empty() {
                again.rotate_left(1);
            }
            chosen = again;
        }
    }

    /// One arm's stretch; gives what a call moves on the chain.
    async fn settle(
        &mut self,
        at: usize,
        price: Option<u128>,
        settling: Settling,
    ) -> Outcome<u128> {
        let (stage, arm) = (&self.stage, &mut self.arms[at]);
        let payee = arm.payee.ok_or("nobody is paid")?;
        let price = match price {
            Some(price) => price,
            None => trial(stage, arm, payee).await?,
        };
        let connections = settling.connections;
        let before = stage.balance(payee).await?;
        let block = stage.chain.rpc.latest_block().await?.number();
        let stretch = stretch(connections, settling.seconds, settling.calls);
        let mut tally = arm.run(stage, &stretch).await?;
        complaint(&tally)?;
        paid(stage, payee, before + price * u128::from(tally.answered)).await?;
        let drained_ms = groat::clock::now_ms().saturating_sub(tally.ended_ms);
        // Calls under way at the end were answered and settled too.
        tally.in_time = tally.answered;
        let under_way = tally.last.at(0.5).unwrap_or_default() / 1e6;
        tally.seconds += (drained_ms as f64 / 1000.0).max(under_way);
        let rate = tally.rate();
        tell(&format!(
            "{MEASURE}: {}, {connections} at a time: {rate:.0} calls/s settled, first byte p50 {:.1} ms",
            arm.name,
            tally.first.at(0.5).unwrap_or_default() / 1000.0
        ));
        let line = Line {
            measure: MEASURE.to_owned(),
            arm: arm.name.clone(),
            connections,
            body: stretch.body,
            rates: vec![rate],
            tally,
            mined: mined_after(stage, block).await?,
        };
        self.add(line);
        Ok(price)
    }
}

/// The measure's name in the results.
pub(crate) const MEASURE: &str = "settled";

/// A few calls, so that nothing is new to the server, and then one, to see what it moves.
async fn trial(stage: &Stage, arm: &mut Arm, payee: Address) -> Outcome<u128> {
    let mut before = stage.balance(payee).await?;
    let mut price = 0;
    for calls in [8, 1] {
        let tally = arm.run(stage, &stretch(calls, 10.0, calls)).await?;
        complaint(&tally)?;
        let at_rest = at_rest(stage, payee, before).await?;
        price = (at_rest - before) / u128::from(tally.answered.max(1));
        before = at_rest;
    }
    Ok(price)
}

fn stretch(connections: usize, seconds: f64, calls: usize) -> Stretch {
    Stretch {
        body: Body::whole(1024),
        connections,
        pace: Pace::Closed { seconds, calls },
        warm_up: 0.0,
        side_by_side: 1,
    }
}

/// The balance once it has grown and then not changed for a second.
async fn at_rest(stage: &Stage, payee: Address, before: u128) -> Outcome<u128> {
    let deadline = Instant::now() + PATIENCE;
    let (mut seen, mut since) = (before, Instant::now());
    while Instant::now() < deadline {
        let balance = stage.balance(payee).await?;
        if balance != seen {
            (seen, since) = (balance, Instant::now());
        }
        if seen > before && since.elapsed() > Duration::from_secs(1) {
            return Ok(seen);
        }
        tokio::time::sleep(LOOK).await;
    }
    Err("the payee was not paid".into())
}

async fn paid(stage: &Stage, payee: Address, expected: u128) -> Outcome<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let balance = stage.balance(payee).await?;
        if balance >= expected {
            return Ok(());
        }
        if Instant::now() > deadline {
            let missing = expected - balance;
            return Err(format!("{missing} units are not settled after {PATIENCE:?}").into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What was mined after a block.
pub(crate) async fn mined_after(stage: &Stage, block: u64) -> Outcome<Mined> {
    let rpc = &stage.chain.rpc;
    let deadline = Instant::now() + PATIENCE;
    let mut latest = block;
    loop {
        tokio::time::sleep(PUBLISHED).await;
        let newest = rpc.latest_block().await?.number();
        if newest == latest || Instant::now() > deadline {
            break;
        }
        latest = newest;
    }
    let mut mined = Mined::default();
    for number in block + 1..=latest {
        let block: Value = rpc
            .request("eth_getBlockByNumber", (U64::from(number), false))
            .await?;
        let gas: U256 = serde_json::from_value(block["gasUsed"].clone())?;
        mined.gas += gas.saturating_to::<u64>();
        mined.transactions += block["transactions"].as_array().map_or(0, Vec::len) as u64;
    }
    Ok(mined)
}
