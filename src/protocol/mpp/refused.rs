use super::Problem;
use crate::money::Units;

/// Why a credential of the `Payment` scheme was refused before anything of it was looked up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It could not be read.
    #[error(
        "The credential could not be read ({0}). Send `Payment` and base64url, without padding, of the JSON credential."
    )]
    Malformed(String),
    /// More than one credential came with the request.
    #[error("More than one Payment credential came with this request. Send one.")]
    Twice,
    /// The challenge was not sealed here, or was changed since.
    #[error(
        "The echoed challenge is none of this server's. Take a fresh one and echo it unchanged."
    )]
    NotOurs,
    /// The challenge lacks what every challenge of this server has, or is for another realm or method.
    #[error("The echoed challenge is not one that is taken here. Take a fresh one.")]
    NotTaken,
    /// The challenge was made for another route.
    #[error(
        "The challenge was made for another route. Take one by sending this request without a payment."
    )]
    Route,
    /// The challenge was made for another body.
    #[error(
        "The challenge was made for another body. Take one by sending this request without a payment."
    )]
    Body,
    /// The method's own part is not of its form.
    #[error("The payload is not of its form ({0}).")]
    Payload(String),
    /// What was signed is for another challenge.
    #[error(
        "The authorization's nonce is not the hash of the challenge's id and realm, or it outlives the challenge. Sign for the challenge that is echoed."
    )]
    Nonce,
    /// The source is not who signed.
    #[error(
        "The credential's source is not the account that signed. Leave it out, or name that one."
    )]
    Source,
    /// The transaction does not pay what the challenge asks for, or could not be carried out.
    #[error("The transaction does not pay for this challenge ({0}). Sign one that does.")]
    Transaction(String),
    /// The transaction was carried out, and does not pay what the challenge asks for.
    #[error(
        "The transaction is on the chain, and does not pay for this challenge ({0}). Nothing was taken here; ask its payee."
    )]
    Elsewhere(String),
    /// Nothing is known of the channel.
    #[error("The channel is not open here. Open one with the challenge that comes with this.")]
    NoChannel,
    /// The channel has ended, or is about to.
    #[error("The channel is closed, or about to be. Open another one.")]
    ChannelClosed,
    /// A channel's deposit would not cover what the call can cost.
    #[error("The deposit does not cover what this call can cost ({0} atomic units). Put in more.")]
    DepositTooSmall(Units),
    /// A voucher is over more than its channel holds.
    #[error("The voucher is over more than the channel holds. Top the channel up first.")]
    AboveDeposit,
    /// Something was spent that is not signed for.
    #[error(
        "{0} atomic units were spent of the channel in all. Send a voucher over more than that."
    )]
    Unsigned(Units),
}

impl Refused {
    /// The scheme's own word for it.
    pub const fn problem(&self) -> Problem {
        match self {
            Self::Malformed(_) => Problem::MalformedCredential,
            Self::Twice => Problem::BadRequest,
            Self::NotOurs | Self::NotTaken => Problem::InvalidChallenge,
            Self::NoChannel => Problem::ChannelNotFound,
            Self::ChannelClosed => Problem::ChannelFinalized,
            Self::DepositTooSmall(_) | Self::AboveDeposit => Problem::AmountExceedsDeposit,
            Self::Unsigned(_) => Problem::InsufficientBalance,
            Self::Payload(_) => Problem::InvalidPayload,
            Self::Route
            | Self::Body
            | Self::Nonce
            | Self::Source
            | Self::Transaction(_)
            | Self::Elsewhere(_) => Problem::VerificationFailed,
        }
    }
}
