//! The ledger's own log held against what clients saw and what the upstream saw.

use super::purchase::{Purchase, Seen};
use crate::harness::{Answer, Stack};
use groat::ledger::{
    ChannelId, EntityId, Event, LogEntry, OperationId, OperationKind, RequestHash, Takes,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// What the log says of one call.
#[derive(Debug)]
pub(super) struct Call {
    request: RequestHash,
    held: u128,
    takes: Takes,
    /// The channel that pays.
    pub(super) channel: Option<ChannelId>,
    pub(super) charged: Option<u128>,
    voided: bool,
    forwarded: bool,
    /// What settled it, unless a channel pays.
    pub(super) transaction: Option<String>,
    receipts: Vec<Value>,
}

/// What the log says of one transaction that is no single call's own.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) kind: OperationKind,
    pub(super) channels: Vec<ChannelId>,
    /// Whether it is on chain; `None` while that is open.
    pub(super) done: Option<bool>,
}

/// The log, by call and by operation.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) calls: BTreeMap<EntityId, Call>,
    pub(super) operations: BTreeMap<OperationId, Operation>,
}

impl Books {
    pub(super) async fn read(stack: &Stack) -> Self {
        let mut books = Self::default();
        for entry in log(stack).await {
            for event in entry.events().expect("events") {
                match entry.id {
                    EntityId::Operation(id) => books.take_operation(id, event),
                    EntityId::Call(_) => books.take(entry.id, event),
                    EntityId::Channel(_) | EntityId::Withdrawal(_) => {}
                }
            }
        }
        books
    }

    fn take(&mut self, id: EntityId, event: Event) {
        if let Event::Held(hold) = event {
            let call = Call {
                request: hold.request,
                held: hold.held.atomic(),
                takes: hold.takes,
                channel: hold.channel.as_ref().map(|used| used.channel),
                charged: None,
                voided: false,
                forwarded: false,
                transaction: None,
                receipts: Vec::new(),
            };
            assert!(self.calls.insert(id, call).is_none(), "held twice: {id}");
            return;
        }
        let call = self.calls.get_mut(&id).expect("it was held");
        match event {
            Event::Forwarded { .. } => {
                assert!(!call.forwarded, "forwarded twice: {id}");
                call.forwarded = true;
            }
            Event::Captured(capture) => {
                assert!(call.charged.is_none(), "captured twice: {id}");
                call.charged = Some(capture.charged.atomic());
            }
            Event::Voided { .. } => call.voided = true,
            Event::Receipted { receipt, .. } => {
                let receipt = serde_json::from_str(&receipt).expect("a receipt");
                call.receipts.push(receipt);
            }
            Event::SettlementConfirmed { transaction, .. } => call.transaction = Some(transaction),
            Event::SettlementReorged { .. } => call.transaction = None,
            Event::SettlementFailed { reason, .. } => {
                panic!("nobody took the money away, and {id} was not settled: {reason}")
            }
            _ => {}
        }
    }

    fn take_operation(&mut self, id: OperationId, event: Event) {
        let done = match event {
            Event::OperationRequested(operation) => {
                let wanted = Operation {
                    kind: operation.kind,
                    channels: operation.channels,
                    done: None,
                };
                self.operations.insert(id, wanted);
                return;
            }
            Event::SettlementConfirmed { .. } => Some(true),
            Event::SettlementFailed { .. } => Some(false),
            Event::SettlementReorged { .. } => None,
            _ => return,
        };
        self.operations.get_mut(&id).expect("it was wanted").done = done;
    }

    /// Every purchase is one call, or as many as its voucher bought, and each answer that came is one
    /// of them, charged as its client was told.
    pub(super) fn agree_with(&self, purchases: &[Purchase]) {
        let bought = self.by_request();
        for purchase in purchases {
            let calls = bought.get(&request(&purchase.body));
            let calls = calls.map_or(&[][..], Vec::as_slice);
            let most = if purchase.buys_once() {
                1
            } else {
                purchase.sends
            };
            assert!(
                (1..=most).contains(&calls.len()),
                "{} holds for one payment: {purchase:?}",
                calls.len()
            );
            for answer in &purchase.answers {
                self.acknowledged(answer, purchase);
            }
            let (captured, voided) = (calls[0].charged.is_some(), calls[0].voided);
            match &purchase.seen {
                Seen::Whole => {}
                Seen::Gone(code) if code == "call_voided" => {
                    assert!(voided && !captured, "{purchase:?}");
                }
                Seen::Gone(_) => assert!(captured && !voided, "{purchase:?}"),
                Seen::Nothing | Seen::Begun { .. } => panic!("never asked for again: {purchase:?}"),
            }
        }
        let known = purchases.iter().map(|purchase| request(&purchase.body));
        let known: BTreeSet<RequestHash> = known.collect();
        let stray = bought.keys().find(|request| !known.contains(request));
        assert_eq!(stray, None, "a call that nobody bought");
    }

