//! One binary of integration tests: the built `groat`, a real anvil, real clients, a real model.

mod approval;
mod batch;
mod batch_gas;
mod chain;
mod chain_trouble;
mod channels;
mod clients;
mod config;
mod copies;
mod dev;
mod docs;
mod faults;
mod faults_cut;
mod faults_usage;
mod free;
mod harness;
mod hostile;
mod hostile_bench;
mod hostile_chain;
mod hostile_payment;
mod hostile_terms;
mod kill;
mod layers;
mod loops;
mod mpp;
mod overdraft;
mod permit2_peer;
mod real_model;
mod routes;
mod rules;
mod rules_failed;
mod rules_race;
mod rules_rails;
mod rules_secrets;
mod rules_settle;
mod smoke;
mod starts;
mod upto;
mod wallet;
mod wire;
mod wire_bytes;
mod wire_ops;
#[path = "../../benches/yardstick/yard/mod.rs"]
#[expect(dead_code, reason = "the benchmark itself uses the rest")]
mod yard;
mod yardstick;
