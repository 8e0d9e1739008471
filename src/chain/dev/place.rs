//! Contracts at the addresses that clients know.
//!
//! A contract that keeps words of its constructor's in its code must have run it: `eth_call` without
//! a receiver does that and answers the code, so that nothing need be deployed to be copied.

use super::{ASSET, DevError};
use crate::chain::Rpc;
use crate::chain::rpc::Answer;
use crate::protocol::addresses::{
    BATCH_SETTLEMENT, ERC3009_COLLECTOR, EXACT_PROXY, MULTICALL3, PERMIT2, PERMIT2_COLLECTOR,
    UPTO_PROXY,
};
use alloy::primitives::{Address, B256, Bytes, U256, address, keccak256};
use alloy::sol_types::SolValue;
use serde::Deserialize;
use serde_json::{Value, json};

/// Where the local chain has Groat's settler, once it was asked for.
pub const SETTLER: Address = address!("0x5e771e4000000000000000000000000000000001");

/// The slot of the settler's map of relayers, its only state.
const SETTLER_RELAYERS_SLOT: U256 = U256::ZERO;

const SETTLER_ARTIFACT: &str = include_str!("../../../contracts/artifacts/Settler.json");

/// What stands on the chain from its start: where, which artifact, made with which addresses.
const PLACES: [(Address, &str, &[Address]); 8] = [
    (
        ASSET,
        include_str!("../../../contracts/artifacts/UsdcStandIn.json"),
        &[],
    ),
    (
        MULTICALL3,
        include_str!("../../../contracts/artifacts/Multicall3.json"),
        &[],
    ),
    (
        PERMIT2,
        include_str!("../../../contracts/artifacts/Permit2StandIn.json"),
        &[],
    ),
    (
        EXACT_PROXY,
        include_str!("../../../contracts/artifacts/ExactPermit2Proxy.json"),
        &[PERMIT2],
    ),
    (
        UPTO_PROXY,
        include_str!("../../../contracts/artifacts/UptoPermit2Proxy.json"),
        &[PERMIT2],
    ),
    (
        BATCH_SETTLEMENT,
        include_str!("../../../contracts/artifacts/BatchSettlement.json"),
        &[],
    ),
    (
        ERC3009_COLLECTOR,
        include_str!("../../../contracts/artifacts/Erc3009DepositCollector.json"),
        &[BATCH_SETTLEMENT],
    ),
    (
        PERMIT2_COLLECTOR,
        include_str!("../../../contracts/artifacts/Permit2DepositCollector.json"),
        &[BATCH_SETTLEMENT, PERMIT2],
    ),
];

/// Puts every contract in its place that is not there already.
pub(super) async fn contracts(rpc: &Rpc) -> Result<(), DevError> {
    let mut batch = rpc.batch();
    let mut asked = Vec::with_capacity(PLACES.len());
    for (at, artifact, addresses) in PLACES {
        let words = addresses.iter().flat_map(|a| a.into_word().0).collect();
        let code = Artifact::read(artifact)?.construct(words);
        let there: Answer<Bytes> = batch.ask("eth_getCode", &(at, "latest"))?;
        let made: Answer<Bytes> = batch.ask("eth_call", &(code, "latest"))?;
        asked.push((at, there, made));
    }
    batch.send().await?;
    let mut codes = Vec::with_capacity(asked.len());
    for (at, there, made) in asked {
        if there.get().await?.is_empty() {
            codes.push((at, made.get().await?));
        }
    }
    for done in rpc.many::<_, Value>("anvil_setCode", &codes).await? {
        done?;
    }
    Ok(())
}

/// Puts the settler in its place, callable by these accounts; nobody can add to them but this chain.
pub(super) async fn settler(rpc: &Rpc, relayers: &[Address]) -> Result<Address, DevError> {
    let nobody: Vec<Address> = Vec::new();
    let words = (
        Address::ZERO,
        UPTO_PROXY,
        EXACT_PROXY,
        BATCH_SETTLEMENT,
        nobody,
    );
    let code = Artifact::read(SETTLER_ARTIFACT)?.construct(words.abi_encode_params());
    let code: Bytes = rpc.request("eth_call", (code, "latest")).await?;
    let mut batch = rpc.batch();
    let placed: Answer<Value> = batch.ask("anvil_setCode", &(SETTLER, code))?;
    let mut allowed: Vec<Answer<Value>> = Vec::with_capacity(relayers.len());
    for relayer in relayers {
        // Code alone is copied, so what the constructor stores is stored here.
        let slot = keccak256((*relayer, SETTLER_RELAYERS_SLOT).abi_encode());
        let yes = B256::with_last_byte(1);
        allowed.push(batch.ask("anvil_setStorageAt", &(SETTLER, slot, yes))?);
    }
    batch.send().await?;
    placed.get().await?;
    for done in allowed {
        done.get().await?;
    }
    Ok(SETTLER)
}

/// A compiled contract, as far as it is needed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Artifact {
    bytecode: Bytes,
    pub(super) deployed_bytecode: Bytes,
}

impl Artifact {
    pub(super) fn read(artifact: &str) -> Result<Self, DevError> {
        serde_json::from_str(artifact).map_err(|error| DevError::Artifact(error.to_string()))
    }

    /// The call that answers the code as the constructor leaves it.
    fn construct(&self, words: Vec<u8>) -> Value {
        let mut code = self.bytecode.to_vec();
        code.extend(words);
        json!({ "data": Bytes::from(code) })
    }
}
