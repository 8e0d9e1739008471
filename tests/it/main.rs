//! One binary of integration tests: the built `groat`, a real anvil, real clients, a real model.

mod chain;
mod harness;
mod smoke;
