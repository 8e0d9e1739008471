//! The load: connections that are kept alive, each with one call at a time, and a clock that starts when
//! everything is signed and connected.

use super::Outcome;
use super::body::with_own_number;
use super::connection::{Call, Connection};
use super::job::{Job, Pace, Tally};
use super::process::{self, Used};
use super::sign::{Supply, supplies};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, Semaphore, watch};

/// How long after the end calls may take that are under way.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked whether all streams are open.
const LOOK: Duration = Duration::from_millis(20);

/// Does a job: signs, connects, and only then starts the clock.
pub(crate) async fn run(job: Job) -> Outcome<Tally> {
    let signing = Instant::now();
    let job = Arc::new(job);
    let supplies = tokio::task::spawn_blocking({
        let job = Arc::clone(&job);
        move || supplies(&job)
    });
    let supplies = supplies.await??;
    let signing_seconds = signing.elapsed().as_secs_f64();
    let field = Arc::new(Field::new(Arc::clone(&job)));
    let before = field.look();
    let threads = job.threads.clamp(1, job.connections.max(1));
    let mut shares: Vec<Vec<(usize, Supply)>> = (0..threads).map(|_| Vec::new()).collect();
    for (number, supply) in supplies.into_iter().enumerate() {
        shares[number % threads].push((number, supply));
    }
    let (go, waiting) = watch::channel(None);
    let mut crews = Vec::new();
    for share in shares {
        let (field, waiting) = (Arc::clone(&field), waiting.clone());
        crews.push(tokio::task::spawn_blocking(move || {
            crew(&field, share, &waiting)
        }));
    }
    let connections = u32::try_from(job.connections)?;
    let connected = field.connected.acquire_many(connections);
    match tokio::time::timeout(PATIENCE, connected).await {
        Ok(all) => drop(all?),
        Err(_) => return Err(format!("{} cannot be connected to", job.address).into()),
    }
    let times = Times::of(&job);
    go.send_replace(Some(times));
    let (seconds, begun, ended) = field.time(times).await;
    let mut tally = Tally::default();
    for crew in crews {
        let crew = tokio::time::timeout(PATIENCE, crew).await;
        tally.add(&crew.map_err(|_| "calls are not answered")???);
    }
    tally.open = field.open_most.load(Ordering::Relaxed);
    tally.seconds = seconds;
    tally.ended_ms = groat::clock::now_ms();
    tally.signing_seconds = signing_seconds;
    tally.rss_before = before
        .into_iter()
        .map(|(name, used)| (name, used.rss))
        .collect();
    for (name, used) in ended {
        let earlier = begun.get(&name).copied().unwrap_or_default();
        tally.used.insert(name, used.since(earlier));
    }
    Ok(tally)
}

/// When what happens.
#[derive(Debug, Clone, Copy)]
struct Times {
    start: Instant,
    /// From when on is measured.
    warm: Instant,
    end: Option<Instant>,
}

impl Times {
    fn of(job: &Job) -> Self {
        let start = Instant::now();
        let warm = start + Duration::from_secs_f64(job.warm_up);
        let end = match job.pace {
            Pace::Closed { seconds, .. } | Pace::Open { seconds, .. } => {
                Some(warm + Duration::from_secs_f64(seconds))
            }
            Pace::Once => None,
        };
        Self { start, warm, end }
    }
}

/// What all connections of a job share.
struct Field {
    job: Arc<Job>,
    connected: Semaphore,
    over: AtomicBool,
    ended: Notify,
    /// The number of the next call that is due.
    due: AtomicU64,
    opened: AtomicU64,
    finished: AtomicU64,
    open_most: AtomicU64,
}

impl Field {
    fn new(job: Arc<Job>) -> Self {
        Self {
            job,
            connected: Semaphore::new(0),
            over: AtomicBool::new(false),
            ended: Notify::new(),
            due: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            open_most: AtomicU64::new(0),
        }
    }

    /// What the watched processes have used so far; and the load itself.
    fn look(&self) -> BTreeMap<String, Used> {
        let watched = self.job.watched.iter();
        let mut looked: BTreeMap<String, Used> = watched
            .map(|(name, pid)| (name.clone(), process::used(*pid)))
            .collect();
        looked.insert("load".to_owned(), process::used(std::process::id()));
        looked
    }

    /// Keeps the time: how many seconds were measured, and what was used at their two ends.
    async fn time(&self, times: Times) -> (f64, BTreeMap<String, Used>, BTreeMap<String, Used>) {
        tokio::time::sleep_until(times.warm.into()).await;
        let begun = (Instant::now(), self.look());
        match times.end {
            Some(end) => {
                let over = self.ended.notified();
                let _ = tokio::time::timeout_at(end.into(), over).await;
            }
            None => self.all_open().await,
        }
        let ended = (Instant::now(), self.look());
        self.stop();
        (
            ended.0.duration_since(begun.0).as_secs_f64(),
            begun.1,
            ended.1,
        )
    }

