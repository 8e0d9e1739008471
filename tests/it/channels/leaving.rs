//! Payers that take their deposit back, at once or behind our back: what was charged is claimed first,
//! and what is asked for afterwards is refused, or covered by what stays.

use super::client::{Client, bill, offer, terms};
use super::trouble::behind_a_proxy;
use crate::chain_trouble::proxy::Mood;
use crate::harness::{Setup, Stack, chat, until};
use alloy::sol_types::SolCall;
use futures::{StreamExt, stream};
use groat::chain::bindings::{ChannelConfig, IBatchSettlement};
use groat::chain::dev::DevError;
use groat::protocol::addresses::BATCH_SETTLEMENT;
use serde_json::Value;
use std::sync::{Mutex, MutexGuard};

/// What a withdrawal waits for, in seconds, and no claim by age within that time.
const DELAY: u64 = 900;
const LINES: &str = "rails = [\"batch-settlement\"]\n[channels]\nwithdraw_delay_seconds = 900\nclaim_after_seconds = 450\nwatch_every_ms = 50\n";

/// What each of these payers puts in.
const DEPOSIT: u128 = 1_000_000;

async fn stack() -> Stack {
    Stack::with(Setup {
        payment: LINES,
        ..Setup::default()
    })
    .await
}

/// The channel's configuration as its contract takes it.
pub(super) async fn bound(client: &Client) -> ChannelConfig {
    let required = client.probe().await;
    let config = client.config(&terms(offer(&required)));
    ChannelConfig {
        payer: config.payer,
        payerAuthorizer: config.payer_authorizer,
        receiver: config.receiver,
        receiverAuthorizer: config.receiver_authorizer,
        token: config.token,
        withdrawDelay: alloy::primitives::aliases::U40::from(config.withdraw_delay),
        salt: config.salt,
    }
}

async fn payer_calls(stack: &Stack, call: impl SolCall) -> Result<(), DevError> {
    let payer = stack.payer.key.address();
    let calldata = call.abi_encode().into();
    stack.chain.send_as(payer, BATCH_SETTLEMENT, calldata).await
}

/// Begins a withdrawal.
pub(super) async fn withdraw(stack: &Stack, config: ChannelConfig, amount: u128) {
    let call = IBatchSettlement::initiateWithdrawCall { config, amount };
    let begun = payer_calls(stack, call).await;
    begun.expect("a withdrawal begins");
}

/// Takes what can be taken.
pub(super) async fn finalize(stack: &Stack, config: ChannelConfig) -> Result<(), DevError> {
    payer_calls(stack, IBatchSettlement::finalizeWithdrawCall { config }).await
}

/// Lets the chain's clock run ahead.
pub(super) async fn pass(stack: &Stack, seconds: u64) {
    let rpc = &stack.chain.rpc;
    let moved = rpc
        .request::<_, Value>("evm_increaseTime", (seconds,))
        .await;
    moved.expect("another time");
    let mined = rpc.request::<_, Value>("evm_mine", ()).await;
    mined.expect("a block");
}

/// Waits until the charges of these bills are claimed and paid out.
async fn collected(stack: &Stack, client: &Client, bills: u64) {
    let channel = client.channel().await;
    until("all charges are claimed", || async {
        let claimed = stack.on_chain(channel).await.total_claimed;
        (claimed == u128::from(bills)).then_some(())
    })
    .await;
    let payee = stack.chain.pay_to_key.address();
    until("the payee is paid", || async {
        (stack.balance(payee).await == bills).then_some(())
    })
    .await;
}

/// What leaves pays for nothing more.
async fn refused(client: &Client) {
    let body = chat("m", "after all", false);
    let signed = client.sign(&body).await;
    let answer = client.payer.send(&body, &signed.header).await.expect("one");
    let reason = answer.reason();
    assert_eq!(reason, "invalid_batch_settlement_evm_channel_not_found");
}

