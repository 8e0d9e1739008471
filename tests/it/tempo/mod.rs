//! The local Tempo, and what MPP takes on it.

mod charge;
mod ground;
mod session;
mod stack;
