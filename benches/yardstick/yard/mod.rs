//! The parts of the yardstick: what puts load on a server, what it is measured beside, and what is
//! made of the figures.

pub(crate) mod arm;
pub(crate) mod bare;
pub(crate) mod body;
pub(crate) mod books;
pub(crate) mod child;
pub(crate) mod connection;
pub(crate) mod gateway;
pub(crate) mod histogram;
pub(crate) mod http;
pub(crate) mod job;
pub(crate) mod load;
pub(crate) mod memory;
pub(crate) mod model;
pub(crate) mod nginx;
pub(crate) mod null;
pub(crate) mod pass;
pub(crate) mod peers;
pub(crate) mod plan;
pub(crate) mod process;
pub(crate) mod purse;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod session;
pub(crate) mod settled;
pub(crate) mod sign;
pub(crate) mod stage;

/// What can go wrong is told, never guessed around.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
