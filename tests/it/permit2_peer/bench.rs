//! One local chain on which Permit2's own code and ours do the same things in turn.

use super::owner::{IPermit2, PERMIT2};
use crate::harness::{PATIENCE, until};
use alloy::primitives::{Address, B256, Bytes, U64, U256, address};
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::{SolCall, SolError};
use groat::chain::Rpc;
use groat::chain::dev::{DevChain, leashed, locate_anvil};
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};

alloy::sol! {
    function approve(address spender, uint256 value) external returns (bool);
    function balanceOf(address account) external view returns (uint256);
    function init(address firstOwner) external;
    error Error(string reason);
}

const USDC: &str = include_str!("../../../contracts/artifacts/UsdcStandIn.json");
const WALLET: &str = include_str!("../../../contracts/artifacts/ContractWallet.json");
const OURS: &str = include_str!("../../../contracts/artifacts/Permit2StandIn.json");

/// Which tokens and wallets there are beside the sound ones; each always does the same.
pub(super) const ODD: [(Address, &str); 10] = [
    // A token that answers nothing, false, two, one byte, more than a word; one that reverts.
    (address!("0x0000000000000000000000000000000000701000"), "00"),
    (
        address!("0x0000000000000000000000000000000000701001"),
        "5f5f5260205ff3",
    ),
    (
        address!("0x0000000000000000000000000000000000701002"),
        "60025f5260205ff3",
    ),
    (
        address!("0x0000000000000000000000000000000000701003"),
        "600160f81b5f5260015ff3",
    ),
    (
        address!("0x0000000000000000000000000000000000701004"),
        "60015f5260405ff3",
    ),
    (
        address!("0x0000000000000000000000000000000000701005"),
        "61cafe5f5260205ffd",
    ),
    // A wallet that says yes with something behind it, yes too briefly, no; one that reverts.
    (
        address!("0x0000000000000000000000000000000000a11000"),
        "631626ba7e60e01b6001175f5260205ff3",
    ),
    (
        address!("0x0000000000000000000000000000000000a11001"),
        "631626ba7e60e01b5f5260045ff3",
    ),
    (
        address!("0x0000000000000000000000000000000000a11002"),
        "63ffffffff60e01b5f5260205ff3",
    ),
    (
        address!("0x0000000000000000000000000000000000a11003"),
        "61beef5f5260205ffd",
    ),
];

/// Seconds after the last block before the tests at which each run begins.
const HEAD_START: u64 = 1_000;

#[derive(Debug)]
pub(super) struct Bench {
    chain: DevChain,
    real: Bytes,
    ours: Bytes,
    pub(super) owner: PrivateKeySigner,
    pub(super) stranger: PrivateKeySigner,
    /// A wallet with code, whose owner is `owner`.
    pub(super) wallet: Address,
    pub(super) spender: Address,
    pub(super) payee: Address,
    /// Two sound tokens.
    pub(super) tokens: [Address; 2],
    /// The second before the first step.
    pub(super) start: u64,
}

/// What one account sends to one contract.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) from: Address,
    pub(super) to: Address,
    pub(super) data: Bytes,
    /// Seconds that pass before it, beside the one between any two steps.
    pub(super) wait: u64,
    /// What both codes must answer; `None` if it is only compared.
    pub(super) expected: Option<Outcome>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Reverts(Bytes),
}

/// What can be seen of a step from outside.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) outcome: Outcome,
    /// Every call within it, with its words and its answer.
    calls: Value,
    logs: Value,
    /// Balances, allowances and nonces after it.
    state: Vec<Bytes>,
}

pub(super) fn reverts(error: &impl SolError) -> Outcome {
    Outcome::Reverts(error.abi_encode().into())
}

/// What `require(…, reason)` reverts with.
pub(super) fn says(reason: &str) -> Outcome {
    let reason = reason.to_owned();
    reverts(&Error { reason })
}

