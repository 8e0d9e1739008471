//! Kill, restart, look; again and again over one chain, one upstream and one ledger, with purchases
//! on all rails and work on channels beside them.

use super::accounts::Accounts;
use super::books::Books;
use super::chore::Chore;
use super::purchase::{Purchase, Seen};
use super::wallet::{CHANNELS, Rail, Wallet};
use super::{received, setup, unpooled};
use crate::channels::client::units;
use crate::harness::{Stack, chat, until};
use futures::future::join_all;
use groat::ledger::OperationKind;
use groat::protocol::addresses::BATCH_SETTLEMENT;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::StatusCode;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Purchases under way when the gateway dies, and how many of them at least are no vouchers.
const BATCH: usize = 5;
const SETTLED: usize = 2;

/// Rounds between two looks at everything.
const AUDIT_EVERY: u32 = 5;

/// The latest moment of a random kill: a batch takes about as long.
const KILL_WITHIN_MS: u64 = 160;

const SETTLE: [&str; 3] = ["\"on_first_byte\"", "\"before\"", "\"after\""];

/// One place's share of the kills.
struct Campaign {
    stack: Stack,
    place: &'static str,
    /// Whether calls that are settled afterwards are settled together.
    settler: bool,
    random: StdRng,
    wallet: Wallet,
    purchases: Vec<Purchase>,
    /// How many purchases were asked for again after the death they lived through.
    asked_again: usize,
    at_place: u32,
    at_random: u32,
    /// Kills of a gateway that was taking up what the last one left.
    at_start: u32,
}

/// What is signed and not sent yet.
struct Batch {
    purchases: Vec<Purchase>,
    chore: Option<Chore>,
}

/// Kills at one place and, in turn, at random moments.
pub(super) async fn run(place: &'static str, number: u64) {
    let seed = from_env("GROAT_KILL_SEED", 0x0067_726f_6174) ^ number;
    let rounds = u32::try_from(from_env("GROAT_KILL_ROUNDS", 16)).expect("few rounds");
    let mut campaign = Campaign::start(place, number, seed).await;
    say(&format!("{place}: seed {seed}, {rounds} rounds"));
    for round in 1..=rounds {
        campaign.kill_at_place().await;
        campaign.recover().await;
        campaign.kill_at_random().await;
        campaign.recover().await;
        if round.is_multiple_of(AUDIT_EVERY) || round == rounds {
            campaign.audit(round).await;
        }
    }
    campaign.close().await;
}

impl Campaign {
    async fn start(place: &'static str, number: u64, seed: u64) -> Self {
        let of_batches = ["batch", "settle_confirmed"].contains(&place);
        let settler = of_batches || number.is_multiple_of(2);
        let mut stack = Stack::with(setup(settler)).await;
        let payer = stack.payer.key.address();
        crate::batch::permits(&stack, payer).await;
        stack.payer.client = unpooled();
        Self {
            wallet: Wallet::of(&stack).await,
            stack,
            place,
            settler,
            random: StdRng::seed_from_u64(seed),
            purchases: Vec::new(),
            asked_again: 0,
            at_place: 0,
            at_random: 0,
            at_start: 0,
        }
    }

    /// Starts a gateway that dies when some call of a batch, or some work on channels, passes the
    /// place; that may be before it takes payments.
    async fn kill_at_place(&mut self) {
        let batch = self.sign().await;
        self.stack.gateway.kill_9().await;
        let settle = match self.place {
            "batch" => SETTLE[2],
            _ => self.choose_settle(),
        };
        // Only a full batch is sent: so it is known how many calls pass the place.
        self.configure(settle, 2, 600_000);
        let spared = self.random.random_range(0..self.passing(&batch, settle));
        let armed = match spared {
            0 => format!("{}=return", self.place),
            spared => format!("{}={spared}*off->return", self.place),
        };
        self.stack.gateway.spawn(&armed);
        let ready = self.stack.gateway.becomes_ready().await;
        let fired = ready.then(|| self.fire(&batch));
        self.stack.gateway.wait().await;
        self.at_place += 1;
        match fired {
            Some(fired) => self.fallen(fired).await,
            None => self.purchases.extend(batch.purchases),
        }
    }

    async fn kill_at_random(&mut self) {
        let batch = self.sign().await;
        let moment = self.moment();
        let fired = self.fire(&batch);
        tokio::time::sleep(moment).await;
        self.stack.gateway.kill_9().await;
        self.at_random += 1;
        self.fallen(fired).await;
    }

