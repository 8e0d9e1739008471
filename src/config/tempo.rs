//! How payments are taken on Tempo (`[tempo]`), where the chain is one and the rails say so.

use super::Secret;
use super::reader::{Mistake, Reader};
use super::sections::{KEY_FORM, is_key};

/// What the rails of Tempo need to know beside the chain and the asset.
#[derive(Debug, Clone)]
pub struct TempoConfig {
    /// Pays the gas of payments by `tempo/charge`, in the asset; without one payers pay it themselves.
    pub fee_payer_key: Option<Secret>,
}

impl TempoConfig {
    pub(super) fn read(mut r: Reader<'_>, mistakes: &mut Vec<Mistake>) -> Self {
        let config = Self {
            fee_payer_key: r.secret("fee_payer_key"),
        };
        if let Some(key) = &config.fee_payer_key
            && !is_key(key)
        {
            r.wrong("fee_payer_key", KEY_FORM);
        }
        mistakes.extend(r.finish());
        config
    }
}
