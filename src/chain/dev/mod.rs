//! The local chain of `groat dev` and of tests: an anvil of our own, with the token, Permit2 and the
//! x402 contracts in place.
//!
//! Its chain id and token address are Base Sepolia's, because published clients pay only assets they
//! know; signatures bind address and chain id, never code. Keys are fresh at each start: a key that
//! is in every tutorial would one day be funded by mistake.

mod anvil;
mod leash;
mod place;
mod tempo;

pub use anvil::{DevError, locate_anvil};
pub use leash::leashed;
pub use place::SETTLER;
pub use tempo::{PATH_USD, TEMPO_CHAIN_ID, TEMPO_ESCROW, TempoChain};

use super::bindings::{IEip3009Token, IStandIn};
use super::{ChainError, Receipt, Rpc};
use alloy::primitives::{Address, B256, Bytes, U256, address};
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolCall;
use anvil::Anvil;
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Base Sepolia's chain id.
pub const CHAIN_ID: u64 = 84_532;

/// Base Sepolia's USDC.
pub const ASSET: Address = address!("0x036CbD53842c5426634e7929541eC2318f3dCF7e");

/// What the payer starts with: 10,000 USDC in atomic units.
pub const PAYER_FUNDS: u64 = 10_000_000_000;

/// What the relayer starts with: 100 ETH in wei.
const RELAYER_FUNDS: U256 = U256::from_limbs([7_766_279_631_452_241_920, 5, 0, 0]);

/// How long a transaction of the set-up may take to be mined.
const MINING_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause between two looks for it.
const MINING_POLL: Duration = Duration::from_millis(2);

/// A running local chain; dropping it kills the node.
#[derive(Debug)]
pub struct DevChain {
    /// Where the node listens, on loopback.
    pub rpc_url: String,
    /// The chain's id, [`CHAIN_ID`].
    pub chain_id: u64,
    /// The USDC stand-in's address, [`ASSET`].
    pub asset: Address,
    /// A payer with [`PAYER_FUNDS`] and no native coin.
    pub payer_key: PrivateKeySigner,
    /// The payee.
    pub pay_to_key: PrivateKeySigner,
    /// The relayer, with native coin for gas.
    pub relayer_key: PrivateKeySigner,
    /// A client of the node.
    pub rpc: Rpc,
    node: Anvil,
}

impl DevChain {
    /// Starts the node that [`locate_anvil`] finds, and sets the chain up.
    pub async fn start() -> Result<Self, DevError> {
        Self::start_with(&locate_anvil()?).await
    }

    /// Starts this anvil, and sets the chain up.
    pub async fn start_with(anvil: &Path) -> Result<Self, DevError> {
        let node = Anvil::spawn(anvil, CHAIN_ID, &["--hardfork", "cancun"]).await?;
        let rpc_url = node.rpc_url();
        let rpc = Rpc::connect_within(&rpc_url, CHAIN_ID, Duration::from_secs(10)).await?;
        let chain = Self {
            rpc_url,
            chain_id: CHAIN_ID,
            asset: ASSET,
            payer_key: fresh_key(),
            pay_to_key: fresh_key(),
            relayer_key: fresh_key(),
            rpc,
            node,
        };
        place::contracts(&chain.rpc).await?;
        chain
            .fund(chain.relayer_key.address(), RELAYER_FUNDS)
            .await?;
        let funds = U256::from(PAYER_FUNDS);
        chain.mint(ASSET, chain.payer_key.address(), funds).await?;
        Ok(chain)
    }

    /// Puts the runtime code of a compiled artifact (JSON with `deployedBytecode`) at an address.
    pub async fn install(&self, at: Address, artifact: &str) -> Result<(), DevError> {
        let artifact = place::Artifact::read(artifact)?;
        let _: serde_json::Value = self
            .rpc
            .request("anvil_setCode", (at, artifact.deployed_bytecode))
            .await?;
        Ok(())
    }

    /// Puts Groat's own settler at [`SETTLER`], where these accounts may call it, and answers that.
    ///
    /// Called again, it adds accounts; none is ever removed.
    pub async fn settler(&self, relayers: &[Address]) -> Result<Address, DevError> {
        place::settler(&self.rpc, relayers).await
    }

    /// Sets an account's native coin, in wei.
    pub async fn fund(&self, account: Address, wei: U256) -> Result<(), DevError> {
        let _: serde_json::Value = self.rpc.request("anvil_setBalance", (account, wei)).await?;
        Ok(())
    }

    /// Makes tokens of a stand-in, in atomic units.
    pub async fn mint(&self, asset: Address, to: Address, value: U256) -> Result<(), DevError> {
        let calldata = IStandIn::mintCall { to, value }.abi_encode().into();
        self.send_as(self.pay_to_key.address(), asset, calldata)
            .await
    }

    /// Makes a call as any account, without its key, at no cost of gas to it.
    pub async fn send_as(
        &self,
        from: Address,
        to: Address,
        calldata: Bytes,
    ) -> Result<(), DevError> {
        let balance: U256 = self.rpc.request("eth_getBalance", (from, "latest")).await?;
        self.fund(from, balance.saturating_add(RELAYER_FUNDS))
            .await?;
        let _: serde_json::Value = self
            .rpc
            .request("anvil_impersonateAccount", (from,))
            .await?;
        let transaction = json!({ "from": from, "to": to, "data": calldata });
        let hash: B256 = self
            .rpc
            .request("eth_sendTransaction", (transaction,))
            .await?;
        let _: serde_json::Value = self
            .rpc
            .request("anvil_stopImpersonatingAccount", (from,))
            .await?;
        let done = done(&self.rpc, hash).await;
        self.fund(from, balance).await?;
        done.map(drop)
    }

    /// A token balance in atomic units.
    pub async fn balance_of(&self, asset: Address, account: Address) -> Result<U256, ChainError> {
        balance_of(&self.rpc, asset, account).await
    }

    /// Stops the node and waits until it is gone.
    pub async fn stop(self) -> Result<(), DevError> {
        self.node.stop().await
    }
}

/// The receipt of a transaction of ours, which has to succeed. The node answers before it has mined,
/// so the receipt is asked for until it is there.
async fn done(rpc: &Rpc, transaction: B256) -> Result<Receipt, DevError> {
    let mined = async {
        loop {
            if let Some(receipt) = rpc.receipt(transaction).await? {
                return Ok::<_, ChainError>(receipt);
            }
            sleep(MINING_POLL).await;
        }
    };
    let receipt = timeout(MINING_TIMEOUT, mined)
        .await
        .map_err(|_| DevError::Setup(format!("{transaction} is not mined")))??;
    if receipt.is_success() {
        Ok(receipt)
    } else {
        Err(DevError::Setup(format!("{transaction} reverted")))
    }
}

async fn balance_of(rpc: &Rpc, asset: Address, account: Address) -> Result<U256, ChainError> {
    let call = IEip3009Token::balanceOfCall { account };
    let answer = rpc.call(asset, &call.abi_encode().into()).await?;
    super::preflight::decode::<IEip3009Token::balanceOfCall>(&answer)
}

/// A key of nobody's but this chain's.
fn fresh_key() -> PrivateKeySigner {
    PrivateKeySigner::random()
}
