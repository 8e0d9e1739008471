//! One call's life: quote, authorize, hold, forward, meter, capture, receipt, settle.
//!
//! A call runs as its own task; connections only listen to it (rule 7). What must survive a crash is
//! in the ledger before it has an effect (rule 5), and [`Desk::resume`] goes on from there at boot.

mod attempt;
mod bill;
mod body;
mod bought;
mod capture;
mod desk;
mod forward;
mod gift;
mod heading;
mod kept;
mod known;
mod limit;
mod listings;
mod metered;
mod plan;
mod prices;
mod quote;
mod receipts;
mod refusal;
mod relay;
mod resume;
mod routing;
mod running;
mod sales;
mod task;

pub use crate::ledger::CallId;
pub use desk::{Desk, DeskParts};
pub use forward::{Tried, Unanswered};
pub use heading::CALL_ID;
pub use listings::Listings;
pub use plan::Expected;
pub use prices::PriceBook;
pub use quote::{Candidate, Quoted, QuotedCall};
pub use receipts::Receipts;
pub use refusal::Refusal;
pub use running::{Head, Listener};
pub use sales::SalesReader;
