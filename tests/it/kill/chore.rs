//! What goes on beside purchases: the work on channels that operator and payer ask for.

use super::wallet::Wallet;
use crate::channels::client::units;
use crate::harness::{Answer, Stack};
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::task::JoinHandle;

/// A request for such work, ready to be sent.
#[derive(Debug)]
pub(super) struct Chore {
    request: reqwest::RequestBuilder,
}

impl Chore {
    /// Any of them.
    pub(super) async fn choose(random: &mut StdRng, wallet: &Wallet, stack: &Stack) -> Self {
        let channel = &wallet.channels[random.random_range(0..wallet.channels.len())];
        let operator = |path: &str| {
            let url = format!("{}/admin/channels{path}", stack.payer.url);
            stack.payer.client.post(url).bearer_auth(&stack.admin_token)
        };
        let request = match random.random_range(0..6) {
            0 | 1 => operator("/claim"),
            2 => operator("/settle"),
            3 => operator(&format!("/{:#x}/refund", channel.id)),
            all_or_some => {
                let client = &channel.client;
                let some = units(random.random_range(1..300));
                let amount = (all_or_some == 4).then_some(some);
                client.refund_request(&client.probe().await, amount)
            }
        };
        Self { request }
    }

    /// Asks for it, of a gateway that may die meanwhile. It may say that this cannot be now.
    pub(super) fn send(&self) -> JoinHandle<()> {
        let request = self.request.try_clone().expect("a body in memory");
        tokio::spawn(async move {
            let Ok(answer) = Answer::of(request).await else {
                return;
            };
            let status = answer.status.as_u16();
            assert!([200, 402, 409].contains(&status), "{answer:?}");
        })
    }
}