/// A figure of the gateway's without labels.
async fn figure(stack: &Stack, name: &str) -> u64 {
    let url = format!("{}/metrics", stack.payer.url);
    let asked = stack.payer.client.get(url).send().await.expect("an answer");
    let metrics = asked.text().await.expect("the metrics");
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    let value = metrics.lines().find_map(value);
    value.unwrap_or_else(|| panic!("no {name} in {metrics}"))
}

/// The payer has all back that was not charged, and the payee all that was.
async fn shared(stack: &Stack, funds: u64, bills: u64) {
    let (payer, payee) = (stack.payer.key.address(), stack.chain.pay_to_key.address());
    assert_eq!(stack.balance(payer).await, funds - bills);
    assert_eq!(stack.balance(payee).await, bills);
    assert_eq!(figure(stack, "groat_channels_uncovered_units").await, 0);
    let report = stack.reconcile().await;
    let charged = report["totals"][0]["channels_captured"].as_u64();
    assert_eq!(charged, Some(bills), "{report}");
}

#[tokio::test]
async fn a_withdrawal_that_begins_is_met_with_a_claim_at_once() {
    let stack = stack().await;
    let mut client = Client::new(&stack);
    let mut bills = client.pay(&chat("m", "one", false)).await;
    bills += client.pay(&chat("m", "two", true)).await;
    let channel = client.channel().await;
    let claimed = stack.on_chain(channel).await.total_claimed;
    assert_eq!(claimed, 0, "nothing is due yet");
    withdraw(&stack, bound(&client).await, DEPOSIT).await;
    collected(&stack, &client, bills).await;
    refused(&client).await;
    assert_eq!(figure(&stack, "groat_channel_withdrawals_total").await, 1);
}

/// A payer's calls, two at a time, each signed by what was heard until then.
struct Caller {
    client: Mutex<Client>,
}

impl Caller {
    /// The bill of a call, or `None` when it was refused because the money is leaving.
    async fn call(&self, n: usize) -> Option<u64> {
        let body = chat("m", &format!("call {n:04}"), n.is_multiple_of(2));
        let client = self.client().clone();
        let signed = client.sign(&body).await;
        let answer = client.payer.send(&body, &signed.header).await;
        let answer = answer.expect("an answer");
        if answer.status == 200 {
            self.client().read(&signed, &answer);
            return Some(bill(&answer));
        }
        let reason = answer.reason();
        assert_eq!(
            reason, "invalid_batch_settlement_evm_channel_not_found",
            "{answer:?}"
        );
        None
    }

    fn client(&self) -> MutexGuard<'_, Client> {
        self.client.lock().expect("nobody panicked")
    }
}

/// A payer who makes so many calls and begins to withdraw in the middle of them: how many were
/// served, and what the operator lost.
async fn leaves_midway(calls: usize, amount: u128) -> usize {
    let stack = stack().await;
    let funds = stack.balance(stack.payer.key.address()).await;
    let mut client = Client::new(&stack);
    let first = client.pay(&chat("m", "call 0000", false)).await;
    let config = bound(&client).await;
    let caller = Caller {
        client: Mutex::new(client),
    };
    let (stack, caller) = (&stack, &caller);
    let made = stream::iter(1..calls).map(|n| {
        let config = config.clone();
        async move {
            if n == calls / 2 {
                withdraw(stack, config, amount).await;
            }
            caller.call(n).await
        }
    });
    let served: Vec<Option<u64>> = made.buffer_unordered(2).collect().await;
    let served: Vec<u64> = served.into_iter().flatten().collect();
    let bills = first + served.iter().sum::<u64>();
    let client = caller.client().clone();
    collected(stack, &client, bills).await;
    assert!(
        finalize(stack, config.clone()).await.is_err(),
        "all is claimed before the payer may take anything"
    );
    pass(stack, DELAY).await;
    finalize(stack, config).await.expect("the rest");
    if client.refund(None).await.status == 402 {
        assert_eq!(amount, DEPOSIT, "nothing is left to refund");
    }
    shared(stack, funds, bills).await;
    served.len() + 1
}

