//! secp256k1 signatures as Ethereum writes them: 65 bytes `r ‖ s ‖ v`.

use alloy::primitives::{Address, B256, keccak256};
use k256::ecdsa::{RecoveryId, Signature, SigningKey};
use k256::elliptic_curve::scalar::IsHigh as _;
use secp256k1::Message;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId as Parity};
use std::fmt;

/// Why a signature was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The signature is not 65 bytes.
    #[error("the signature is not 65 bytes (r, s, v)")]
    Length,
    /// The last byte is none of 0, 1, 27, 28.
    #[error("the signature's last byte (v) is none of 0, 1, 27, 28")]
    RecoveryByte,
    /// `r` or `s` is zero or not below the order of the curve.
    #[error("the signature's r or s is out of range")]
    Range,
    /// `s` is in the upper half of its range: the malleable twin of another signature.
    #[error("the signature's s is in the upper half of its range; sign with the lower one")]
    HighS,
    /// No public key belongs to this signature and digest.
    #[error("no key can have made this signature")]
    NoKey,
    /// The signature is wrapped for a smart wallet that is not deployed yet (EIP-6492).
    #[error("the signature is wrapped by EIP-6492, for a wallet that is not deployed yet")]
    Eip6492,
}

/// An ECDSA signature in range, with low `s`: the one form a token contract accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EcdsaSignature {
    inner: Signature,
    recovery: RecoveryId,
}

impl EcdsaSignature {
    /// Reads 65 bytes `r ‖ s ‖ v`, `v` being 0, 1, 27 or 28.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SignatureError> {
        let Some((rs, &[v])) = bytes.split_at_checked(64) else {
            return Err(SignatureError::Length);
        };
        let y_is_odd = match v {
            0 | 27 => false,
            1 | 28 => true,
            _ => return Err(SignatureError::RecoveryByte),
        };
        let inner = Signature::from_slice(rs).map_err(|_| SignatureError::Range)?;
        if bool::from(inner.s().is_high()) {
            return Err(SignatureError::HighS);
        }
        let recovery = RecoveryId::new(y_is_odd, false);
        Ok(Self { inner, recovery })
    }

    /// The address whose key signed `digest`; costs about 65 µs (`docs/adr/0002-signatures.md`).
    pub fn recover(&self, digest: B256) -> Result<Address, SignatureError> {
        let parity = Parity::from_u8_masked(u8::from(self.recovery.is_y_odd()));
        RecoverableSignature::from_compact(&self.inner.to_bytes(), parity)
            .and_then(|signature| signature.recover_ecdsa(Message::from_digest(digest.0)))
            .map(|key| address_of(&key.serialize_uncompressed()))
            .map_err(|_| SignatureError::NoKey)
    }

    /// The 65 bytes `r ‖ s ‖ v` with `v` 27 or 28, as contracts expect them.
    pub fn to_bytes(self) -> [u8; 65] {
        let mut bytes = [0; 65];
        let (rs, v) = bytes.split_at_mut(64);
        rs.copy_from_slice(&self.inner.to_bytes());
        v.fill(self.v());
        bytes
    }

    /// The contract argument `r`.
    pub fn r(&self) -> B256 {
        B256::from_slice(&self.inner.r().to_bytes())
    }

    /// The contract argument `s`.
    pub fn s(&self) -> B256 {
        B256::from_slice(&self.inner.s().to_bytes())
    }

    /// The contract argument `v`: 27 or 28.
    pub fn v(&self) -> u8 {
        if self.recovery.is_y_odd() { 28 } else { 27 }
    }
}

/// The form a signature has, told from its bytes alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureKind {
    /// 65 bytes of a single key.
    Ecdsa65(EcdsaSignature),
    /// Something only a contract can judge (ERC-1271).
    Other(Vec<u8>),
}

impl SignatureKind {
    /// Tells the form of `bytes`; fails for EIP-6492 and for 65 bytes that no key can have made.
    pub fn of(bytes: &[u8]) -> Result<Self, SignatureError> {
        if is_eip6492(bytes) {
            Err(SignatureError::Eip6492)
        } else if bytes.len() == 65 {
            EcdsaSignature::from_bytes(bytes).map(Self::Ecdsa65)
        } else {
            Ok(Self::Other(bytes.to_vec()))
        }
    }
}

/// Whether the signature ends with EIP-6492's 32 magic bytes.
pub fn is_eip6492(signature: &[u8]) -> bool {
    signature
        .last_chunk::<32>()
        .is_some_and(|tail| tail.chunks_exact(2).all(|pair| pair == [0x64, 0x92]))
}

/// The address whose key made the 65-byte `signature` over `digest`.
pub fn recover(digest: B256, signature: &[u8]) -> Result<Address, SignatureError> {
    EcdsaSignature::from_bytes(signature)?.recover(digest)
}

/// A private key that signs digests; prints as its address.
#[derive(Clone)]
pub struct Key(SigningKey);

impl Key {
    /// Takes 32 bytes; fails when they are zero or not below the order of the curve.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SignatureError> {
        SigningKey::from_slice(bytes)
            .map(Self)
            .map_err(|_| SignatureError::Range)
    }

    /// Reads 64 hexadecimal digits, with or without `0x`; the error never repeats the text.
    pub fn from_hex(text: &str) -> Result<Self, SignatureError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut bytes)
            .map_err(|_| SignatureError::Length)?;
        Self::from_bytes(&bytes)
    }

    /// The address of this key.
    pub fn address(&self) -> Address {
        address_of(self.0.verifying_key().to_sec1_point(false).as_bytes())
    }

    /// Signs a 32-byte digest: deterministic (RFC 6979), low `s`.
    pub fn sign(&self, digest: B256) -> EcdsaSignature {
        let (inner, recovery) = self.0.sign_prehash_recoverable(digest.as_slice());
        EcdsaSignature { inner, recovery }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.address())
    }
}

/// The address of a public key, written as a point without compression (SEC 1, 2.3.3).
fn address_of(point: &[u8]) -> Address {
    Address::from_word(keccak256(point.get(1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests;
