//! One run: arms measured in turn, round after round, so that what changes on the machine changes for
//! all of them.

use super::Outcome;
use super::arm::{Arm, Stretch};
use super::body::Body;
use super::job::{Pace, Tally};
use super::stage::Stage;
use std::collections::HashMap;

/// Calls that a first, short stretch may make, from which the length of the next ones is judged.
const TRIAL_CALLS: usize = 600;

/// Seconds of that stretch.
const TRIAL_SECONDS: f64 = 0.4;

/// How many more payments are signed than the last stretch would have spent.
const ROOM: f64 = 1.4;

/// What one arm did in one measure.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) measure: String,
    pub(crate) arm: String,
    pub(crate) connections: usize,
    pub(crate) body: Body,
    /// Calls a second, round by round.
    pub(crate) rates: Vec<f64>,
    pub(crate) tally: Tally,
    /// What was mined meanwhile.
    pub(crate) mined: Mined,
}

/// What a chain did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mined {
    pub(crate) transactions: u64,
    pub(crate) gas: u64,
}

/// What was not run, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotRun {
    pub(crate) what: String,
    pub(crate) why: String,
}

/// A run under way.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) stage: Stage,
    pub(crate) arms: Vec<Arm>,
    pub(crate) lines: Vec<Line>,
    pub(crate) not_run: Vec<NotRun>,
    /// Calls a second, as last seen, by arm, connections and body.
    seen: HashMap<(String, usize, Body), f64>,
}

/// How long arms are measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    pub(crate) warm_up: f64,
}

impl Session {
    pub(crate) fn new(stage: Stage) -> Self {
        Self {
            stage,
            arms: Vec::new(),
            lines: Vec::new(),
            not_run: Vec::new(),
            seen: HashMap::new(),
        }
    }

    /// Notes what cannot be run.
    pub(crate) fn miss(&mut self, what: impl Into<String>, why: &dyn std::fmt::Display) {
        let missed = NotRun {
            what: what.into(),
            why: why.to_string(),
        };
        tell(&format!("not run: {}: {}", missed.what, missed.why));
        self.not_run.push(missed);
    }

    /// Takes an arm in, or notes why there is none.
    pub(crate) fn take(&mut self, name: &str, arm: Outcome<Arm>) {
        match arm {
            Ok(arm) => self.arms.push(arm),
            Err(why) => self.miss(name, &why),
        }
    }

    /// Calls of each connection one after another, as fast as they are answered.
    pub(crate) async fn closed(
        &mut self,
        measure: &str,
        arms: &[&str],
        body: &Body,
        connections: usize,
        times: Times,
    ) {
        let (seconds, warm_up) = (times.seconds, times.warm_up);
        let stretch = |rate: f64| Stretch {
            body: body.clone(),
            connections,
            pace: Pace::Closed {
                seconds,
                calls: (rate * (seconds + warm_up) * ROOM) as usize + connections,
            },
            warm_up,
            side_by_side: 1,
        };
        self.rounds(measure, arms, times.rounds, stretch).await;
    }

    /// Calls at a fixed rate.
    pub(crate) async fn open(
        &mut self,
        measure: &str,
        arms: &[&str],
        body: &Body,
        (connections, rate): (usize, f64),
        times: Times,
    ) {
        let stretch = |_| Stretch {
            body: body.clone(),
            connections,
            pace: Pace::Open {
                seconds: times.seconds + times.warm_up,
                rate,
            },
            warm_up: times.warm_up,
            side_by_side: 1,
        };
        self.rounds(measure, arms, times.rounds, stretch).await;
    }

    /// Every arm once a round, each round beginning with another one.
    async fn rounds(
        &mut self,
        measure: &str,
        arms: &[&str],
        rounds: usize,
        stretch: impl Fn(f64) -> Stretch,
    ) {
        let mut chosen: Vec<usize> = (0..self.arms.len())
            .filter(|at| arms.contains(&self.arms[*at].name.as_str()))
            .collect();
        for _ in 0..rounds {
            for at in chosen.clone() {
                let mut measured = self.stretch(measure, at, &stretch).await;
                if let Err(error) = &measured {
                    tell(&format!("{}: {error}; once more", self.arms[at].name));
                    measured = self.stretch(measure, at, &stretch).await;
                }
                if let Err(error) = measured {
                    let name = self.arms[at].name.clone();
                    self.lines
                        .retain(|line| line.measure != measure || line.arm != name);
                    self.miss(format!("{name}, {measure}"), &error);
                    chosen.retain(|other| *other != at);
                }
            }
            if !chosen.is_empty() {
                chosen.rotate_left(1);
            }
        }
    }

    async fn stretch(
        &mut self,
        measure: &str,
        at: usize,
        stretch: impl Fn(f64) -> Stretch,
    ) -> Outcome<()> {
        let arm = &mut self.arms[at];
        let wanted = stretch(1.0);
        let key = (arm.name.clone(), wanted.connections, wanted.body.clone());
        let rate = match self.seen.get(&key) {
            Some(rate) => *rate,
            None => {
                let trial = Stretch {
                    pace: Pace::Closed {
                        seconds: TRIAL_SECONDS,
                        calls: TRIAL_CALLS.max(wanted.connections * 2),
                    },
                    warm_up: 0.0,
                    ..wanted
                };
                let tally = arm.run(&self.stage, &trial).await?;
                complaint(&tally)?;
                tally.rate()
            }
        };
        let stretch = stretch(rate);
        let tally = arm.run(&self.stage, &stretch).await?;
        complaint(&tally)?;
        let rate = tally.rate();
        self.seen.insert(key, rate);
        tell(&format!(
            "{measure}: {}, {} at a time: {rate:.0} calls/s, first byte p50 {} µs",
            arm.name,
            stretch.connections,
            tally.first.at(0.5).unwrap_or_default().round()
        ));
        let line = Line {
            measure: measure.to_owned(),
            arm: arm.name.clone(),
            connections: stretch.connections,
            body: stretch.body,
            rates: vec![rate],
            tally,
            mined: Mined::default(),
        };
        self.add(line);
        Ok(())
    }

    /// Adds a stretch to what its arm did before in the same measure.
    pub(crate) fn add(&mut self, line: Line) {
        let same = self.lines.iter_mut().find(|known| {
            (&known.measure, &known.arm, known.connections, &known.body)
                == (&line.measure, &line.arm, line.connections, &line.body)
        });
        match same {
            Some(known) => {
                known.tally.add(&line.tally);
                known.rates.extend(line.rates);
                known.mined.transactions += line.mined.transactions;
                known.mined.gas += line.mined.gas;
            }
            None => self.lines.push(line),
        }
    }
}

/// A stretch in which a call was lost is no measurement.
pub(crate) fn complaint(tally: &Tally) -> Outcome<()> {
    match tally.complaint() {
        Some(complaint) => Err(complaint.into()),
        None => Ok(()),
    }
}

/// Says how it goes.
#[expect(
    clippy::print_stderr,
    reason = "progress is for whoever waits at a terminal"
)]
pub(crate) fn tell(what: &str) {
    eprintln!("bench: {what}");
}
