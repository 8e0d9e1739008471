//! What one signature costs by itself: the floor under every paid call.

use super::Outcome;
use super::histogram::Durations;
use alloy::primitives::{Address, B256};
use groat::money::Units;
use groat::protocol::Network;
use groat::protocol::addresses::BATCH_SETTLEMENT;
use groat::protocol::channel::{
    ChannelConfig, Domain, check_voucher, signed_voucher, voucher_digest,
};
use groat::protocol::signature::Key;
use k256::ecdsa::VerifyingKey;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use std::time::Instant;

/// Recoveries between two looks at another library.
const TURN: usize = 50;

/// Microseconds of one recovery, and of all that checking one voucher takes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bare {
    /// k256 0.14.
    pub(crate) k256_us: f64,
    /// libsecp256k1.
    pub(crate) libsecp256k1_us: f64,
    /// `check_voucher`: the digest, the recovery, the address.
    pub(crate) voucher_us: f64,
}

impl Bare {
    /// The fastest bare recovery.
    pub(crate) fn recovery_us(self) -> f64 {
        self.k256_us.min(self.libsecp256k1_us)
    }
}

/// Times each in turn, `turns` times.
pub(crate) fn bare(turns: usize) -> Outcome<Bare> {
    let domain = Domain::new(Network::from_chain_id(84_532), BATCH_SETTLEMENT);
    let key = Key::from_bytes(&rand::random())?;
    let config = ChannelConfig {
        payer: key.address(),
        payer_authorizer: key.address(),
        receiver: Address::repeat_byte(2),
        receiver_authorizer: Address::repeat_byte(3),
        token: Address::repeat_byte(4),
        withdraw_delay: 86_400,
        salt: B256::ZERO,
    };
    let id = config.id(domain);
    let vouchers: Vec<_> = (1..=TURN as u128)
        .map(|max| signed_voucher(&key, id, Units::from_atomic(max), domain))
        .collect();
    let [mut k256, mut lib, mut whole] = [(); 3].map(|()| Durations::default());
    for _ in 0..turns {
        for voucher in &vouchers {
            let digest = voucher_digest(id, voucher.max_claimable, domain);
            let (signature, recovery) = for_k256(&voucher.signature)?;
            let begun = Instant::now();
            let prehash = std::hint::black_box(digest.as_slice());
            let found = VerifyingKey::recover_from_prehash(prehash, &signature, recovery);
            k256.record(begun.elapsed());
            found?;

            let begun = Instant::now();
            let proof = check_voucher(&config, std::hint::black_box(voucher), domain);
            whole.record(begun.elapsed());
            proof.map_err(|refused| format!("{refused:?}"))?;

            let (signature, message) = for_lib(&voucher.signature, digest)?;
            let begun = Instant::now();
            let found = std::hint::black_box(&signature).recover_ecdsa(message);
            lib.record(begun.elapsed());
            found?;
        }
    }
    let median = |durations: &Durations| durations.at(0.5).unwrap_or_default();
    Ok(Bare {
        k256_us: median(&k256),
        libsecp256k1_us: median(&lib),
        voucher_us: median(&whole),
    })
}

fn for_k256(bytes: &[u8]) -> Outcome<(k256::ecdsa::Signature, k256::ecdsa::RecoveryId)> {
    let (rs, v) = bytes.split_at(64);
    let recovery = k256::ecdsa::RecoveryId::new(v.first() == Some(&28), false);
    Ok((k256::ecdsa::Signature::from_slice(rs)?, recovery))
}

fn for_lib(bytes: &[u8], digest: B256) -> Outcome<(RecoverableSignature, secp256k1::Message)> {
    let (rs, v) = bytes.split_at(64);
    let odd = v.first() == Some(&28);
    let id = if odd {
        RecoveryId::One
    } else {
        RecoveryId::Zero
    };
    let signature = RecoverableSignature::from_compact(rs, id)?;
    Ok((signature, secp256k1::Message::from_digest(digest.0)))
}
