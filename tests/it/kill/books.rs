//! The ledger's own log held against what clients saw, what the upstream saw and what the chain says.

use super::purchase::{Purchase, Seen};
use crate::harness::Stack;
use alloy::primitives::U256;
use groat::chain::dev::PAYER_FUNDS;
use groat::ledger::{EntityId, Event, LogEntry};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What the log says of one call.
#[derive(Debug, Default)]
struct Call {
    nonce: String,
    held: u128,
    charged: Option<u128>,
    voided: bool,
    transaction: Option<String>,
    receipts: Vec<Value>,
}

/// The log, by call.
#[derive(Debug)]
pub(super) struct Books {
    calls: BTreeMap<EntityId, Call>,
    forwarded: u64,
}

impl Books {
    pub(super) async fn read(stack: &Stack) -> Self {
        let mut books = Self {
            calls: BTreeMap::new(),
            forwarded: 0,
        };
        for entry in log(stack).await {
            books.take(&entry);
        }
        books
    }

    fn take(&mut self, entry: &LogEntry) {
        let call = self.calls.entry(entry.id).or_default();
        match entry.parsed().expect("an event") {
            Event::Held(hold) => {
                call.nonce = hold.authorization["nonce"]
                    .as_str()
                    .expect("a nonce")
                    .to_owned();
                call.held = hold.held.atomic();
            }
            Event::Forwarded { .. } => self.forwarded += 1,
            Event::Captured(capture) => {
                assert!(call.charged.is_none(), "captured twice: {}", entry.id);
                call.charged = Some(capture.charged.atomic());
            }
            Event::Voided { .. } => call.voided = true,
            Event::Receipted { receipt, .. } => {
                call.receipts
                    .push(serde_json::from_str(&receipt).expect("a receipt"));
            }
            Event::SettlementConfirmed { transaction, .. } => call.transaction = Some(transaction),
            Event::SettlementReorged { .. } => call.transaction = None,
            _ => {}
        }
    }

    /// Every purchase is one call, and that call is what its client was told.
    pub(super) fn agree_with(&self, purchases: &[Purchase]) {
        let mut by_nonce: BTreeMap<&str, Vec<&Call>> = BTreeMap::new();
        for call in self.calls.values() {
            by_nonce.entry(call.nonce.as_str()).or_default().push(call);
        }
        for purchase in purchases {
            let nonce = format!("{:#x}", purchase.nonce);
            let calls = by_nonce.get(nonce.as_str()).map_or(&[][..], Vec::as_slice);
            let [call] = calls else {
                panic!("{} holds for one credential: {purchase:?}", calls.len());
            };
            match &purchase.seen {
                Seen::Whole(answer) => {
                    let receipt = answer.receipt();
                    let charged = receipt["charged"]
                        .as_str()
                        .expect("an amount")
                        .parse()
                        .expect("an amount");
                    assert_eq!(
                        call.charged,
                        Some(charged),
                        "an acknowledged charge is lost: {purchase:?}"
                    );
                    assert!(
                        call.receipts.contains(&receipt),
                        "an acknowledged receipt is lost: {purchase:?}"
                    );
                    assert!(!call.voided, "{purchase:?}");
                }
                Seen::Gone(code) if code == "call_voided" => {
                    assert!(call.voided && call.charged.is_none(), "{purchase:?}")
                }
                Seen::Gone(_) => assert!(call.charged.is_some() && !call.voided, "{purchase:?}"),
                Seen::Nothing | Seen::Begun { .. } => panic!("never asked for again: {purchase:?}"),
            }
        }
    }

    /// The upstream saw no body twice, and nothing that the ledger did not know first.
    pub(super) async fn agree_with_upstream(&self, stack: &Stack) {
        let seen = stack.seen().await;
        let bodies: BTreeSet<_> = seen.calls.iter().map(|call| &call.body_sha256).collect();
        assert_eq!(
            seen.calls.len() as u64,
            seen.total,
            "the simulator forgot some calls"
        );
        assert_eq!(
            bodies.len(),
            seen.calls.len(),
            "the upstream was called twice for one credential"
        );
        assert!(
            seen.total <= self.forwarded,
            "{} calls, {} forwarded",
            seen.total,
            self.forwarded
        );
    }

    /// What the chain moved from the payer to the payee is what the ledger says it moved, each
    /// transfer once.
    pub(super) async fn agree_with_chain(&self, stack: &Stack) {
        let settled = self
            .calls
            .values()
            .filter_map(|call| Some((call.transaction.as_ref()?, call.held)));
        let transactions: BTreeSet<_> = settled
            .clone()
            .map(|(transaction, _)| transaction)
            .collect();
        assert_eq!(
            transactions.len(),
            settled.clone().count(),
            "two calls share a transfer"
        );
        let moved: u128 = settled.map(|(_, held)| held).sum();
        assert_eq!(moved, received(stack).await);
        let left = stack
            .chain
            .balance_of(stack.chain.asset, stack.chain.payer_key.address())
            .await;
        let spent = U256::from(PAYER_FUNDS) - left.expect("a balance");
        assert_eq!(U256::from(moved), spent);
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

    /// How many calls the log knows.
    pub(super) fn calls(&self) -> usize {
        self.calls.len()
    }
}

/// The ledger's log, as the running gateway exports it.
async fn log(stack: &Stack) -> Vec<LogEntry> {
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
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("an entry"))
        .collect()
}

/// What the payee has, in atomic units.
pub(super) async fn received(stack: &Stack) -> u128 {
    let balance = stack
        .chain
        .balance_of(stack.chain.asset, stack.chain.pay_to_key.address())
        .await;
    balance.expect("a balance").to()
}