impl Bench {
    pub(super) async fn start() -> Self {
        let chain = DevChain::start().await.expect("a local chain");
        let key = |byte: u8| PrivateKeySigner::from_bytes(&B256::repeat_byte(byte)).expect("a key");
        let artifact: Value = serde_json::from_str(OURS).expect("an artifact");
        let mut bench = Self {
            real: code_of_permit2().await,
            ours: serde_json::from_value(artifact["deployedBytecode"].clone()).expect("code"),
            owner: key(0x11),
            stranger: key(0x22),
            wallet: address!("0x0000000000000000000000000000000000Aa11e7"),
            spender: address!("0x00000000000000000000000000000000005bE4d3"),
            payee: address!("0x0000000000000000000000000000000000009aEE"),
            tokens: [
                chain.asset,
                address!("0x000000000000000000000000000000000070CE40"),
            ],
            start: 0,
            chain,
        };
        bench.furnish().await;
        bench.start = bench.now().await + HEAD_START;
        bench
    }

    /// Money, approvals and odd contracts, all before either code is there.
    async fn furnish(&self) {
        let chain = &self.chain;
        chain.install(self.tokens[1], USDC).await.expect("a token");
        chain.install(self.wallet, WALLET).await.expect("a wallet");
        for (at, code) in ODD {
            self.set_code(at, &code.parse().expect("code")).await;
        }
        let own = initCall {
            firstOwner: self.owner.address(),
        }
        .abi_encode();
        let sent = chain.send_as(self.spender, self.wallet, own.into()).await;
        sent.expect("an owner for the wallet");
        for token in self.tokens {
            for account in [self.owner.address(), self.wallet] {
                let funds = U256::from(1_000_000);
                chain.mint(token, account, funds).await.expect("money");
                let approve = approveCall {
                    spender: PERMIT2,
                    value: U256::MAX,
                }
                .abi_encode();
                let sent = chain.send_as(account, token, approve.into()).await;
                sent.expect("an approval");
            }
        }
        for account in self.accounts() {
            let wei = U256::from(10).pow(U256::from(18));
            chain.fund(account, wei).await.expect("coin for gas");
            let _: Value = self.ask("anvil_impersonateAccount", (account,)).await;
        }
    }

    /// Does the steps under Permit2's own code and under ours, on the same chain and clock.
    pub(super) async fn both(&self, steps: &[Step]) -> [Vec<Seen>; 2] {
        [
            self.run(&self.real, steps).await,
            self.run(&self.ours, steps).await,
        ]
    }

    async fn run(&self, code: &Bytes, steps: &[Step]) -> Vec<Seen> {
        let before: U256 = self.ask("evm_snapshot", ()).await;
        self.set_code(PERMIT2, code).await;
        let mut seen = Vec::new();
        let mut time = self.start;
        for step in steps {
            time += 1 + step.wait;
            seen.push(self.take(step, time).await);
        }
        let back: bool = self.ask("evm_revert", (before,)).await;
        assert!(back, "the chain goes back to where it was");
        seen
    }

    async fn take(&self, step: &Step, time: u64) -> Seen {
        let _: Value = self
            .ask("evm_setNextBlockTimestamp", (U64::from(time),))
            .await;
        let transaction =
            json!({"from": step.from, "to": step.to, "data": step.data, "gas": "0x4c4b40"});
        let hash: B256 = self.ask("eth_sendTransaction", (transaction,)).await;
        let receipt = until("the step is mined", || async {
            let receipt: Value = self.ask("eth_getTransactionReceipt", (hash,)).await;
            (!receipt.is_null()).then_some(receipt)
        })
        .await;
        let tracer = json!({"tracer": "callTracer"});
        let mut calls: Value = self.ask("debug_traceTransaction", (hash, tracer)).await;
        let outcome = if receipt["status"] == "0x1" {
            Outcome::Done
        } else {
            Outcome::Reverts(data_of(&calls))
        };
        forget_gas(&mut calls);
        let logs = receipt["logs"].as_array().expect("logs").iter();
        Seen {
            outcome,
            calls,
            logs: logs
                .map(|log| json!([log["address"], log["topics"], log["data"]]))
                .collect(),
            state: self.state().await,
        }
    }

