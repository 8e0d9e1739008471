use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// An EVM chain, by its chain id. On the wire: CAIP-2 text (`eip155:8453`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(u64);

/// The text is not `eip155:` and a chain id in canonical decimal form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an EVM network in CAIP-2 form, like \"eip155:8453\"")]
pub struct NetworkError(String);

impl Network {
    /// The chain with this chain id.
    pub const fn from_chain_id(id: u64) -> Self {
        Self(id)
    }

    /// The chain id.
    pub const fn chain_id(self) -> u64 {
        self.0
    }

    /// The chain's name in x402 version 1, if it has one.
    pub fn v1_name(self) -> Option<&'static str> {
        self.v1_row().map(|row| row.0)
    }

    /// The chain that x402 version 1 calls `name`.
    pub fn from_v1_name(name: &str) -> Option<Self> {
        V1_NETWORKS
            .iter()
            .find(|row| row.0 == name)
            .map(|row| Self(row.1))
    }

    /// Whether the legacy clients' closed list of network names has this chain; one entry that is
    /// not on it makes them refuse the whole list of offers.
    pub fn is_known_to_legacy_clients(self) -> bool {
        self.v1_row().is_some_and(|row| row.2)
    }

    fn v1_row(self) -> Option<&'static (&'static str, u64, bool)> {
        V1_NETWORKS.iter().find(|row| row.1 == self.0)
    }
}

/// Version 1 name, chain id, and whether npm `x402` 1.2 knows the name.
const V1_NETWORKS: &[(&str, u64, bool)] = &[
    ("abstract", 2741, true),
    ("abstract-testnet", 11124, true),
    ("avalanche", 43114, true),
    ("avalanche-fuji", 43113, true),
    ("base", 8453, true),
    ("base-sepolia", 84532, true),
    ("celo", 42220, false),
    ("educhain", 41923, true),
    ("ethereum", 1, false),
    ("flare", 14, false),
    ("iotex", 4689, true),
    ("megaeth", 4326, false),
    ("monad", 143, false),
    ("peaq", 3338, true),
    ("polygon", 137, true),
    ("polygon-amoy", 80002, true),
    ("sei", 1329, true),
    ("sei-testnet", 1328, true),
    ("sepolia", 11155111, false),
    ("skale-base-sepolia", 324705682, true),
    ("stable", 988, false),
    ("stable-testnet", 2201, false),
    ("story", 1514, true),
];

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "eip155:{}", self.0)
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    /// Reads the canonical form only, so that one chain has one text.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        text.strip_prefix("eip155:")
            .and_then(|id| id.parse().ok())
            .map(Self)
            .filter(|network| network.to_string() == text)
            .ok_or_else(|| NetworkError(text.to_owned()))
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