    /// How many times a batch passes the place for certain.
    fn passing(&self, batch: &Batch, settle: &str) -> usize {
        let rails = batch.purchases.iter().map(|purchase| purchase.rail);
        let settled: Vec<Rail> = rails.filter(|rail| Rail::SETTLED.contains(rail)).collect();
        let later = |rail: &&Rail| **rail == Rail::Upto || settle == SETTLE[2];
        let together = match self.settler {
            true => settled.iter().filter(later).count(),
            false => 0,
        };
        match self.place {
            "batch" => together / 2,
            "settle_sent" | "settle_confirmed" => settled.len() - together + together / 2,
            _ => settled.len(),
        }
    }

    /// Signs a batch, while there is a gateway to make offers.
    async fn sign(&mut self) -> Batch {
        let mut purchases = Vec::new();
        for n in 0..BATCH {
            let rail = match n < SETTLED || self.random.random_ratio(1, 4) {
                true => Rail::SETTLED[self.random.random_range(0..Rail::SETTLED.len())],
                false => Rail::Channel(self.random.random_range(0..CHANNELS)),
            };
            let model = ["m", "m", "slow", "late"][self.random.random_range(0..4)];
            let number = self.purchases.len() + n;
            let prompt = format!("{} {number} {}", self.place, self.random.random::<u64>());
            let body = chat(model, &prompt, self.random.random());
            let named = self.random.random_ratio(1, 3);
            purchases.push(Purchase::sign(&self.wallet, rail, body, named).await);
        }
        let chore = match self.random.random_ratio(1, 2) {
            true => Some(Chore::choose(&mut self.random, &self.wallet, &self.stack).await),
            false => None,
        };
        Batch { purchases, chore }
    }

    /// Sends all of a batch at once.
    fn fire(&self, batch: &Batch) -> (Vec<JoinHandle<Purchase>>, Option<JoinHandle<()>>) {
        let payer = &self.wallet.payer;
        let sent = batch.purchases.iter();
        let sent = sent.map(|purchase| tokio::spawn(purchase.clone().send(payer.clone())));
        (sent.collect(), batch.chore.as_ref().map(Chore::send))
    }

    /// Takes what became of a batch whose gateway died.
    async fn fallen(&mut self, fired: (Vec<JoinHandle<Purchase>>, Option<JoinHandle<()>>)) {
        for done in join_all(fired.0).await {
            let purchase = done.expect("no panic");
            purchase.heard_by(&mut self.wallet);
            self.purchases.push(purchase);
        }
        if let Some(chore) = fired.1 {
            chore.await.expect("no panic");
        }
    }

    /// Starts it again, now and then killing it while it takes up what was left; then every call must
    /// be settled, and every payment of the dead gateway gets its answer or the reason.
    async fn recover(&mut self) {
        let settle = self.choose_settle();
        self.configure(settle, 4, 30);
        if self.random.random_ratio(3, 10) {
            self.stack.gateway.spawn("");
            tokio::time::sleep(self.moment()).await;
            self.stack.gateway.kill_9().await;
            self.at_start += 1;
        }
        self.stack.gateway.start("").await;
        self.settled().await;
        self.wallet.look(&self.stack).await;
        if self.random.random_ratio(1, 8) {
            // Its client lost its books, and has the chain's word only.
            let number = self.random.random_range(0..CHANNELS);
            self.wallet.channels[number].client.book.charged = units(0);
        }
        for purchase in &mut self.purchases[self.asked_again..] {
            purchase.send_again(&mut self.wallet, &self.stack).await;
        }
        self.asked_again = self.purchases.len();
        self.settled().await;
        self.wallet.look(&self.stack).await;
    }

    /// Waits until no call is open; then the ledger is sound and the payee has what it says, beside
    /// what channels paid out.
    async fn settled(&self) {
        let report = until("every call is finished and settled", || async {
            let report = self.stack.report().await;
            (report["calls_open"] == 0).then_some(report)
        })
        .await;
        assert_eq!(report["faults"], serde_json::json!([]), "{report}");
        let total = |name: &str| report["totals"][0][name].as_u64().unwrap_or(0);
        let lost = (total("uncollected"), total("channels_charged_elsewhere"));
        assert_eq!(lost, (0, 0), "{report}");
        let booked = u128::from(total("settled"));
        // Claims go on meanwhile, and are paid out.
        until("the payee has what the books say", || async {
            let paid_out = self.due().await.total_settled;
            (booked + paid_out == received(&self.stack).await).then_some(())
        })
        .await;
    }

