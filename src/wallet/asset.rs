//! The stablecoins that are taken for dollars.

use crate::money::AssetDecimals;
use crate::protocol::Network;
use alloy::primitives::{Address, address};
use std::str::FromStr;

/// A token that one dollar's worth of is one whole unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asset {
    /// The token contract.
    pub address: Address,
    /// What people call it.
    pub symbol: &'static str,
    /// The decimal places of its atomic unit.
    pub decimals: AssetDecimals,
}

/// Chain id, token, and the name and version of its EIP-712 domain, for challenges that do not say them.
const DOMAINS: &[(u64, Address, &str, &str)] = &[
    (
        1,
        address!("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"),
        "USD Coin",
        "2",
    ),
    (
        137,
        address!("0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359"),
        "USD Coin",
        "2",
    ),
    (
        143,
        address!("0x754704Bc059F8C67012fEd69BC8A327a5aafb603"),
        "USDC",
        "2",
    ),
    (
        1329,
        address!("0xe15fC38F6D8c56aF07bbCBe3BAf5708A2Bf42392"),
        "USDC",
        "2",
    ),
    (
        8453,
        address!("0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"),
        "USD Coin",
        "2",
    ),
    (
        42161,
        address!("0xaf88d065e77c8cC2239327C5EDb3A432268e5831"),
        "USD Coin",
        "2",
    ),
    (
        42220,
        address!("0xcebA9300f2b948710d2653dD7B07f33A8B32118C"),
        "USDC",
        "2",
    ),
    (
        43114,
        address!("0xB97EF9Ef8734C71904D8002F8b6Bc66Dd9c48a6E"),
        "USD Coin",
        "2",
    ),
    (
        84532,
        address!("0x036CbD53842c5426634e7929541eC2318f3dCF7e"),
        "USDC",
        "2",
    ),
];

/// Chain id, token, symbol, decimal places: those that the published x402 clients pay in as well.
const KNOWN: &[(u64, Address, &str, u8)] = &[
    (
        1,
        address!("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"),
        "USDC",
        6,
    ),
    (
        137,
        address!("0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359"),
        "USDC",
        6,
    ),
    (
        143,
        address!("0x754704Bc059F8C67012fEd69BC8A327a5aafb603"),
        "USDC",
        6,
    ),
    (
        988,
        address!("0x779Ded0c9e1022225f8E0630b35a9b54bE713736"),
        "USDT0",
        6,
    ),
    (
        1329,
        address!("0xe15fC38F6D8c56aF07bbCBe3BAf5708A2Bf42392"),
        "USDC",
        6,
    ),
    (
        2201,
        address!("0x78Cf24370174180738C5B8E352B6D14c83a6c9A9"),
        "USDT0",
        6,
    ),
    (
        4326,
        address!("0xFAfDdbb3FC7688494971a79cc65DCa3EF82079E7"),
        "MegaUSD",
        18,
    ),
    (
        8453,
        address!("0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"),
        "USDC",
        6,
    ),
    (
        31611,
        address!("0x118917a40FAF1CD7a13dB0Ef56C86De7973Ac503"),
        "mUSD",
        18,
    ),
    (
        31612,
        address!("0xdD468A1DDc392dcdbEf6db6e34E89AA338F9F186"),
        "mUSD",
        18,
    ),
    (
        42161,
        address!("0xaf88d065e77c8cC2239327C5EDb3A432268e5831"),
        "USDC",
        6,
    ),
    (
        42220,
        address!("0xcebA9300f2b948710d2653dD7B07f33A8B32118C"),
        "USDC",
        6,
    ),
    (
        43114,
        address!("0xB97EF9Ef8734C71904D8002F8b6Bc66Dd9c48a6E"),
        "USDC",
        6,
    ),
    (
        72344,
        address!("0x33ad9e4BD16B69B5BFdED37D8B5D9fF9aba014Fb"),
        "SBC",
        6,
    ),
    (
        84532,
        address!("0x036CbD53842c5426634e7929541eC2318f3dCF7e"),
        "USDC",
        6,
    ),
    (
        421614,
        address!("0x75faf114eafb1BDbe2F0316DF893fd58CE46AA4d"),
        "USDC",
        6,
    ),
    (
        723487,
        address!("0x33ad9e4BD16B69B5BFdED37D8B5D9fF9aba014Fb"),
        "SBC",
        6,
    ),
];

impl Asset {
    /// The known stablecoin at this address of this chain.
    pub fn known(network: Network, address: Address) -> Option<Self> {
        Self::all(network).find(|asset| asset.address == address)
    }

    /// The name and version of a token's EIP-712 domain, where they are known.
    pub(super) fn domain(
        network: Network,
        address: Address,
    ) -> Option<(&'static str, &'static str)> {
        let at =
            |row: &&(u64, Address, &str, &str)| row.0 == network.chain_id() && row.1 == address;
        DOMAINS.iter().find(at).map(|row| (row.2, row.3))
    }

    /// All known stablecoins of this chain.
    pub fn all(network: Network) -> impl Iterator<Item = Self> {
        let rows = KNOWN.iter().filter(move |row| row.0 == network.chain_id());
        rows.filter_map(|(_, address, symbol, decimals)| {
            Some(Self {
                address: *address,
                symbol,
                decimals: AssetDecimals::try_from(*decimals).ok()?,
            })
        })
    }
}

impl FromStr for Asset {
    type Err = String;

    /// Reads `ADDRESS` or `ADDRESS:DECIMALS`; six decimal places unless said.
    fn from_str(text: &str) -> Result<Self, String> {
        let (address, decimals) = text.split_once(':').unwrap_or((text, "6"));
        let decimals = decimals.parse::<u8>().ok();
        Ok(Self {
            address: address
                .parse()
                .map_err(|_| format!("{address:?} is no address"))?,
            symbol: "tokens",
            decimals: decimals
                .and_then(|decimals| AssetDecimals::try_from(decimals).ok())
                .ok_or("the decimal places are a number from 0 to 18")?,
        })
    }
}
