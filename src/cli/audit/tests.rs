//! Each way in which books and a chain can fail to agree, by name.

mod channels;
mod operations;
mod transfers;
mod world;