#[tokio::test]
async fn rule_13_a_payer_who_withdraws_in_the_middle_of_a_thousand_calls_costs_nothing() {
    let served = leaves_midway(1_000, DEPOSIT).await;
    assert!((499..1_000).contains(&served), "{served} calls were served");
}

#[tokio::test]
async fn what_stays_in_a_channel_pays_for_calls_while_the_rest_leaves() {
    assert_eq!(leaves_midway(100, DEPOSIT / 2).await, 100);
}

#[tokio::test]
async fn a_withdrawal_begun_while_the_gateway_was_down_is_met_at_its_start() {
    let mut stack = stack().await;
    let funds = stack.balance(stack.payer.key.address()).await;
    let mut client = Client::new(&stack);
    let mut bills = client.pay(&chat("m", "one", false)).await;
    bills += client.pay(&chat("m", "two", true)).await;
    let config = bound(&client).await;
    stack.gateway.kill_9().await;
    withdraw(&stack, config.clone(), DEPOSIT).await;
    pass(&stack, DELAY / 2).await;
    stack.gateway.start("").await;
    collected(&stack, &client, bills).await;
    refused(&client).await;
    pass(&stack, DELAY / 2).await;
    finalize(&stack, config).await.expect("the rest");
    shared(&stack, funds, bills).await;
}

#[tokio::test]
async fn rule_8_a_withdrawal_begun_while_the_node_was_silent_is_met_when_it_is_back() {
    let (stack, proxy) = behind_a_proxy(LINES).await;
    let funds = stack.balance(stack.payer.key.address()).await;
    let mut client = Client::new(&stack);
    let mut bills = client.pay(&chat("m", "one", false)).await;
    let config = bound(&client).await;
    proxy.turn(Mood::Down);
    withdraw(&stack, config.clone(), DEPOSIT).await;
    for n in 0..4 {
        let body = chat("m", &format!("in the silence {n}"), n % 2 == 0);
        bills += client.pay(&body).await;
    }
    pass(&stack, DELAY / 2).await;
    proxy.turn(Mood::Honest);
    collected(&stack, &client, bills).await;
    refused(&client).await;
    pass(&stack, DELAY / 2).await;
    finalize(&stack, config).await.expect("the rest");
    shared(&stack, funds, bills).await;
}

#[tokio::test]
async fn a_gateway_that_was_down_for_all_of_the_delay_says_what_that_cost() {
    // It counts every five seconds then, and takes deposits by a clock that is behind the chain's.
    let mut stack = Stack::with(Setup {
        payment: "max_timeout_seconds = 3600\nrails = [\"batch-settlement\"]\n[channels]\nwithdraw_delay_seconds = 900\nclaim_after_seconds = 20\nwatch_every_ms = 50\n",
        ..Setup::default()
    })
    .await;
    let funds = stack.balance(stack.payer.key.address()).await;
    let mut client = Client::new(&stack);
    let bills = client.pay(&chat("m", "one", false)).await;
    let config = bound(&client).await;
    stack.gateway.kill_9().await;
    withdraw(&stack, config.clone(), DEPOSIT).await;
    pass(&stack, DELAY).await;
    finalize(&stack, config).await.expect("all of it");
    stack.gateway.start("").await;
    until("the loss is seen", || async {
        let lost = figure(&stack, "groat_channels_uncovered_units").await;
        (lost == bills).then_some(())
    })
    .await;
    refused(&client).await;
    assert_eq!(stack.balance(stack.payer.key.address()).await, funds);
    // The voucher is kept: it is made good when its payer fills the channel again.
    client.book.balance = super::client::units(0);
    let next = client.pay(&chat("m", "two", false)).await;
    stack.admin("/claim").await;
    stack.admin("/settle").await;
    assert_eq!(
        stack.balance(stack.chain.pay_to_key.address()).await,
        bills + next
    );
    until("nothing is lost any more", || async {
        let lost = figure(&stack, "groat_channels_uncovered_units").await;
        (lost == 0).then_some(())
    })
    .await;
    stack.reconcile().await;
}
