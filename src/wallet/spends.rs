//! Whether a signed payment can still move anything.

use super::chain::Chain;
use crate::chain::ChainError;
use alloy::primitives::{Address, B256, U256};

/// How long after its end a payment counts as dead, in seconds of the chain's own time: a block that a
/// reorganisation puts in its place may be older.
const MARGIN_S: u64 = 60;

/// What a signature can be used for, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spends {
    /// Whether it is one of Permit2; otherwise of EIP-3009.
    pub by_permit2: bool,
    /// Its nonce.
    pub nonce: B256,
    /// When it ends, in Unix seconds.
    pub until_s: u64,
}

/// How such a signature stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may still be used.
    Alive,
    /// It was used, or taken back.
    Used,
    /// It was never used, and cannot be any more.
    Dead,
}

impl Spends {
    /// How it stands by what the chain says.
    pub async fn standing(
        &self,
        chain: &Chain,
        owner: Address,
        asset: Address,
    ) -> Result<Standing, ChainError> {
        let now_s = chain.now_s().await?;
        let used = match self.by_permit2 {
            true => chain.permit2_used(owner, self.nonce.into()).await?,
            false => chain.authorization_used(asset, owner, self.nonce).await?,
        };
        Ok(match used {
            true => Standing::Used,
            false if now_s >= self.until_s.saturating_add(MARGIN_S) => Standing::Dead,
            false => Standing::Alive,
        })
    }
}

/// The word of Permit2's bitmap that a nonce is in, and its bit there.
pub(super) fn place(nonce: U256) -> (U256, usize) {
    (nonce >> 8, usize::from(nonce.byte(0)))
}
