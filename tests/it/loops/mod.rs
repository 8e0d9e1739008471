//! Published clients, unmodified, make many calls in one process: by `upto` and by channels, through
//! everything that can get lost; by the letter of the channels' specification; from a contract wallet.

mod books;
mod channel;
mod front;
mod program;
mod strict;
mod upto;
mod wallet;
