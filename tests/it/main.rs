//! One binary of integration tests: the built `groat`, a real anvil, real clients, a real model.

#![expect(unreachable_pub, reason = "nothing of a test binary can be reached from outside")]

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