    /// All that either code could have changed of these accounts' money and permits.
    async fn state(&self) -> Vec<Bytes> {
        let owners = [self.owner.address(), self.wallet];
        let mut views = vec![(PERMIT2, IPermit2::DOMAIN_SEPARATORCall {}.abi_encode())];
        for owner in owners {
            for word in [U256::ZERO, U256::ONE, U256::MAX >> 8] {
                views.push((
                    PERMIT2,
                    IPermit2::nonceBitmapCall { owner, word }.abi_encode(),
                ));
            }
            for token in self.tokens {
                for spender in [self.spender, self.stranger.address()] {
                    let view = IPermit2::allowanceCall {
                        owner,
                        token,
                        spender,
                    };
                    views.push((PERMIT2, view.abi_encode()));
                }
            }
        }
        for token in self.tokens {
            for account in self.accounts() {
                views.push((token, balanceOfCall { account }.abi_encode()));
            }
        }
        let rpc = &self.chain.rpc;
        let reads = views.into_iter().map(|(at, view)| async move {
            rpc.call(at, &view.into()).await.expect("a view answers")
        });
        futures::future::join_all(reads).await
    }

    pub(super) fn accounts(&self) -> [Address; 5] {
        let keys = [self.owner.address(), self.stranger.address()];
        [keys[0], keys[1], self.wallet, self.spender, self.payee]
    }

    async fn now(&self) -> u64 {
        let head = self.chain.rpc.latest_block().await.expect("a block");
        head.timestamp()
    }

    async fn set_code(&self, at: Address, code: &Bytes) {
        let _: Value = self.ask("anvil_setCode", (at, code)).await;
    }

    async fn ask<P: alloy::rpc::json_rpc::RpcSend, R: alloy::rpc::json_rpc::RpcRecv>(
        &self,
        method: &'static str,
        params: P,
    ) -> R {
        let answer = self.chain.rpc.request(method, params).await;
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }
}

/// Permit2's own runtime code: anvil has it in place on its Tempo network. It is read, never kept.
///
/// Where it is copied, its cached chain id is not the chain's, so it computes its separator each time.
async fn code_of_permit2() -> Bytes {
    let mut anvil = leashed(&locate_anvil().expect("anvil"))
        .args(["--network", "tempo", "--host", "127.0.0.1", "--port", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("start anvil");
    let mut lines = BufReader::new(anvil.stdout.take().expect("its standard output")).lines();
    let listening = async {
        while let Some(line) = lines.next_line().await.expect("its output can be read") {
            if let Some(address) = line.strip_prefix("Listening on ") {
                return format!("http://{}", address.trim());
            }
        }
        panic!("anvil ended before it listened");
    };
    let url = tokio::time::timeout(PATIENCE, listening)
        .await
        .expect("anvil listens");
    let rpc = Rpc::connect_within(&url, 31_337, PATIENCE)
        .await
        .expect("its chain");
    let code: Bytes = rpc
        .request("eth_getCode", (PERMIT2, "latest"))
        .await
        .expect("its code");
    anvil.kill().await.expect("anvil ends");
    assert!(code.len() > 5_000, "Permit2 is not there");
    code
}

fn data_of(calls: &Value) -> Bytes {
    let output = calls["output"].as_str().unwrap_or("0x");
    output.parse().expect("bytes")
}

/// What the calls cost is the one thing in which the two may differ.
fn forget_gas(calls: &mut Value) {
    match calls {
        Value::Object(members) => {
            members.retain(|name, _| !matches!(name.as_str(), "gas" | "gasUsed"));
            members.values_mut().for_each(forget_gas);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_gas),
        _ => {}
    }
}
