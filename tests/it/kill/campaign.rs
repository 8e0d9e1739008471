//! Kill, restart, look; again and again over one chain, one upstream and one ledger.

use super::books::{Books, received};
use super::purchase::{Purchase, Seen};
use crate::harness::{Setup, Stack, chat, until};
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;

/// Purchases under way when the gateway dies.
const BATCH: usize = 5;

/// Rounds between two looks at everything.
const AUDIT_EVERY: u32 = 5;

/// The latest moment of a random kill: a batch takes about as long.
const KILL_WITHIN_MS: u64 = 160;

const SETTLE: [&str; 3] = [
    "settle = \"on_first_byte\"",
    "settle = \"before\"",
    "settle = \"after\"",
];

/// One place's share of the kills.
struct Campaign {
    stack: Stack,
    place: &'static str,
    random: StdRng,
    purchases: Vec<Purchase>,
    /// How many purchases were asked for again after the death they lived through.
    asked_again: usize,
    at_place: u32,
    at_random: u32,
    /// Random kills of a gateway that was taking up what the last one left.
    at_start: u32,
}

/// Kills at one place and, in turn, at random moments.
pub(super) async fn run(place: &'static str, number: u64) {
    let seed = from_env("GROAT_KILL_SEED", 0x0067_726f_6174) ^ number;
    let rounds = u32::try_from(from_env("GROAT_KILL_ROUNDS", 20)).expect("few rounds");
    say(&format!("{place}: seed {seed}, {rounds} rounds"));
    let mut campaign = Campaign::start(place, seed).await;
    for round in 1..=rounds {
        campaign.kill_at_place().await;
        campaign.recover().await;
        campaign.kill_at_random().await;
        campaign.recover().await;
        if round.is_multiple_of(AUDIT_EVERY) || round == rounds {
            campaign.audit(round).await;
        }
    }
}

impl Campaign {
    async fn start(place: &'static str, seed: u64) -> Self {
        let setup = Setup {
            models: vec![("slow", "sim/small?tps=600"), ("late", "sim/small?head=40")],
            payment: SETTLE[0],
            ..Setup::default()
        };
        let mut stack = Stack::with(setup).await;
        // A connection kept from a dead gateway would fail in place of the call.
        let unpooled = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build();
        stack.payer.client = unpooled.expect("a client");
        Self {
            stack,
            place,
            random: StdRng::seed_from_u64(seed),
            purchases: Vec::new(),
            asked_again: 0,
            at_place: 0,
            at_random: 0,
            at_start: 0,
        }
    }

    /// Starts a gateway that dies when some call of a batch passes the place.
    async fn kill_at_place(&mut self) {
        self.stack.gateway.kill_9().await;
        self.choose_settle();
        let spared = self.random.random_range(0..BATCH);
        let armed = match spared {
            0 => format!("{}=return", self.place),
            spared => format!("{}={spared}*off->return", self.place),
        };
        self.stack.gateway.start(&armed).await;
        let batch = self.fire().await;
        self.stack.gateway.wait().await;
        self.at_place += 1;
        self.purchases.extend(
            join_all(batch)
                .await
                .into_iter()
                .map(|done| done.expect("no panic")),
        );
    }

    async fn kill_at_random(&mut self) {
        let moment = self.moment();
        let batch = self.fire().await;
        tokio::time::sleep(moment).await;
        self.stack.gateway.kill_9().await;
        self.at_random += 1;
        self.purchases.extend(
            join_all(batch)
                .await
                .into_iter()
                .map(|done| done.expect("no panic")),
        );
    }

    /// Signs a batch and sends all of it at once.
    async fn fire(&mut self) -> Vec<tokio::task::JoinHandle<Purchase>> {
        let mut signed = Vec::new();
        for _ in 0..BATCH {
            let model = ["m", "m", "slow", "late"][self.random.random_range(0..4)];
            let prompt = format!(
                "{} {} {}",
                self.place,
                self.purchases.len() + signed.len(),
                self.random.random::<u64>()
            );
            let body = chat(model, &prompt, self.random.random());
            signed.push(Purchase::sign(&self.stack.payer, body).await);
        }
        let payer = &self.stack.payer;
        signed
            .into_iter()
            .map(|purchase| tokio::spawn(purchase.send(payer.clone())))
            .collect()
    }

    /// Starts it again, now and then killing it while it takes up what was left; then everything
    /// must be settled, and every credential of the dead gateway gets its answer or the reason.
    async fn recover(&mut self) {
        self.choose_settle();
        if self.random.random_ratio(3, 10) {
            self.stack.gateway.spawn("");
            tokio::time::sleep(self.moment()).await;
            self.stack.gateway.kill_9().await;
            self.at_start += 1;
        }
        self.stack.gateway.start("").await;
        self.settled().await;
        for purchase in &mut self.purchases[self.asked_again..] {
            purchase.send_again(&self.stack.payer).await;
        }
        self.asked_again = self.purchases.len();
        self.settled().await;
    }

    /// Waits until nothing is open; then the ledger is sound and the payee has what it says.
    async fn settled(&self) {
        let report = until("every call is finished and settled", || async {
            let report = self.stack.report().await;
            (report["calls_open"] == 0).then_some(report)
        })
        .await;
        assert_eq!(report["faults"], serde_json::json!([]), "{report}");
        let booked = report["totals"][0]["settled"].as_u64().unwrap_or(0);
        assert_eq!(u128::from(booked), received(&self.stack).await, "{report}");
    }

    /// Looks at everything: the log, the upstream's memory, the chain by `groat ledger verify`.
    async fn audit(&self, round: u32) {
        self.stack.reconcile().await;
        let books = until("every receipt says how its settlement stands", || async {
            let books = Books::read(&self.stack).await;
            books.stale_receipts().is_empty().then_some(books)
        })
        .await;
        books.agree_with(&self.purchases);
        books.agree_with_upstream(&self.stack).await;
        books.agree_with_chain(&self.stack).await;
        let whole = self
            .purchases
            .iter()
            .filter(|p| matches!(p.seen, Seen::Whole(_)))
            .count();
        say(&format!(
            "{}: round {round}: {} kills there, {} at random, {} while starting; {} calls, {whole} answered, no difference",
            self.place,
            self.at_place,
            self.at_random,
            self.at_start,
            books.calls(),
        ));
    }

    /// Holds made under one way of settling are taken up under another.
    fn choose_settle(&mut self) {
        let next = SETTLE[[0, 0, 0, 1, 2][self.random.random_range(0..5)]];
        self.stack.gateway.rewrite_config(|config| {
            SETTLE
                .iter()
                .fold(config, |config, line| config.replace(line, next))
        });
    }

    fn moment(&mut self) -> Duration {
        Duration::from_millis(self.random.random_range(0..KILL_WITHIN_MS))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long to kill is the tester's choice"
)]
fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[expect(clippy::print_stderr, reason = "a long test tells how far it is")]
fn say(text: &str) {
    eprintln!("{text}");
}
