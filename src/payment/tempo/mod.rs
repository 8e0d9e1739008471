//! What MPP takes on Tempo, behind the feature of that name: single transfers (`tempo/charge`) and
//! channels (`tempo/session`). Payers sign whole transactions there, which are sent as they are.

mod charge;
#[cfg(feature = "tempo")]
mod judge;
#[cfg(not(feature = "tempo"))]
#[path = "absent.rs"]
mod judge;
mod session;
mod stored;

pub(super) use charge::ChargeRail;
pub(super) use session::effect;
pub use session::{
    Managed, Metered, SessionRail, SettledUp, is_session, session_account, session_refused,
};
pub(super) use stored::handed;
