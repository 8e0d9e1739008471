//! What the ledger says of calls and channels, and what the chain moved.

use crate::harness::Stack;
use alloy::primitives::{Address, B256, U256, address, b256};
use groat::ledger::{EntityId, Event, LogEntry};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// `Transfer(address,address,uint256)` (ERC-20).
const TRANSFER: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

/// The contract of channels (x402 scheme_batch_settlement_evm).
const CONTRACT: Address = address!("4020074e9dF2ce1deE5A9C1b5c3f541D02a10003");

/// The ledger's own log.
#[derive(Debug, Default)]
pub(super) struct Books {
    charged: BTreeMap<String, u128>,
    channel_of: BTreeMap<String, String>,
    claimed: BTreeMap<String, u128>,
}

/// One channel's figures, in atomic units.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// What its calls were charged.
    pub(super) bills: u128,
    /// What was claimed from it on chain.
    pub(super) claimed: u128,
}

impl Books {
    pub(super) async fn read(stack: &Stack) -> Self {
        let url = format!("{}/admin/ledger/export", stack.payer.url);
        let asked = stack.payer.client.get(url).bearer_auth(&stack.admin_token);
        let lines = asked.send().await.expect("an answer").text().await;
        let mut books = Self::default();
        for line in lines.expect("an export").lines() {
            let entry: LogEntry = serde_json::from_str(line).expect("an entry");
            for event in entry.events().expect("events") {
                books.take(entry.id, event);
            }
        }
        books
    }

    fn take(&mut self, entity: EntityId, event: Event) {
        let id = entity.to_string();
        match (entity, event) {
            (_, Event::Held(hold)) => {
                if let Some(used) = &hold.channel {
                    self.channel_of.insert(id, used.channel.to_string());
                }
            }
            (_, Event::Captured(capture)) => {
                let before = self.charged.insert(id, capture.charged.atomic());
                assert_eq!(before, None, "captured twice: {entity}");
            }
            (EntityId::Channel(_), Event::ChannelObserved(on_chain)) => {
                self.claimed.insert(id, on_chain.total_claimed.atomic());
            }
            _ => {}
        }
    }

    /// What all calls were charged, in atomic units.
    pub(super) fn bills(&self) -> u128 {
        self.charged.values().sum()
    }

    /// How many calls were charged.
    pub(super) fn count(&self) -> usize {
        self.charged.len()
    }

    pub(super) fn charged(&self, call: &str) -> Option<u128> {
        self.charged.get(call).copied()
    }

    pub(super) fn channels(&self) -> BTreeMap<&str, Account> {
        let mut channels: BTreeMap<&str, Account> = BTreeMap::new();
        for (channel, claimed) in &self.claimed {
            channels.entry(channel).or_default().claimed = *claimed;
        }
        for (call, charged) in &self.charged {
            let channel = self.channel_of.get(call).expect("a held call");
            channels.entry(channel).or_default().bills += charged;
        }
        channels
    }
}

/// What the token's contract says, in atomic units.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) received: u128,
    pub(super) spent: u128,
    pub(super) left_in_contract: u128,
    pub(super) deposits: usize,
    pub(super) deposited: u128,
    pub(super) given_back: u128,
}

impl Moved {
    /// What payer and payee have.
    pub(super) async fn balances(stack: &Stack) -> [u128; 2] {
        let chain = &stack.chain;
        let [payer, payee] = [&chain.payer_key, &chain.pay_to_key];
        [
            balance(stack, payer.address()).await,
            balance(stack, payee.address()).await,
        ]
    }

    pub(super) async fn read(stack: &Stack, before: [u128; 2]) -> Self {
        let payer = stack.chain.payer_key.address();
        let [payer_has, payee_has] = Self::balances(stack).await;
        let deposits = transfers(stack, [Some(payer), None]).await;
        let refunds = transfers(stack, [Some(CONTRACT), Some(payer)]).await;
        Self {
            received: payee_has - before[1],
            spent: before[0] - payer_has,
            left_in_contract: balance(stack, CONTRACT).await,
            deposits: deposits.len(),
            deposited: deposits.iter().sum(),
            given_back: refunds.iter().sum(),
        }
    }
}

async fn balance(stack: &Stack, account: Address) -> u128 {
    let balance = stack.chain.balance_of(stack.asset, account).await;
    balance.expect("a balance").to()
}

/// The amounts of all transfers from one account to another, or to any.
async fn transfers(stack: &Stack, [from, to]: [Option<Address>; 2]) -> Vec<u128> {
    let word = |account: Option<Address>| account.map(|account| account.into_word());
    let filter = json!([{
        "address": stack.asset,
        "fromBlock": "earliest",
        "topics": [TRANSFER, word(from), word(to)],
    }]);
    let logs: Vec<Value> = stack
        .chain
        .rpc
        .request("eth_getLogs", filter)
        .await
        .expect("logs");
    let amount = |log: &Value| {
        let data: U256 = log["data"]
            .as_str()
            .and_then(|data| data.parse().ok())
            .expect("an amount");
        data.to()
    };
    logs.iter().map(amount).collect()
}
