#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test stops where it fails"
)]
//! libsecp256k1 recovers; k256 is what it is held against: the same address, or none.

use super::*;
use alloy::primitives::{U256, uint};
use k256::ecdsa::VerifyingKey;
use proptest::prelude::*;

/// The order of the curve.
const ORDER: U256 = uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);

/// The prime of the field that the curve is over.
const FIELD: U256 = uint!(0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f_U256);

fn by_k256(digest: B256, bytes: &[u8; 65]) -> Result<Address, SignatureError> {
    let signature = EcdsaSignature::from_bytes(bytes)?;
    VerifyingKey::recover_from_prehash(digest.as_slice(), &signature.inner, signature.recovery)
        .map(|key| address_of(key.to_sec1_point(false).as_bytes()))
        .map_err(|_| SignatureError::NoKey)
}

fn bytes(r: U256, s: U256, v: u8) -> [u8; 65] {
    let mut bytes = [0; 65];
    bytes[..32].copy_from_slice(&r.to_be_bytes::<32>());
    bytes[32..64].copy_from_slice(&s.to_be_bytes::<32>());
    bytes[64] = v;
    bytes
}

#[test]
fn both_libraries_agree_at_the_edges_of_every_range() {
    let half = ORDER >> 1;
    let one = U256::from(1);
    let numbers = [
        U256::ZERO,
        one,
        U256::from(2),
        // The smallest x that no point of the curve has.
        U256::from(5),
        half - one,
        half,
        half + one,
        ORDER - one,
        ORDER,
        ORDER + one,
        FIELD - ORDER,
        FIELD - one,
        FIELD,
        U256::MAX,
    ];
    let (mut recovered, mut refused) = (0, 0);
    for digest in numbers.map(B256::from) {
        for r in numbers {
            for s in numbers {
                for v in [27, 28] {
                    let bytes = bytes(r, s, v);
                    let found = recover(digest, &bytes);
                    assert_eq!(found, by_k256(digest, &bytes), "{digest} {r:x} {s:x} {v}");
                    let count = if found.is_ok() {
                        &mut recovered
                    } else {
                        &mut refused
                    };
                    *count += 1;
                }
            }
        }
    }
    assert!(recovered > 250 && refused > 250, "{recovered} {refused}");
}

/// A signature whose key would be the point at infinity: with R = G and s = z, so s·R = z·G.
#[test]
fn the_point_at_infinity_is_nobodys_key() {
    let generator = uint!(0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798_U256);
    for z in [U256::from(1), U256::from(7), ORDER >> 1] {
        let (digest, bytes) = (B256::from(z), bytes(generator, z, 27));
        assert_eq!(recover(digest, &bytes), Err(SignatureError::NoKey));
        assert_eq!(by_k256(digest, &bytes), Err(SignatureError::NoKey));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn both_libraries_recover_who_signed(seed in any::<[u8; 32]>(), digest in any::<[u8; 32]>(), legacy in any::<bool>()) {
        prop_assume!(Key::from_bytes(&seed).is_ok());
        let (key, digest) = (Key::from_bytes(&seed).unwrap(), B256::from(digest));
        let mut bytes = key.sign(digest).to_bytes();
        if legacy {
            bytes[64] -= 27;
        }
        prop_assert_eq!(recover(digest, &bytes), Ok(key.address()));
        prop_assert_eq!(by_k256(digest, &bytes), Ok(key.address()));
    }

    #[test]
    fn both_libraries_agree_on_whatever_comes(seed in any::<[u8; 32]>(), digest in any::<[u8; 32]>(), at in 0..64_usize, bit in 0..8_u32, v in 0..32_u8) {
        prop_assume!(Key::from_bytes(&seed).is_ok());
        let digest = B256::from(digest);
        let mut bytes = Key::from_bytes(&seed).expect("a key").sign(digest).to_bytes();
        bytes[at] ^= 1 << bit;
        bytes[64] = v;
        prop_assert_eq!(recover(digest, &bytes), by_k256(digest, &bytes));
        // The other twin of the same signature.
        let s = U256::from_be_slice(&bytes[32..64]);
        if s < ORDER && !s.is_zero() {
            bytes[32..64].copy_from_slice(&(ORDER - s).to_be_bytes::<32>());
            prop_assert_eq!(recover(digest, &bytes), by_k256(digest, &bytes));
        }
    }
}
