//! The chain layer against a real anvil.

mod bench;
mod proxy;
mod reads;
mod reorg;
mod settle;
mod trouble;
