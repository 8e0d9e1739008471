//! `kill -9` at every named place and at random moments, while payments come in on all rails and
//! channels are filled, claimed on and refunded: what was acknowledged stands, nobody pays twice, the
//! upstream is called at most once for each call, and the ledger agrees with the chain after each
//! restart. `GROAT_KILL_ROUNDS` sets the rounds per place, `GROAT_KILL_SEED` what is random.

mod accounts;
mod books;
#[cfg(feature = "failpoints")]
mod campaign;
#[cfg(feature = "failpoints")]
mod chore;
mod drain;
mod purchase;
mod wallet;

use crate::harness::{Setup, Stack};

#[cfg(feature = "failpoints")]
mod places {
    use super::campaign::run;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rule_2_killed_after_the_hold_nobody_pays_twice() {
        run("hold", 1).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rule_2_killed_before_the_upstream_is_called_it_is_called_at_most_once() {
        run("forward", 2).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rule_5_killed_at_the_first_byte_nothing_acknowledged_is_lost() {
        run("first_byte", 3).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rule_1_killed_before_the_capture_what_moved_becomes_credit() {
        run("usage", 4).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rule_1_killed_after_the_capture_the_bill_stands() {
        run("capture", 5).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rule_5_killed_between_intent_and_broadcast_it_settles_once() {
        run("settle_sent", 6).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rule_8_killed_after_the_confirmation_it_settles_once() {
        run("settle_confirmed", 7).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rule_4_killed_after_the_receipt_the_bill_stands() {
        run("receipt", 8).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rule_5_killed_once_a_batch_is_wanted_each_of_its_calls_settles_once() {
        run("batch", 9).await;
    }
}

/// Lines for `[payment]`.
const RAILS: &str = r#"
rails = ["exact", "exact-permit2", "upto", "batch-settlement"]
settle = "on_first_byte"
[channels]
deposit_min_usd = "0.0002"
claim_after_seconds = 1
watch_every_ms = 100
"#;

/// Lines that have what is settled afterwards settled together.
const SETTLER: &str = r#"
[settler]
address = "0x5e771e4000000000000000000000000000000001"
batch_max = 4
batch_wait_ms = 30
"#;

/// A gateway with all rails, whose channels are looked after all the time.
fn setup(settler: bool) -> Setup {
    Setup {
        models: vec![("slow", "sim/small?tps=600"), ("late", "sim/small?head=40")],
        settler,
        payment: RAILS,
        chain: if settler { SETTLER } else { "" },
        ..Setup::default()
    }
}

/// A client that keeps no connection: one from a dead gateway would fail in place of the call.
fn unpooled() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy();
    let client = client.pool_max_idle_per_host(0).build();
    client.expect("a client")
}

/// What the payee has, in atomic units.
async fn received(stack: &Stack) -> u128 {
    let payee = stack.chain.pay_to_key.address();
    let balance = stack.chain.balance_of(stack.chain.asset, payee).await;
    balance.expect("a balance").to()
}
