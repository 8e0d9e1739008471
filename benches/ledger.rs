//! Durable events per second of the ledger on this machine's disk, beside the disk's own syncs.
//!
//! `cargo bench --bench ledger -- [--quick] [--json] [--only NAME] [--writers N] [--folder PATH]`

#![expect(clippy::print_stdout, reason = "a benchmark's figures are its output")]

use groat::ledger::{
    CallId, Capture, ChannelId, ChannelOnChain, ChannelOpening, ChannelUse, Digest32, Event, Hold,
    Ledger, ReplayKey, RequestHash, SettleWhen, SledStore, Takes,
};
use groat::metering::Route;
use groat::money::{AssetDecimals, Pusd, Units};
use groat::protocol::channel::Rule;
use serde_json::json;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

const PAYER: &str = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";
const NETWORK: &str = "eip155:84532";
const ASSET: &str = "0x036cbd53842c5426634e7929541ec2318f3dcf7e";
const CHARGE: u128 = 1_234;
const PRICE_ROW: &str =
    r#"{"cache_read":{"per_token":"14000"},"completion":"420000","prompt":"140000","tiers":[]}"#;

fn main() {
    let asked = Asked::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("a runtime");
    if asked.wants("sync") {
        asked.print("sync", 1, &bare_syncs(&asked));
    }
    for (name, work) in [("holds", Work::Holds), ("calls", Work::Calls)] {
        for writers in [1, 8, 64, 256] {
            if asked.wants(name) && asked.writers.is_none_or(|only| only == writers) {
                let taken = runtime.block_on(events(&asked, work, writers));
                asked.print(name, writers, &taken);
            }
        }
    }
}

/// What one writer does over and over.
#[derive(Clone, Copy)]
enum Work {
    /// Takes credentials.
    Holds,
    /// Whole calls paid by voucher: held, forwarded, answered, captured, receipted.
    Calls,
}

/// How long each durable write took, and how long all of them together.
struct Taken {
    each: Vec<Duration>,
    all: Duration,
}

/// Overwrites of one page each in a file that has its length, each with its own sync: what the disk can do.
fn bare_syncs(asked: &Asked) -> Taken {
    const BYTES: u64 = 4 << 20;
    let folder = asked.folder();
    let file = File::create(folder.path().join("bare")).expect("a file");
    file.write_all_at(&vec![0; BYTES as usize], 0)
        .expect("written");
    file.sync_all().expect("synced");
    let (mut each, begun) = (Vec::new(), Instant::now());
    for page in 0.. {
        if begun.elapsed() >= asked.time {
            break;
        }
        let from = Instant::now();
        file.write_all_at(&[7; 4096], page * 4096 % BYTES)
            .expect("written");
        file.sync_data().expect("synced");
        each.push(from.elapsed());
    }
    let all = begun.elapsed();
    Taken { each, all }
}

async fn events(asked: &Asked, work: Work, writers: u64) -> Taken {
    let folder = asked.folder();
    let (ledger, _) = Ledger::open(SledStore::open(folder.path()).expect("opens")).expect("sound");
    for writer in 0..writers {
        let (opening, on_chain) = channel(writer);
        let opened = ledger.open_channel(opening, on_chain, Units::ZERO);
        opened.await.expect("opened");
    }
    let begun = Instant::now();
    let until = begun + asked.time;
    let tasks = (0..writers).map(|writer| {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            let mut each = Vec::new();
            for call in 0.. {
                if Instant::now() >= until {
                    break;
                }
                match work {
                    Work::Holds => one_hold(&ledger, writer, call, &mut each).await,
                    Work::Calls => one_call(&ledger, writer, call, &mut each).await,
                }
            }
            each
        })
    });
    let mut each = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        each.extend(task.await.expect("no panic"));
    }
    let all = begun.elapsed();
    ledger.shutdown().await;
    Taken { each, all }
}

async fn one_hold(ledger: &Ledger, writer: u64, call: u64, each: &mut Vec<Duration>) {
    let mut terms = hold(writer, call);
    (terms.settle_when, terms.channel) = (SettleWhen::After, None);
    let from = Instant::now();
    ledger.hold(terms).await.expect("held");
    each.push(from.elapsed());
}

async fn one_call(ledger: &Ledger, writer: u64, call: u64, each: &mut Vec<Duration>) {
    let terms = hold(writer, call);
    let id = terms.call;
    let from = Instant::now();
    ledger.hold(terms).await.expect("held");
    each.push(from.elapsed());
    for event in [
        Event::Forwarded { at_ms: 2 },
        Event::Answered { at_ms: 3 },
        Event::Captured(Box::new(capture())),
        receipt(id),
    ] {
        let from = Instant::now();
        ledger.record(id, event).await.expect("recorded");
        each.push(from.elapsed());
    }
}

/// Bytes that no other writer or call has, spread as random ones are.
fn unique<const N: usize>(writer: u64, call: u64) -> [u8; N] {
    use sha2::Digest;
    let mut text = writer.to_be_bytes().to_vec();
    text.extend(call.to_be_bytes());
    let digest = sha2::Sha256::digest(&text);
    digest[..N].try_into().expect("at most 32 bytes")
}

