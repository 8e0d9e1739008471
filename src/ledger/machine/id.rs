use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Why a text is not an identifier of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct IdError {
    /// The form the text should have had; the text itself is never echoed.
    pub expected: &'static str,
}

/// Makes a fixed-size byte newtype whose text form is a prefix and lowercase hexadecimal digits.
macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $len:literal, $prefix:literal, $form:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// The identifier made of exactly these bytes.
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The bytes behind the text form.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut digits = [0u8; 2 * $len];
                hex::encode_to_slice(self.0, &mut digits).map_err(|_| fmt::Error)?;
                f.write_str($prefix)?;
                f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            /// Reads the one canonical form; upper case, other lengths and other prefixes fail.
            fn from_str(text: &str) -> Result<Self, IdError> {
                let bad = IdError { expected: $form };
                let digits = text.strip_prefix($prefix).ok_or_else(|| bad.clone())?;
                if digits.bytes().any(|b| b.is_ascii_uppercase()) {
                    return Err(bad);
                }
                let mut bytes = [0u8; $len];
                hex::decode_to_slice(digits, &mut bytes).map_err(|_| bad)?;
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hex_id!(
    /// One paid call, named by when it came and 80 random bits: `call_` and 32 lowercase hexadecimal digits.
    CallId, 16, "call_", "call_ and 32 lowercase hexadecimal digits"
);
hex_id!(
    /// One payout of credit, named by 128 random bits: `wd_` and 32 lowercase hexadecimal digits.
    WithdrawalId, 16, "wd_", "wd_ and 32 lowercase hexadecimal digits"
);
hex_id!(
    /// One transaction that is no single call's own, named by 128 random bits: `op_` and 32 lowercase
    /// hexadecimal digits.
    OperationId, 16, "op_", "op_ and 32 lowercase hexadecimal digits"
);
hex_id!(
    /// One payment channel, named by its contract's 32 bytes: `ch_` and 64 lowercase hexadecimal digits.
    ChannelId, 32, "ch_", "ch_ and 64 lowercase hexadecimal digits"
);
hex_id!(
    /// What a credential can be spent under only once, as 64 lowercase hexadecimal digits.
    ReplayKey, 32, "", "64 lowercase hexadecimal digits"
);
hex_id!(
    /// The SHA-256 of the paid request, as 64 lowercase hexadecimal digits.
    RequestHash, 32, "", "64 lowercase hexadecimal digits"
);
hex_id!(
    /// A SHA-256 digest (of a price row, of a log entry), as 64 lowercase hexadecimal digits.
    Digest32, 32, "", "64 lowercase hexadecimal digits"
);

impl CallId {
    /// The identifier of a call that came at `at_ms`, in milliseconds since the Unix epoch, of which 48
    /// bits count. The time stands first so that a store, which is ordered by its keys, gets the
    /// records of calls at one end: anywhere else they would be read before each is written.
    pub fn new(at_ms: u64, random: [u8; 10]) -> Self {
        let [_, _, time @ ..] = at_ms.to_be_bytes();
        let mut bytes = [0; 16];
        for (place, byte) in bytes.iter_mut().zip(time.into_iter().chain(random)) {
            *place = byte;
        }
        Self::from_bytes(bytes)
    }
}

/// Any kind of thing whose life the ledger records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntityId {
    /// A paid call.
    Call(CallId),
    /// A payout of credit.
    Withdrawal(WithdrawalId),
    /// A payment channel.
    Channel(ChannelId),
    /// A transaction that is no single call's own.
    Operation(OperationId),
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(id) => fmt::Display::fmt(id, f),
            Self::Withdrawal(id) => fmt::Display::fmt(id, f),
            Self::Channel(id) => fmt::Display::fmt(id, f),
            Self::Operation(id) => fmt::Display::fmt(id, f),
        }
    }
}

impl FromStr for EntityId {
    type Err = IdError;

    /// Reads whichever kind the prefix names.
    fn from_str(text: &str) -> Result<Self, IdError> {
        match text.split_once('_').map(|(prefix, _)| prefix) {
            Some("wd") => text.parse().map(Self::Withdrawal),
            Some("ch") => text.parse().map(Self::Channel),
            Some("op") => text.parse().map(Self::Operation),
            _ => text.parse().map(Self::Call),
        }
    }
}

impl Serialize for EntityId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EntityId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
