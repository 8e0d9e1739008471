//! Where the money is by the chain's own word, held against the ledger's log: to the unit, on every
//! rail, for payer and payee.

use super::books::Books;
use super::wallet::{Channel, Wallet, on_chain};
use crate::harness::Stack;
use alloy::primitives::{Address, U256};
use groat::chain::audit::{ChannelFlows, Party, channel_flows, transfers};
use groat::chain::dev::PAYER_FUNDS;
use groat::ledger::{ChannelId, OperationKind};
use groat::protocol::addresses::BATCH_SETTLEMENT;
use serde_json::Value;
use std::collections::BTreeMap;

/// The chain's word.
#[derive(Debug)]
pub(super) struct Accounts {
    /// What went from the payer to the payee itself: how often which amount by which transaction.
    moved: BTreeMap<(String, u128), usize>,
    flows: ChannelFlows,
    payer_lost: U256,
    payee_got: U256,
}

impl Accounts {
    pub(super) async fn read(stack: &Stack, wallet: &Wallet) -> Self {
        let (rpc, asset) = (&stack.chain.rpc, stack.chain.asset);
        let payee = stack.chain.pay_to_key.address();
        let payer = wallet.payer.key.address();
        let mut moved: BTreeMap<(String, u128), usize> = BTreeMap::new();
        let all = transfers(rpc, asset, 0, u64::MAX, Party::To(payee)).await;
        for one in all.expect("logs").iter().filter(|one| one.from == payer) {
            let key = (format!("{:#x}", one.transaction), one.value.to());
            *moved.entry(key).or_default() += 1;
        }
        let whole = (0, u64::MAX);
        let (ids, to) = (wallet.ids(), (payee, asset));
        let flows = channel_flows(rpc, BATCH_SETTLEMENT, &ids, to, whole).await;
        Self {
            moved,
            flows: flows.expect("logs"),
            payer_lost: U256::from(PAYER_FUNDS) - balance(stack, payer).await,
            payee_got: balance(stack, payee).await,
        }
    }

    /// Each settled call moved its money once, and nothing else moved any; what left the payer for
    /// its channels is in them, came back, or is the payee's.
    pub(super) fn agree_with(&self, books: &Books) {
        let mut booked: BTreeMap<(String, u128), usize> = BTreeMap::new();
        for (transaction, value) in books.calls.values().filter_map(|call| call.moved()) {
            *booked.entry((transaction.to_owned(), value)).or_default() += 1;
        }
        assert_eq!(booked, self.moved, "what was settled is not what moved");
        let calls: U256 = booked
            .iter()
            .map(|((_, value), times)| U256::from(*value) * U256::from(*times))
            .sum();
        let channels = self.flows.lives.keys();
        let held: Option<U256> = channels.map(|id| self.flows.now(id).held()).sum();
        assert_eq!(
            self.payer_lost,
            calls + held.expect("no flow is below zero")
        );
        assert_eq!(self.payee_got, calls + self.flows.paid_out());
    }

    /// Each channel holds what it is booked to hold, claimed no more than was charged, and told its
    /// payer of no charge that was not made.
    pub(super) async fn channels_agree(&self, books: &Books, wallet: &Wallet, stack: &Stack) {
        let listed = stack.channels().await;
        let states = on_chain(stack, &wallet.ids()).await;
        for (channel, state) in wallet.channels.iter().zip(states) {
            let id = ledger_id(channel);
            let captured = books.calls.values().filter(|call| call.channel == Some(id));
            let captured: u128 = captured.filter_map(|call| call.charged).sum();
            let flow = self.flows.now(&channel.id);
            let refunds = books.operations.values().filter(|operation| {
                operation.kind == OperationKind::Refund
                    && operation.channels.contains(&id)
                    && operation.done == Some(true)
            });
            assert_eq!(state.refund_nonce, U256::from(refunds.count()), "{id}");
            assert_eq!(Some(U256::from(state.balance)), flow.held(), "{id}");
            assert_eq!(U256::from(state.total_claimed), flow.claimed, "{id}");
            assert!(state.total_claimed <= captured, "{id}: {state:?}");
            let told = channel.told.atomic();
            assert!(told <= captured, "{id}: told {told}, charged {captured}");
            let book = listed.iter().find(|book| book["channel"] == id.to_string());
            let Some(book) = book else {
                assert_eq!((captured, told), (0, 0), "{id} is not in the books");
                continue;
            };
            assert_eq!(amount(&book["charged"]), captured, "{book}");
            assert!(amount(&book["signed"]) >= captured, "{book}");
            assert_eq!(
                (&book["running"], amount(&book["reserved"])),
                (&0.into(), 0)
            );
        }
    }

    /// What the payer has less, when nothing is left in any channel: all of it is the payee's.
    pub(super) fn end(&self) {
        assert_eq!(self.payer_lost, self.payee_got, "{:?}", self.flows);
    }
}

fn ledger_id(channel: &Channel) -> ChannelId {
    ChannelId::from_bytes(channel.id.0)
}

/// An amount as the operator's list of channels has it; none is nothing.
fn amount(value: &Value) -> u128 {
    value
        .as_str()
        .map_or(0, |text| text.parse().expect("an amount"))
}

async fn balance(stack: &Stack, account: Address) -> U256 {
    let balance = stack.chain.balance_of(stack.chain.asset, account).await;
    balance.expect("a balance")
}
