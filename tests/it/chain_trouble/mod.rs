//! The chain goes away, lies, or changes its mind: unknown is not unpaid (rule 8), and what waits is
//! settled when the chain is back, each payment once.

mod batches;
mod front_run;
mod nodes;
mod pending;
pub(crate) mod proxy;
mod reorgs;

use crate::harness::{Answer, Payer, Setup, Stack, until};
use alloy::primitives::{Address, Bytes};
use alloy::rpc::json_rpc::RpcSend;
use groat::chain::Transfer;
use groat::chain::audit::{Moved, Party, transfers};
use groat::ledger::LogEntry;
use groat::protocol::eip3009::{Authorization, Terms, digest};
use groat::protocol::x402::Requirements;
use proxy::Proxy;
use serde_json::Value;

/// A gateway that sees the chain through a proxy.
#[derive(Debug)]
struct Trouble {
    stack: Stack,
    proxy: Proxy,
}

impl Trouble {
    /// `payment` are lines for `[payment]`; the gateway soon loses patience with the chain.
    async fn with(payment: &'static str) -> Self {
        let setup = Setup {
            models: vec![("late", "sim/small?head=300")],
            payment,
            chain: "rpc_timeout_ms = 300",
            ..Setup::default()
        };
        Self::over(Stack::with(setup).await).await
    }

    async fn over(mut stack: Stack) -> Self {
        let node = stack.chain.rpc_url.clone();
        let proxy = Proxy::before(&node).await;
        stack.gateway.kill_9().await;
        stack
            .gateway
            .rewrite_config(|config| config.replace(&node, &proxy.url));
        stack.gateway.start("").await;
        Self { stack, proxy }
    }

    fn payer(&self) -> &Payer {
        &self.stack.payer
    }

    /// Sends until the answer comes; before that, only "come back with the same payment".
    async fn send_until_answered(&self, body: &str, payment: &str) -> Answer {
        until("the answer of a payment that was pending", || async {
            let answer = self.payer().send(body, payment).await.expect("an answer");
            if answer.status == 200 {
                return Some(answer);
            }
            assert_come_back(&answer, &["settlement_pending", "chain_unavailable"]);
            None
        })
        .await
    }

    /// Every answered call was charged once, its authorization moved once, and nothing else moved.
    async fn reconciled(&self, answers: &[Answer]) {
        let report = self.stack.reconcile().await;
        let held: u64 = answers.iter().map(held).sum();
        assert_eq!(report["totals"][0]["settled"], held, "{report}");
        assert_eq!(
            moved(&self.stack).await.len(),
            answers.len(),
            "one transfer a call"
        );
        assert_eq!(
            self.stack.seen().await.total,
            answers.len() as u64,
            "one upstream call each"
        );
    }
}

/// A refusal that says: this payment may be good, send it again; never a fresh challenge.
fn assert_come_back(answer: &Answer, codes: &[&str]) {
    assert_eq!(answer.status, 503, "{answer:?}");
    let error = answer.json();
    let code = error["error"]["code"].as_str().expect("a code");
    assert!(codes.contains(&code), "{answer:?}");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    assert!(answer.header("payment-required").is_none(), "{answer:?}");
}

/// What an answered call held, by its receipt, in atomic units.
fn held(answer: &Answer) -> u64 {
    crate::faults::units(&answer.receipt(), "held")
}

/// What an answered call moves when it is settled: its bill by `upto`, else all that is held.
fn settles(answer: &Answer) -> u64 {
    let receipt = answer.receipt();
    let name = match receipt["rail"].as_str() {
        Some("x402-upto") => "charged",
        _ => "held",
    };
    crate::faults::units(&receipt, name)
}

/// The transfers that reached the payee.
async fn moved(stack: &Stack) -> Vec<Moved> {
    let payee = Party::To(stack.chain.pay_to_key.address());
    transfers(&stack.chain.rpc, stack.chain.asset, 0, u64::MAX, payee)
        .await
        .expect("logs")
}

/// A JSON-RPC method of the node whose answer does not matter.
async fn node<P: RpcSend>(stack: &Stack, method: &'static str, params: P) -> Value {
    let answer = stack.chain.rpc.request(method, params).await;
    answer.unwrap_or_else(|error| panic!("{method}: {error}"))
}

/// The names of all events in the ledger, oldest first.
async fn events(stack: &Stack) -> Vec<String> {
    let url = format!("{}/admin/ledger/export", stack.payer.url);
    let answer = stack
        .payer
        .client
        .get(url)
        .bearer_auth(&stack.admin_token)
        .send()
        .await
        .expect("an answer");
    let lines = answer.text().await.expect("an export");
    let names = |line: &str| -> Vec<String> {
        let entry: LogEntry = serde_json::from_str(line).expect("an entry");
        let events = entry.events().expect("events");
        events.iter().map(|event| event.name().to_owned()).collect()
    };
    lines.lines().flat_map(names).collect()
}

/// The settling call of an authorization, as anybody who saw it could send it: contract and data.
fn settling_call(
    payer: &Payer,
    authorization: &Authorization,
    offer: &Requirements,
) -> (Address, Bytes) {
    let digest = digest(authorization, &Terms::of(offer).expect("terms"));
    let transfer = Transfer {
        asset: offer.asset,
        from: authorization.from,
        to: authorization.to,
        value: authorization.value,
        valid_after: authorization.valid_after,
        valid_before: authorization.valid_before,
        nonce: authorization.nonce,
        signature: payer.key.sign(digest).to_bytes().to_vec().into(),
        digest,
    };
    (transfer.asset, transfer.calldata(false))
}
