use super::chain::SendError;
use super::channel::Distrust;
use super::choose::Unfit;
use super::http::HttpError;
use super::receipt::Fault;
use super::store::StoreError;
use crate::chain::ChainError;
use crate::config::RailKind;
use crate::money::AmountError;
use crate::protocol::{HeaderError, Refusal};

/// Why a wallet did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// The gateway gave no usable answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The file cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node gave no answer, or the wrong one.
    #[error("--rpc-url: {0}")]
    Chain(#[from] ChainError),
    /// A transaction of the wallet's own failed.
    #[error(transparent)]
    Send(#[from] SendError),
    /// None of the offers may be paid.
    #[error("none of the offers can be paid; nothing was signed:{}", list(.0))]
    Unfit(Vec<Unfit>),
    /// There are offers to pay, but not with what the wallet has.
    #[error("nothing was signed: {}", needs(.offered, *.wish))]
    NoMeans {
        /// The rails of the offers that fit.
        offered: Vec<RailKind>,
        /// The rail that was asked for.
        wish: Option<RailKind>,
    },
    /// The quote is above the limit.
    #[error("the quote is above --max {0}; nothing was signed")]
    AboveMax(String),
    /// No deposit that does is within the limit.
    #[error(
        "the channel needs a deposit of at least {needed} and at most --max {max}; nothing was signed"
    )]
    Deposit {
        /// What the channel lacks, in whole units.
        needed: String,
        /// The limit, in USD.
        max: String,
    },
    /// Permit2 may not move the tokens.
    #[error(
        "Permit2 is not approved to move these tokens, and the offer takes no permit for it: groat wallet approve does it by a transaction"
    )]
    NotApproved,
    /// The channel is not to be trusted with more.
    #[error(transparent)]
    Channel(#[from] Distrust),
    /// A receipt does not hold.
    #[error(transparent)]
    Receipt(#[from] Fault),
    /// The answer came without a receipt.
    #[error("the answer came without a receipt")]
    NoReceipt,
    /// The gateway refused.
    #[error("{0}")]
    Refused(String),
    /// No channel is meant, or several could be.
    #[error("{0}")]
    WhichChannel(&'static str),
    /// The payment cannot be written.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The payment cannot be named.
    #[error(transparent)]
    Form(#[from] Refusal),
    /// An amount does not fit.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

fn list(unfits: &[Unfit]) -> String {
    let mut lines: Vec<String> = unfits.iter().map(|unfit| format!("\n  {unfit}")).collect();
    lines.dedup();
    lines.concat()
}

fn needs(offered: &[RailKind], wish: Option<RailKind>) -> String {
    if let Some(wish) = wish {
        return format!("{wish} is not offered, or not in a way that this wallet can pay");
    }
    let hints: Vec<&str> = offered
        .iter()
        .map(|rail| match rail {
            RailKind::Channel => "batch-settlement needs a channel (groat wallet open)",
            RailKind::Upto => "upto needs --rpc-url, and Permit2 approved (groat wallet approve)",
            RailKind::ExactPermit2 => {
                "exact-permit2 needs --rpc-url, and Permit2 approved (groat wallet approve)"
            }
            RailKind::Exact => "exact needs nothing",
            RailKind::TempoCharge | RailKind::TempoSession => {
                "what is paid on Tempo needs a wallet of Tempo's"
            }
        })
        .collect();
    hints.join("; ")
}
