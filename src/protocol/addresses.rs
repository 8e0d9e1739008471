//! Where the x402 contracts stand: the same address on every chain (x402 contracts, CREATE2).

use alloy::primitives::{Address, address};

/// Uniswap's Permit2, which moves tokens by signatures (x402 `exact` and `upto`, method `permit2`).
pub const PERMIT2: Address = address!("0x000000000022D473030F116dDEE9F6B43aC78BA3");

/// The proxy through which an `exact` payment by Permit2 is moved.
pub const EXACT_PROXY: Address = address!("0x402085c248EeA27D92E8b30b2C58ed07f9E20001");

/// The proxy through which an `upto` payment is moved.
pub const UPTO_PROXY: Address = address!("0x4020A4f3b7b90ccA423B9fabCc0CE57C6C240002");

/// The contract that holds the channels of `batch-settlement`.
pub const BATCH_SETTLEMENT: Address = address!("0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003");

/// What brings a channel's deposit in by EIP-3009.
pub const ERC3009_COLLECTOR: Address = address!("0x4020806089470a89826cB9fB1f4059150b550004");

/// What brings a channel's deposit in by Permit2.
pub const PERMIT2_COLLECTOR: Address = address!("0x4020425FAf3B746C082C2f942b4E5159887B0005");

/// Multicall3, which reads and calls many contracts at once.
pub const MULTICALL3: Address = address!("0xcA11bde05977b3631167028862bE2a173976CA11");
