//! The Permit2 stand-in beside Permit2's own code: the same calls, the same results, the same reverts.
//!
//! Each table is a story that both codes live through on the same chain, at the same address and time. After each
//! step everything that can be seen is compared: outcome and revert data, the calls made and their words, logs,
//! balances, allowances, nonces. What a step must come to is stated too, so that the two cannot agree by failing alike.

mod allowances;
mod bench;
mod others;
mod owner;
mod random;
mod transfers;

use alloy::primitives::{Address, Bytes, U256};
use bench::{Bench, Outcome, Seen, Step};
use owner::{Form, Order, PERMIT2, sign};

/// Compares a story step by step, and holds both codes to what was expected.
async fn agree(bench: &Bench, story: &str, steps: &[Step]) -> Vec<Seen> {
    let [real, ours] = bench.both(steps).await;
    for (index, step) in steps.iter().enumerate() {
        let at = format!("{story}, step {index}: {}", step.name);
        assert_eq!(
            real[index], ours[index],
            "{at}: Permit2 left, the stand-in right"
        );
        if let Some(expected) = &step.expected {
            assert_eq!(&real[index].outcome, expected, "{at}");
        }
    }
    real
}

impl Bench {
    /// What the spender may take of the first token: 1,000 units, with the nonce that is given.
    fn order(&self, nonce: u64) -> Order {
        Order {
            permitted: vec![(self.tokens[0], U256::from(1_000))],
            batch: false,
            witness: None,
            spender: self.spender,
            nonce: U256::from(nonce),
            deadline: self.start + 500,
        }
    }

    /// Both tokens at once.
    fn batch(&self, nonce: u64) -> Order {
        let permitted = vec![
            (self.tokens[0], U256::from(1_000)),
            (self.tokens[1], U256::from(2_000)),
        ];
        Order {
            permitted,
            batch: true,
            ..self.order(nonce)
        }
    }

    /// The spender's step with an order that the owner signed.
    fn spend(&self, name: &str, order: &Order, amounts: &[u64], expected: Outcome) -> Step {
        self.spend_in(name, order, amounts, Form::Whole, expected)
    }

    fn spend_in(
        &self,
        name: &str,
        order: &Order,
        amounts: &[u64],
        form: Form,
        expected: Outcome,
    ) -> Step {
        let signature = sign(&self.owner, order.digest(), form);
        let data = order.call(&self.wanted(amounts), self.owner.address(), signature);
        self.step(name, self.spender, data, expected)
    }

    /// The step with a wallet's order, which its owner's key signed.
    fn spend_of(&self, name: &str, wallet: Address, order: &Order, expected: Outcome) -> Step {
        let signature = sign(&self.owner, order.digest(), Form::Whole);
        let data = order.call(&self.wanted(&[10]), wallet, signature);
        self.step(name, self.spender, data, expected)
    }

    fn wanted(&self, amounts: &[u64]) -> Vec<(Address, U256)> {
        let to_payee = |&amount: &u64| (self.payee, U256::from(amount));
        amounts.iter().map(to_payee).collect()
    }

    fn step(&self, name: &str, from: Address, data: Bytes, expected: Outcome) -> Step {
        Step {
            name: name.to_owned(),
            from,
            to: PERMIT2,
            data,
            wait: 0,
            expected: Some(expected),
        }
    }
}

impl Step {
    /// The same, some seconds later.
    fn after(self, wait: u64) -> Self {
        Self { wait, ..self }
    }
}
