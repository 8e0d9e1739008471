//! The chain layer against a real anvil.

pub(crate) mod bench;
mod channels;
mod permits;
mod proxy;
mod reads;
mod reorg;
mod settle;
mod signed;
mod tempo;
mod trouble;
