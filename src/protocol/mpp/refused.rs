use super::Problem;
use crate::money::Units;
use crate::protocol::Refusal;

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
        "The credential's source is not the account that signed. Name that one (did:pkh:eip155:CHAIN:ADDRESS)."
    )]
    Source,
    /// The transaction does not pay what the challenge asks for, or could not be carried out.
    #[error("The transaction does not pay for this challenge ({0}). Sign one that does.")]
    Transaction(String),
    /// The transaction was sent by its payer, and does not pay for this request.
    #[error(
        "What was sent beforehand does not pay for this request ({0}). Nothing was taken here; send it with the request that it pays for, or ask its payee."
    )]
    Elsewhere(String),
    /// Nothing is known of the channel.
    #[error("The channel is not open here. Open one with the challenge that comes with this.")]
    NoChannel,
    /// The channel has ended, or is about to.
    #[error("The channel is closed, or about to be. Open another one.")]
    ChannelClosed,
    /// A call on the channel is under way.
    #[error("A call on this channel is running. Send the same again when that has ended.")]
    ChannelBusy,
    /// The channel was charged more than was signed for.
    #[error(
        "The channel was charged more than this voucher and those before are for. Sign one over what was spent."
    )]
    Unsigned,
    /// A voucher is for more than is in the channel.
    #[error("The voucher is above the channel's deposit. Put in more, or sign for less.")]
    AboveDeposit,
    /// A channel's deposit would not cover what the call can cost.
    #[error(
        "What is left of the deposit does not cover what this call can cost ({0} atomic units). Put in more."
    )]
    DepositTooSmall(Units),
}

impl Refused {
    /// What is wrong with the method's own part, as its members tell it.
    pub(super) fn of_payload(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Malformed(what) => Self::Payload(what),
            other => Self::Payload(other.to_string()),
        }
    }

    /// The scheme's own word for it.
    pub const fn problem(&self) -> Problem {
        match self {
            Self::Malformed(_) => Problem::MalformedCredential,
            Self::Twice => Problem::BadRequest,
            Self::NotOurs | Self::NotTaken => Problem::InvalidChallenge,
            Self::NoChannel => Problem::ChannelNotFound,
            Self::ChannelClosed => Problem::ChannelFinalized,
            Self::DepositTooSmall(_) | Self::AboveDeposit => Problem::AmountExceedsDeposit,
            Self::Unsigned => Problem::InsufficientBalance,
            Self::Payload(_) => Problem::InvalidPayload,
            Self::Route
            | Self::Body
            | Self::Nonce
            | Self::Source
            | Self::Transaction(_)
            | Self::Elsewhere(_)
            | Self::ChannelBusy => Problem::VerificationFailed,
        }
    }
}
