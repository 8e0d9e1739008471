//! The local Tempo of the tests of MPP's `tempo` rails: an anvil of our own in its Tempo mode, with the
//! escrow of `tempo/session` in place.
//!
//! Tempo has no native coin: gas is paid in a TIP-20 token, and every account's `eth_getBalance` is one
//! huge number. Anvil checks a native balance all the same before it takes a plain transaction, so the
//! accounts here are given that very number.

use super::anvil::{Anvil, DevError, locate_anvil};
use super::{PAYER_FUNDS, balance_of, done, fresh_key, place};
use crate::chain::bindings::IEip3009Token;
use crate::chain::{ChainError, Receipt, Rpc};
use alloy::primitives::{Address, B256, Bytes, U256, address, uint};
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolCall;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::sync::Mutex;

/// The chain id of a local Tempo, as Tempo's own tools have it.
pub const TEMPO_CHAIN_ID: u64 = 1337;

/// pathUSD, the TIP-20 token of 6 decimals that every Tempo has.
pub const PATH_USD: Address = address!("0x20c0000000000000000000000000000000000000");

/// Where the stand-in of `TempoStreamChannel` stands; clients have to be told of it.
pub const TEMPO_ESCROW: Address = address!("0xe5C2030000000000000000000000000000000001");

const ESCROW_ARTIFACT: &str = include_str!("../../../contracts/artifacts/TempoStreamChannel.json");

/// Blocks come by the second, because transactions of clients are valid for seconds by the chain's time,
/// and anvil's stands still between blocks. The newest rules are those that this anvil knows whole.
const RULES: [&str; 8] = [
    "--network",
    "tempo",
    "--hardfork",
    "T3",
    "--block-time",
    "1",
    "--gas-limit",
    "500000000",
];

/// What a Tempo answers for every account's native balance.
const NATIVE_BALANCE: U256 =
    uint!(0x9612084f0316e0ebd5182f398e5195a51b5ca47667d4c9b26c9b26c9b26c9b2_U256);

/// A running local Tempo; dropping it kills the node.
#[derive(Debug)]
pub struct TempoChain {
    /// Where the node listens, on loopback.
    pub rpc_url: String,
    /// The chain's id, [`TEMPO_CHAIN_ID`].
    pub chain_id: u64,
    /// The token that is paid in, [`PATH_USD`].
    pub asset: Address,
    /// The escrow of `tempo/session`, [`TEMPO_ESCROW`].
    pub escrow: Address,
    /// A payer with [`PAYER_FUNDS`] of pathUSD.
    pub payer_key: PrivateKeySigner,
    /// The payee, with pathUSD for gas: it is the payee who settles and closes channels.
    pub pay_to_key: PrivateKeySigner,
    /// The relayer, with pathUSD for gas.
    pub relayer_key: PrivateKeySigner,
    /// A client of the node.
    pub rpc: Rpc,
    /// An account of anvil's own, with more of every token than any test needs.
    bank: Address,
    /// Anvil gives each transaction of the bank its nonce when it comes, one after another.
    sending: Mutex<()>,
    node: Anvil,
}

impl TempoChain {
    /// Starts the node that [`locate_anvil`] finds, and sets the chain up.
    pub async fn start() -> Result<Self, DevError> {
        Self::start_with(&locate_anvil()?).await
    }

    /// Starts this anvil, and sets the chain up.
    pub async fn start_with(anvil: &Path) -> Result<Self, DevError> {
        let node = Anvil::spawn(anvil, TEMPO_CHAIN_ID, &RULES).await?;
        let rpc_url = node.rpc_url();
        let rpc = Rpc::connect_within(&rpc_url, TEMPO_CHAIN_ID, Duration::from_secs(10)).await?;
        let accounts: Vec<Address> = rpc.request("eth_accounts", ()).await?;
        let bank = *accounts
            .first()
            .ok_or_else(|| DevError::Setup("the node has no account".to_owned()))?;
        let chain = Self {
            rpc_url,
            chain_id: TEMPO_CHAIN_ID,
            asset: PATH_USD,
            escrow: TEMPO_ESCROW,
            payer_key: fresh_key(),
            pay_to_key: fresh_key(),
            relayer_key: fresh_key(),
            rpc,
            bank,
            sending: Mutex::new(()),
            node,
        };
        let code = place::Artifact::read(ESCROW_ARTIFACT)?.deployed_bytecode;
        let _: Value = chain
            .rpc
            .request("anvil_setCode", (TEMPO_ESCROW, code))
            .await?;
        let funds = U256::from(PAYER_FUNDS);
        let mut given = Vec::new();
        for key in [&chain.payer_key, &chain.pay_to_key, &chain.relayer_key] {
            chain.endow(key.address()).await?;
            given.push(chain.send_gift(key.address(), funds).await?);
        }
        // One block at once, so that nobody waits for the first, and the chain's time is not its birth's.
        let _: Value = chain.rpc.request("evm_mine", ()).await?;
        for transaction in given {
            done(&chain.rpc, transaction).await?;
        }
        Ok(chain)
    }

    /// Transfers pathUSD of the bank's to an account, in atomic units, and waits until it is mined.
    ///
    /// The account can then send plain transactions too.
    pub async fn give(&self, to: Address, units: U256) -> Result<(), DevError> {
        self.endow(to).await?;
        let transaction = self.send_gift(to, units).await?;
        done(&self.rpc, transaction).await.map(drop)
    }

    /// Makes a call as any account, without its key, and waits for its receipt; the account pays the gas
    /// in its own pathUSD.
    pub async fn send_as(
        &self,
        from: Address,
        to: Address,
        calldata: Bytes,
    ) -> Result<Receipt, DevError> {
        self.endow(from).await?;
        let _: Value = self
            .rpc
            .request("anvil_impersonateAccount", (from,))
            .await?;
        let transaction = self.send(from, to, &calldata).await?;
        done(&self.rpc, transaction).await
    }

    /// A balance of pathUSD in atomic units.
    pub async fn balance_of(&self, account: Address) -> Result<U256, ChainError> {
        balance_of(&self.rpc, self.asset, account).await
    }

    /// Stops the node and waits until it is gone.
    pub async fn stop(self) -> Result<(), DevError> {
        self.node.stop().await
    }

    /// Gives an account the native balance that a Tempo says everyone has.
    async fn endow(&self, account: Address) -> Result<(), DevError> {
        let _: Value = self
            .rpc
            .request("anvil_setBalance", (account, NATIVE_BALANCE))
            .await?;
        Ok(())
    }

    async fn send_gift(&self, to: Address, value: U256) -> Result<B256, DevError> {
        let calldata = IEip3009Token::transferCall { to, value }.abi_encode();
        let _one_by_one = self.sending.lock().await;
        self.send(self.bank, self.asset, &calldata.into()).await
    }

    async fn send(&self, from: Address, to: Address, calldata: &Bytes) -> Result<B256, DevError> {
        let transaction = json!({ "from": from, "to": to, "data": calldata });
        Ok(self
            .rpc
            .request("eth_sendTransaction", (transaction,))
            .await?)
    }
}
