//! `kill -9` at every named place and at random moments: what was acknowledged stands, nobody pays
//! twice, the upstream is called at most once, and the ledger agrees with the chain after each
//! restart. `GROAT_KILL_ROUNDS` sets the rounds per place, `GROAT_KILL_SEED` what is random.

mod books;
#[cfg(feature = "failpoints")]
mod campaign;
mod drain;
mod purchase;

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
}