fn hold(writer: u64, call: u64) -> Hold {
    let charged = CHARGE * u128::from(call);
    Hold {
        call: CallId::new(groat::clock::now_ms(), unique(writer, call)),
        rail: "x402-batch-settlement".to_owned(),
        replay_key: ReplayKey::from_bytes(unique(writer, call)),
        payment_id: None,
        payer: PAYER.to_owned(),
        network: NETWORK.to_owned(),
        asset: ASSET.to_owned(),
        asset_decimals: AssetDecimals::USDC,
        ceiling: Units::from_atomic(2 * CHARGE),
        held: Units::from_atomic(2 * CHARGE),
        request: RequestHash::from_bytes([7; 32]),
        model: "deepseek/deepseek-chat".to_owned(),
        endpoint: "/v1/chat/completions".to_owned(),
        route: Route::Chat,
        app: None,
        price_row: PRICE_ROW.to_owned(),
        price_row_sha256: Digest32::from_bytes([9; 32]),
        alternatives: Vec::new(),
        markup_bps: 500,
        quote_prompt_max: 1_200,
        quote_output_max: 4_096,
        settle_when: SettleWhen::ByClaim,
        takes: Takes::Charged,
        remembered: true,
        authorization: json!({"type": "voucher", "signature": format!("0x{}", "5a".repeat(65))}),
        channel: Some(ChannelUse {
            channel: channel_id(writer),
            rule: Rule::Late,
            base: Units::from_atomic(charged),
            max_claimable: Units::from_atomic(charged + 4 * CHARGE),
            signature: format!("0x{}", "5a".repeat(65)),
        }),
        stream: true,
        at_ms: 1_790_000_000_000,
    }
}

fn capture() -> Capture {
    let line = |class: &str, tokens: u64| json!({"class": class, "tokens": tokens, "rate": "140000", "amount": "100000000"});
    Capture {
        usage: json!({"prompt": 200, "cache_read": 1_000, "completion": 800, "reasoning": 0}),
        usage_source: "reported".to_owned(),
        raw_usage: Some(r#"{"completion_tokens":800,"prompt_tokens":1200,"total_tokens":2000,"prompt_tokens_details":{"cached_tokens":1000}}"#.to_owned()),
        answered_model: Some("deepseek-chat".to_owned()),
        answered_by: None,
        upstream_receipt: None,
        reported_cost: None,
        lines: vec![line("prompt", 200), line("cache_read", 1_000), line("completion", 800)],
        list: Pusd::from_pico(1_400_000_000),
        saving: Pusd::from_pico(166_000_000),
        total: Pusd::from_pico(CHARGE * 1_000_000),
        charged: Units::from_atomic(CHARGE),
        credited: Units::ZERO,
        flags: Vec::new(),
        at_ms: 1_790_000_001_000,
    }
}

/// As long as a real one, signature included.
fn receipt(call: CallId) -> Event {
    let lines = capture().lines;
    let receipt = json!({"call": call, "terms": "x".repeat(900), "lines": lines, "signature": "5a".repeat(65)});
    Event::Receipted {
        receipt: receipt.to_string(),
        at_ms: 1_790_000_001_001,
    }
}

fn channel_id(writer: u64) -> ChannelId {
    ChannelId::from_bytes(unique(writer, u64::MAX))
}

fn channel(writer: u64) -> (ChannelOpening, ChannelOnChain) {
    let opening = ChannelOpening {
        channel: channel_id(writer),
        payer: PAYER.to_owned(),
        network: NETWORK.to_owned(),
        contract: PAYER.to_owned(),
        asset: ASSET.to_owned(),
        asset_decimals: AssetDecimals::USDC,
        receiver: PAYER.to_owned(),
        config: json!({"payer": PAYER, "receiver": PAYER, "token": ASSET, "withdrawDelay": 900, "salt": "5a".repeat(32)}),
        at_ms: 1,
    };
    let on_chain = ChannelOnChain {
        balance: Units::from_atomic(u128::from(u64::MAX)),
        total_claimed: Units::ZERO,
        refund_nonce: 0,
        withdrawal: None,
        block: 10,
        at_ms: 1,
    };
    (opening, on_chain)
}

/// What the command line asks for.
struct Asked {
    time: Duration,
    json: bool,
    only: Option<String>,
    writers: Option<u64>,
    folder: Option<String>,
}

impl Asked {
    fn parse() -> Self {
        let words: Vec<String> = std::env::args().collect();
        let has = |word: &str| words.iter().any(|given| given == word);
        let after = |word: &str| {
            let at = words.iter().position(|given| given == word)?;
            words.get(at + 1).cloned()
        };
        let asked = Self {
            time: Duration::from_millis(if has("--quick") { 500 } else { 3_000 }),
            json: has("--json"),
            only: after("--only"),
            writers: after("--writers").map(|n| n.parse().expect("a number of writers")),
            folder: after("--folder"),
        };
        if !asked.json {
            println!(
                "{:>6} {:>8} {:>12} {:>9} {:>9}",
                "what", "writers", "per second", "p50 ms", "p99 ms"
            );
        }
        asked
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == name)
    }

    fn folder(&self) -> tempfile::TempDir {
        let within = self
            .folder
            .as_deref()
            .unwrap_or(env!("CARGO_TARGET_TMPDIR"));
        tempfile::tempdir_in(Path::new(within)).expect("a folder")
    }

    fn print(&self, what: &str, writers: u64, taken: &Taken) {
        let mut sorted = taken.each.clone();
        sorted.sort_unstable();
        let at = |percent: usize| sorted[(sorted.len() - 1) * percent / 100].as_secs_f64() * 1e3;
        let per_second = (sorted.len() as f64 / taken.all.as_secs_f64()).round();
        let (p50, p99) = (at(50), at(99));
        if self.json {
            let line = json!({
                "bench": "ledger", "what": what, "writers": writers, "writes": sorted.len(),
                "per_second": per_second, "p50_ms": p50, "p99_ms": p99,
            });
            println!("{line}");
        } else {
            println!("{what:>6} {writers:>8} {per_second:>12} {p50:>9.3} {p99:>9.3}");
        }
    }
}