    fn acknowledged(&self, answer: &Answer, purchase: &Purchase) {
        let id = answer.call().parse().expect("an id");
        let call = self.calls.get(&id);
        let call = call.unwrap_or_else(|| panic!("an acknowledged call is lost: {purchase:?}"));
        let receipt = answer.receipt();
        let charged = receipt["charged"].as_str().expect("an amount");
        assert_eq!(
            call.charged,
            Some(charged.parse().expect("an amount")),
            "an acknowledged charge is lost: {purchase:?}"
        );
        assert!(
            call.receipts.contains(&receipt),
            "an acknowledged receipt is lost: {purchase:?}"
        );
        assert!(!call.voided, "{purchase:?}");
        assert_eq!(call.request, request(&purchase.body), "{purchase:?}");
    }

    /// The upstream saw no body more often than the ledger knew: once for each call, and once more where the
    /// gateway died with the hold on its way to the disk. Nothing of such a call is in the books, so nobody
    /// is charged for it, and a purchase lives through one death.
    pub(super) async fn agree_with_upstream(&self, purchases: &[Purchase], stack: &Stack) {
        let seen = stack.seen().await;
        assert_eq!(
            seen.calls.len() as u64,
            seen.total,
            "the simulator forgot some calls"
        );
        let bought = self.by_request();
        let forwarded = |purchase: &Purchase| {
            let calls = bought.get(&request(&purchase.body)).into_iter().flatten();
            calls.filter(|call| call.forwarded).count()
        };
        let forwarded: BTreeMap<String, usize> = purchases
            .iter()
            .map(|purchase| (prompt(&purchase.body), forwarded(purchase)))
            .collect();
        let mut bodies: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for call in &seen.calls {
            bodies.entry(&call.body_sha256).or_default().push(call.n);
        }
        // The upstream's bodies name its own models, so that they are known by their prompts.
        for calls in bodies.values().filter(|calls| calls.len() > 1) {
            let url = format!("{}/sim/body/{}", stack.sim, calls[0]);
            let body = reqwest::get(url).await.expect("the simulator").text().await;
            let prompt = prompt(&body.expect("a body"));
            let known = forwarded.get(&prompt).copied().unwrap_or_default();
            assert!(
                calls.len() <= known + 1,
                "the upstream was called {} times for {known} calls: {prompt}",
                calls.len()
            );
        }
    }

    /// Calls that the chain settled and whose receipt does not name the transfer.
    pub(super) fn stale_receipts(&self) -> Vec<String> {
        let mut stale = Vec::new();
        for (id, call) in &self.calls {
            let Some(transaction) = &call.transaction else {
                continue;
            };
            let settlement = call.receipts.last().map(|receipt| &receipt["settlement"]);
            let current = settlement.is_some_and(|settlement| {
                settlement["status"] == "settled" && settlement["transaction"] == **transaction
            });
            if !current {
                stale.push(format!("{id}: {settlement:?}, but {call:?}"));
            }
        }
        stale
    }

    fn by_request(&self) -> BTreeMap<RequestHash, Vec<&Call>> {
        let mut bought: BTreeMap<RequestHash, Vec<&Call>> = BTreeMap::new();
        for call in self.calls.values() {
            bought.entry(call.request).or_default().push(call);
        }
        bought
    }
}

impl Call {
    /// What its settlement moved, once it is on chain.
    pub(super) fn moved(&self) -> Option<(&str, u128)> {
        let value = match self.takes {
            Takes::Held => self.held,
            Takes::Charged => self.charged.unwrap_or_default(),
        };
        Some((self.transaction.as_deref()?, value))
    }
}

fn request(body: &str) -> RequestHash {
    RequestHash::from_bytes(Sha256::digest(body).into())
}

/// What tells a body from all others, also at the upstream.
fn prompt(body: &str) -> String {
    let body: Value = serde_json::from_str(body).expect("a body");
    let prompt = body.pointer("/messages/0/content").and_then(Value::as_str);
    prompt.expect("a prompt").to_owned()
}

/// The ledger's log, as the running gateway exports it.
async fn log(stack: &Stack) -> Vec<LogEntry> {
    let url = format!("{}/admin/ledger/export", stack.payer.url);
    let asked = stack.payer.client.get(url).bearer_auth(&stack.admin_token);
    let answer = asked.send().await.expect("an answer");
    let lines = answer.text().await.expect("an export");
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("an entry"))
        .collect()
}
