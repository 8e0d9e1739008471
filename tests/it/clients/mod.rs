//! Published clients, unmodified, pay a gateway: whole and streamed, their own spend limits on.

mod catalogue;
mod limits;
mod paying;
mod program;
mod sdks;
mod sign_in;
mod words;

pub(crate) use program::{AT_ONCE, Program};
