//! The facilitator as its crates build it, over one chain and one scheme.

use crate::{Failure, variable};
use alloy_provider::Provider;
use serde_json::Value;
use std::{collections::HashMap, error::Error, sync::Arc, time::Duration};
use url::Url;
use x402_chain_eip155::{
    V2Eip155Exact,
    chain::{
        Eip155ChainProvider, Eip155ChainReference, Eip155MetaTransactionProvider,
        config::{Eip155ChainConfig, Eip155ChainConfigInner, EvmPrivateKey, RpcConfig},
    },
    v1_eip155_exact::VALIDATOR_ADDRESS,
};
use x402_facilitator_local::FacilitatorLocal;
use x402_types::{
    chain::{ChainId, ChainProviderOps, ChainRegistry, FromConfig},
    config::LiteralOrEnv,
    scheme::{
        SchemeBlueprints, SchemeConfig, SchemeRegistry, X402SchemeFacilitator,
        X402SchemeFacilitatorBuilder, X402SchemeId,
    },
};

/// The pause between two looks for a mined block. The crate takes its node for a distant one and would look every
/// 7 seconds whenever a receipt is not there at once.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Connects to the node that `RPC_URL` names, and settles with `RELAYER_KEY`.
pub(crate) async fn local() -> Result<Arc<FacilitatorLocal<SchemeRegistry>>, Failure> {
    let config = chain_config()?;
    let chain_id = config.chain_id();
    allow_no_validator(&config).await?;
    let provider = Eip155ChainProvider::from_config(&config)
        .await
        .map_err(|error| error.to_string())?;
    provider.inner().client().set_poll_interval(POLL_INTERVAL);

    let chain = Chain(Arc::new(provider));
    let chains = ChainRegistry::new(HashMap::from([(chain_id.clone(), chain)]));
    let schemes = SchemeBlueprints::new().and_register(V2Eip155Exact);
    let exact = SchemeConfig {
        enabled: true,
        id: V2Eip155Exact.id(),
        chains: chain_id.into(),
        config: None,
    };
    let registry = SchemeRegistry::build(chains, schemes, &vec![exact]);
    Ok(Arc::new(FacilitatorLocal::new(registry)))
}

fn chain_config() -> Result<Eip155ChainConfig, Failure> {
    let key: EvmPrivateKey = variable("RELAYER_KEY")?.parse()?;
    let node: Url = variable("RPC_URL")?.parse()?;
    Ok(Eip155ChainConfig {
        chain_reference: Eip155ChainReference::new(variable("CHAIN_ID")?.parse()?),
        inner: Eip155ChainConfigInner {
            eip1559: true,
            // Estimates gas on the latest block: on a pending one the node would first carry out all that waits.
            flashblocks: true,
            signers: vec![LiteralOrEnv::from_literal(key)],
            rpc: vec![RpcConfig {
                http: LiteralOrEnv::from_literal(node),
                rate_limit: None,
            }],
            receipt_timeout_secs: 30,
        },
    })
}

/// The crate refuses to start on a chain without the validator of EIP-6492 signatures, which plain keys never make.
/// What is put there is the invalid instruction, so that a call would fail.
async fn allow_no_validator(config: &Eip155ChainConfig) -> Result<(), Failure> {
    let node = Eip155ChainProvider::rpc_client(config.chain_id(), config.rpc());
    node.request::<_, Value>("anvil_setCode", (VALIDATOR_ADDRESS, "0xfe"))
        .await?;
    Ok(())
}

/// A chain as the registry wants it: its schemes are built over a reference.
struct Chain(Arc<Eip155ChainProvider>);

impl ChainProviderOps for Chain {
    fn signer_addresses(&self) -> Vec<String> {
        ChainProviderOps::signer_addresses(&*self.0)
    }

    fn chain_id(&self) -> ChainId {
        self.0.chain_id()
    }
}

impl X402SchemeFacilitatorBuilder<&Chain> for V2Eip155Exact {
    fn build(
        &self,
        chain: &Chain,
        config: Option<Value>,
    ) -> Result<Box<dyn X402SchemeFacilitator>, Box<dyn Error>> {
        X402SchemeFacilitatorBuilder::build(self, Arc::clone(&chain.0), config)
    }
}
