//! One binary of integration tests: the built `groat`, a real anvil, real clients, a real model.

mod chain;
mod chain_trouble;
mod clients;
mod dev;
mod docs;
mod harness;
mod kill;
mod overdraft;
mod real_model;
mod smoke;
