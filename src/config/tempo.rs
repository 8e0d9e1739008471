//! How payments are taken on Tempo (`[tempo]`), where the chain is one and the rails say so.

use super::Secret;
use super::rails::{RailKind, usd};
use super::reader::{Mistake, Reader};
use super::sections::{KEY_FORM, is_key};
use crate::money::{AssetDecimals, Units};
use alloy::primitives::{Address, address};
use std::time::Duration;

/// What the rails of Tempo need to know beside the chain and the asset.
#[derive(Debug, Clone)]
pub struct TempoConfig {
    /// Pays the gas of payments by `tempo/charge`, in the asset; without one payers pay it themselves.
    pub fee_payer_key: Option<Secret>,
    /// How long a challenge of `tempo/charge` can be paid: what is signed for it must be in a block within
    /// 30 s, and some kits sign until the challenge's end.
    pub charge_expires: Duration,
    /// The contract that keeps the channels of `tempo/session`.
    pub escrow: Option<Address>,
    /// What a payer is told to fill a channel with.
    pub suggested_deposit: Units,
    /// How long a stream waits for the voucher that pays for it to go on.
    pub voucher_patience: Duration,
}

/// Where the contract stands on the chains that have one.
const ESCROWS: [(u64, Address); 2] = [
    (4217, address!("0x33b901018174DDabE4841042ab76ba85D4e24f25")),
    (
        42431,
        address!("0xe1c4d3dce17bc111181ddf716f75bae49e61a336"),
    ),
];

impl TempoConfig {
    pub(super) fn read(
        mut r: Reader<'_>,
        (chain_id, decimals): (u64, AssetDecimals),
        rails: &[RailKind],
        mistakes: &mut Vec<Mistake>,
    ) -> Self {
        let known = ESCROWS.iter().find(|(id, _)| *id == chain_id);
        let patience = r.number("voucher_patience_ms", 60_000, 100..=600_000);
        let expires = r.number("charge_expires_seconds", 25, 15..=3600);
        let config = Self {
            charge_expires: Duration::from_secs(expires),
            fee_payer_key: r.secret("fee_payer_key"),
            escrow: r.address("escrow").or(known.map(|(_, escrow)| *escrow)),
            suggested_deposit: usd(&mut r, "suggested_deposit_usd", "1.00", decimals),
            voucher_patience: Duration::from_millis(patience),
        };
        if config.escrow.is_none() && rails.contains(&RailKind::TempoSession) {
            r.wrong("escrow", "is required for \"tempo-session\" on this chain");
        }
        if let Some(key) = &config.fee_payer_key
            && !is_key(key)
        {
            r.wrong("fee_payer_key", KEY_FORM);
        }
        mistakes.extend(r.finish());
        config
    }
}