    /// Waits until every connection's stream is open, or cannot be any more.
    async fn all_open(&self) {
        let connections = self.job.connections as u64;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline
            && self.opened.load(Ordering::Relaxed) < connections
            && self.finished.load(Ordering::Relaxed) == 0
        {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn stop(&self) {
        self.over.store(true, Ordering::Relaxed);
        self.ended.notify_one();
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn opened(&self) {
        let opened = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        let open = opened.saturating_sub(self.finished.load(Ordering::Relaxed));
        self.open_most.fetch_max(open, Ordering::Relaxed);
    }

    fn closed(&self) {
        self.finished.fetch_add(1, Ordering::Relaxed);
    }
}

/// A thread's connections, from first to last.
fn crew(
    field: &Arc<Field>,
    share: Vec<(usize, Supply)>,
    waiting: &watch::Receiver<Option<Times>>,
) -> Outcome<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let mut tasks = tokio::task::JoinSet::new();
        for (number, supply) in share {
            let body = body(&field.job, number);
            let member = Member {
                field: Arc::clone(field),
                tally: Arc::clone(&tally),
                supply,
                head: head(&field.job, body.len()),
                body,
                connection: Connection::open(field.job.address).await?,
            };
            field.connected.add_permits(1);
            tasks.spawn(member.work(waiting.clone()));
        }
        while let Some(ended) = tasks.join_next().await {
            ended?;
        }
        let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(tally.clone())
    })
}

/// The body that a connection sends.
fn body(job: &Job, number: usize) -> Bytes {
    with_own_number(&job.body, number).into()
}

/// One connection at work.
struct Member {
    field: Arc<Field>,
    tally: Arc<Mutex<Tally>>,
    supply: Supply,
    head: String,
    body: Bytes,
    connection: Connection,
}

impl Member {
    async fn work(mut self, mut waiting: watch::Receiver<Option<Times>>) {
        let times = match waiting.wait_for(Option::is_some).await.map(|times| *times) {
            Ok(Some(times)) => times,
            _ => return,
        };
        let field = Arc::clone(&self.field);
        while !field.is_over() {
            let Some(began) = self.begin(times).await else {
                return;
            };
            let Some(credential) = self.supply.next() else {
                return field.stop();
            };
            let lines = [&self.head, &credential, "\r\n"];
            let opened = || field.opened();
            let call = self.connection.call(lines, &self.body, began, opened);
            let result = call.await;
            let in_time = began >= times.warm && !field.is_over();
            let lost = result.is_err();
            self.count(result, in_time);
            if field.job.pace == Pace::Once {
                return field.closed();
            }
            if (lost || self.connection.is_closed()) && !self.reconnect().await {
                return;
            }
        }
    }

    /// Waits until the next call is due, and says when it began; `None` when there is none.
    async fn begin(&self, times: Times) -> Option<Instant> {
        let Pace::Open { rate, .. } = self.field.job.pace else {
            return Some(Instant::now());
        };
        let number = self.field.due.fetch_add(1, Ordering::Relaxed);
        let due = times.start + Duration::from_secs_f64(number as f64 / rate);
        if times.end.is_some_and(|end| due >= end) {
            return None;
        }
        if due <= Instant::now() {
            // It waited for a connection, and that is part of how long it took.
            return Some(due);
        }
        tokio::time::sleep_until(due.into()).await;
        // A timer's own lateness is nobody's latency.
        Some(Instant::now())
    }

    async fn reconnect(&mut self) -> bool {
        match Connection::open(self.field.job.address).await {
            Ok(connection) => {
                self.connection = connection;
                true
            }
            Err(error) => {
                self.fail(format!("connecting again: {error}"));
                false
            }
        }
    }

    fn count(&self, result: Outcome<Call>, in_time: bool) {
        let expect = self.field.job.expect;
        let mut tally = self.tally();
        tally.sent += 1;
        match result {
            Ok(call) if call.status == expect => {
                tally.answered += 1;
                if in_time || self.field.job.pace == Pace::Once {
                    tally.in_time += 1;
                    tally.first.record(call.first);
                    tally.last.record(call.last);
                    if let Some(token) = call.token {
                        tally.token.record(token);
                    }
                    for gap in call.gaps {
                        tally.gaps.record(gap);
                    }
                }
            }
            Ok(call) => {
                let what = format!("status {}: {}", call.status, call.beginning);
                *tally.failed.entry(what).or_default() += 1;
            }
            Err(error) => *tally.failed.entry(error.to_string()).or_default() += 1,
        }
    }

    fn fail(&self, what: String) {
        *self.tally().failed.entry(what).or_default() += 1;
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stands before the credential in every request.
fn head(job: &Job, length: usize) -> String {
    let (path, address) = (&job.path, job.address);
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n"
    );
    for (name, value) in &job.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head
}
