//! One binary of integration tests: the built `groat`, a real anvil, real clients, a real model.

mod chain;
mod chain_trouble;
mod clients;
mod config;
mod copies;
mod dev;
mod docs;
mod faults;
mod faults_cut;
mod harness;
mod hostile;
mod hostile_payment;
mod kill;
mod layers;
mod overdraft;
mod real_model;
mod rules;
mod rules_race;
mod rules_secrets;
mod rules_settle;
mod smoke;
mod wire;
mod wire_bytes;