    /// What the contract of channels has for the payee.
    async fn due(&self) -> groat::chain::Due {
        let chain = &self.stack.chain;
        let payee = chain.pay_to_key.address();
        let due = chain.rpc.due(BATCH_SETTLEMENT, payee, chain.asset).await;
        due.expect("an answer")
    }

    /// Has all charges claimed and paid out, until no work on channels is left.
    async fn claimed(&self) {
        until("all charges are claimed and paid out", || async {
            self.stack.admin("/claim").await;
            self.stack.admin("/settle").await;
            let channels = self.stack.channels().await;
            let claimed = channels
                .iter()
                .all(|book| book["claimed"] == book["charged"]);
            let due = self.due().await;
            let books = Books::read(&self.stack).await;
            let open = books.operations.values().any(|one| one.done.is_none());
            let paid_out = due.total_claimed == due.total_settled;
            (claimed && paid_out && !open).then_some(())
        })
        .await;
    }

    /// Looks at everything: the log, the upstream's memory, the chain, also by `groat ledger verify`.
    async fn audit(&self, round: u32) {
        self.claimed().await;
        self.stack.reconcile().await;
        let books = until("every receipt says how its settlement stands", || async {
            let books = Books::read(&self.stack).await;
            books.stale_receipts().is_empty().then_some(books)
        })
        .await;
        books.agree_with(&self.purchases);
        books
            .agree_with_upstream(&self.purchases, &self.stack)
            .await;
        let accounts = Accounts::read(&self.stack, &self.wallet).await;
        accounts.agree_with(&books);
        accounts
            .channels_agree(&books, &self.wallet, &self.stack)
            .await;
        self.tell(round, &books);
    }

    fn tell(&self, round: u32, books: &Books) {
        let whole = |purchase: &&Purchase| matches!(purchase.seen, Seen::Whole);
        let vouchers = books.calls.values().filter(|call| call.channel.is_some());
        let done = |kind| {
            let of_kind = books.operations.values().filter(|one| one.kind == kind);
            let done = of_kind.clone().filter(|one| one.done == Some(true)).count();
            format!("{done}/{}", of_kind.count())
        };
        say(&format!(
            "{}: round {round}: {} kills there, {} at random, {} while starting; {} purchases, {} answered; {} calls, {} by voucher; \
             {} deposits, {} claims, {} payouts, {} refunds, {} batches on chain; no difference",
            self.place,
            self.at_place,
            self.at_random,
            self.at_start,
            self.purchases.len(),
            self.purchases.iter().filter(whole).count(),
            books.calls.len(),
            vouchers.count(),
            done(OperationKind::Deposit),
            done(OperationKind::Claim),
            done(OperationKind::Settle),
            done(OperationKind::Refund),
            done(OperationKind::Batch),
        ));
    }

    /// Gives back all that is left in channels: what the payer has less is what the payee got.
    async fn close(&self) {
        self.claimed().await;
        for channel in &self.wallet.channels {
            let url = format!(
                "{}/admin/channels/{:#x}/refund",
                self.stack.payer.url, channel.id
            );
            let asked = self.stack.payer.client.post(url);
            let asked = asked.bearer_auth(&self.stack.admin_token).send().await;
            let status = asked.expect("an answer").status();
            assert!([StatusCode::OK, StatusCode::CONFLICT].contains(&status));
        }
        self.claimed().await;
        let books = Books::read(&self.stack).await;
        let accounts = Accounts::read(&self.stack, &self.wallet).await;
        accounts.agree_with(&books);
        accounts
            .channels_agree(&books, &self.wallet, &self.stack)
            .await;
        accounts.end();
    }

    /// Holds made under one way of settling are taken up under another.
    fn choose_settle(&mut self) -> &'static str {
        SETTLE[[0, 0, 1, 2, 2][self.random.random_range(0..5)]]
    }

    fn configure(&self, settle: &str, batch_max: u32, batch_wait_ms: u32) {
        let values = [
            ("settle = ", settle.to_owned()),
            ("batch_max = ", batch_max.to_string()),
            ("batch_wait_ms = ", batch_wait_ms.to_string()),
        ];
        self.stack.gateway.rewrite_config(|config| {
            let line = |line: &str| {
                let mut values = values.iter();
                let set = values.find(|(key, _)| line.starts_with(key));
                set.map_or(line.to_owned(), |(key, value)| format!("{key}{value}"))
            };
            let lines: Vec<String> = config.lines().map(line).collect();
            lines.join("\n")
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
