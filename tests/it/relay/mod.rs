//! Groat before another Groat that it pays: what the far one charges, and its cache's discount, arrive at
//! the first payer's bill, and its receipt inside the near one's.

mod budget;
mod front;
mod hops;
mod lies;
mod model;
mod passing;
mod trouble;
