//! Payment channels through the built gateway, on a real chain: to the last unit.

mod books;
pub(crate) mod client;
mod keeping;
mod leaving;
mod losing;
mod names;
mod rules;
pub(crate) mod trouble;

use crate::harness::{Setup, Stack, until};
use alloy::primitives::B256;
use groat::chain::{ChannelState, Rpc};
use groat::protocol::addresses::BATCH_SETTLEMENT;
use serde_json::Value;

/// A gateway whose first offer is by channel.
pub(crate) fn setup() -> Setup {
    Setup {
        payment: "rails = [\"batch-settlement\", \"exact\"]\n[channels]\nwatch_every_ms = 50\n",
        ..Setup::default()
    }
}

impl Stack {
    /// A channel as its contract has it.
    pub(crate) async fn on_chain(&self, channel: B256) -> ChannelState {
        let rpc = Rpc::connect(&self.chain.rpc_url, self.chain.chain_id).await;
        let read = rpc
            .expect("a node")
            .channels(BATCH_SETTLEMENT, &[channel])
            .await;
        read.expect("an answer").states[0]
    }

    /// A POST to an admin route.
    pub(crate) async fn admin(&self, path: &str) -> Value {
        let url = format!("{}/admin/channels{path}", self.payer.url);
        let asked = self.payer.client.post(url).bearer_auth(&self.admin_token);
        let answer = asked.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        answer.json().await.expect("JSON")
    }

    /// The books of all channels.
    pub(crate) async fn channels(&self) -> Vec<Value> {
        let url = format!("{}/admin/channels", self.payer.url);
        let asked = self.payer.client.get(url).bearer_auth(&self.admin_token);
        let answer = asked.send().await.expect("an answer");
        let listed: Value = answer.json().await.expect("JSON");
        let channels = listed["channels"].as_array().expect("a list");
        channels.clone()
    }

    /// The books of the only channel.
    pub(crate) async fn books(&self) -> Value {
        let channels = self.channels().await;
        assert_eq!(channels.len(), 1, "{channels:?}");
        channels[0].clone()
    }

    /// Waits until no call is running on the only channel.
    pub(crate) async fn quiet(&self) -> Value {
        until("the channel's calls are over", || async {
            let books = self.books().await;
            (books["running"] == 0).then_some(books)
        })
        .await
    }
}
