use super::{eip2612, erc20_approval};
use alloy::sol;
use alloy::sol_types::SolInterface as _;

sol! {
    /// The errors of the x402 proxies and, after them, of Permit2.
    interface Reverts {
        error InvalidAmount();
        error InvalidDestination();
        error InvalidOwner();
        error PaymentTooEarly();
        error Permit2612AmountMismatch();
        error AmountExceedsPermitted();
        error UnauthorizedFacilitator();

        error InvalidNonce();
        error SignatureExpired(uint256 signatureDeadline);
        error InvalidSignature();
        error InvalidSigner();
        error InvalidSignatureLength();
        error InvalidContractSignature();
    }
}

/// Why a payment by Permit2 was refused; [`Refused::reason`] is the string the x402 SDKs use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The authorization's spender is not the scheme's proxy.
    #[error(
        "The authorization lets another spender than the scheme's x402 proxy move the tokens. Sign with `spender` = that proxy."
    )]
    Spender,
    /// The witness pays another address than the offer's `payTo`.
    #[error("The witness pays another address than the offer's payTo. Sign with `to` = payTo.")]
    Recipient,
    /// The witness's facilitator is not the one that was offered.
    #[error(
        "The witness's facilitator is not the offer's facilitatorAddress. Take a fresh offer and sign for its facilitator."
    )]
    Facilitator,
    /// The authorization has expired or is about to.
    #[error(
        "The authorization has expired, or too little time is left for the answer and its settlement. Sign a new one, valid for maxTimeoutSeconds."
    )]
    Expired,
    /// The authorization stays valid absurdly long.
    #[error("The authorization's deadline is too far ahead. Sign for maxTimeoutSeconds.")]
    ValidTooLong,
    /// The authorization is not valid yet.
    #[error(
        "The authorization is not valid yet. Check the clock, and sign with a validAfter that has passed."
    )]
    NotYetValid,
    /// The permitted amount is not the offer's.
    #[error("The permitted amount is not the offer's amount. Sign exactly that amount.")]
    Amount,
    /// The permitted token is not the offer's.
    #[error("The permitted token is not the offer's asset. Sign for that asset.")]
    Token,
    /// The signature is not the payer's.
    #[error(
        "The signature is not the payer's ({0}). Check the domain (\"Permit2\", no version), the witness type and the signing key."
    )]
    Signature(String),
    /// The authorization's nonce was spent before, here or on chain.
    #[error("This authorization was used before. Sign a new one with a fresh nonce.")]
    NonceUsed,
    /// Permit2 may not move enough of the payer's tokens.
    #[error(
        "Permit2 may not move this amount of the payer's tokens. Approve Permit2 for the token once, or send a gas-sponsoring extension that is offered."
    )]
    AllowanceRequired,
    /// The payer's token balance is too small.
    #[error(
        "The payer's balance is smaller than the amount. Fund the account, or take a smaller offer."
    )]
    InsufficientBalance,
    /// There is no proxy at its address on this chain.
    #[error("The x402 proxy is not deployed on this chain. Tell the operator.")]
    ProxyNotDeployed,
    /// The transfer fails for a reason that could not be told.
    #[error(
        "The proxy would reject this payment. Check the balance, the approval of Permit2, and the signature."
    )]
    SimulationFailed,
    /// The `upto` payment is for another chain than the offer.
    #[error("The payment is for another network than the offer. Sign for the offer's network.")]
    UptoNetwork,
    /// More than was signed was about to be captured.
    #[error("More was to be settled than was authorized. Tell the operator.")]
    UptoExceeds,
    /// The settling transaction of an `upto` payment reverted.
    #[error("The settling transaction failed on chain. Sign a new authorization.")]
    UptoTransactionFailed,
    /// The proxy was asked to move nothing.
    #[error("The amount to move is zero. Sign for the offer's amount.")]
    InvalidAmount,
    /// The proxy was given a witness without a payee.
    #[error("The witness names no payee. Sign with `to` = payTo.")]
    InvalidDestination,
    /// The proxy was given no payer.
    #[error("The authorization names no payer. Sign with `from` = your account.")]
    InvalidOwner,
    /// The proxy finds that the payment is not valid yet by the chain's clock.
    #[error(
        "The payment is not valid yet by the chain's clock. Sign with a validAfter that has passed."
    )]
    PaymentTooEarly,
    /// The `upto` proxy was asked for more than was permitted.
    #[error("More was to be moved than was permitted. Tell the operator.")]
    AmountExceedsPermitted,
    /// The `upto` proxy was called by another than the facilitator that was signed.
    #[error("The settlement came from another key than the payer signed for. Tell the operator.")]
    UnauthorizedFacilitator,
    /// The EIP-2612 permit that came with the payment was refused.
    #[error(transparent)]
    Eip2612(#[from] eip2612::Refused),
    /// The approval transaction that came with the payment was refused.
    #[error(transparent)]
    Erc20Approval(#[from] erc20_approval::Refused),
}

impl Refused {
    /// The machine-readable reason, as the x402 SDKs' facilitators give it.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Spender => "invalid_permit2_spender",
            Self::Recipient => "invalid_permit2_recipient_mismatch",
            Self::Facilitator => "upto_facilitator_mismatch",
            Self::Expired | Self::ValidTooLong => "permit2_deadline_expired",
            Self::NotYetValid => "permit2_not_yet_valid",
            Self::Amount => "permit2_amount_mismatch",
            Self::Token => "permit2_token_mismatch",
            Self::Signature(_) => "invalid_permit2_signature",
            Self::NonceUsed => "permit2_invalid_nonce",
            Self::AllowanceRequired => "permit2_allowance_required",
            Self::InsufficientBalance => "permit2_insufficient_balance",
            Self::ProxyNotDeployed => "permit2_proxy_not_deployed",
            Self::SimulationFailed => "permit2_simulation_failed",
            Self::UptoNetwork => "invalid_upto_evm_network_mismatch",
            Self::UptoExceeds => "invalid_upto_evm_payload_settlement_exceeds_amount",
            Self::UptoTransactionFailed => "invalid_upto_evm_transaction_failed",
            Self::InvalidAmount => "permit2_invalid_amount",
            Self::InvalidDestination => "permit2_invalid_destination",
            Self::InvalidOwner => "permit2_invalid_owner",
            Self::PaymentTooEarly => "permit2_payment_too_early",
            Self::AmountExceedsPermitted => "upto_amount_exceeds_permitted",
            Self::UnauthorizedFacilitator => "upto_unauthorized_facilitator",
            Self::Eip2612(refused) => refused.reason(),
            Self::Erc20Approval(refused) => refused.reason(),
        }
    }

    /// What a proxy's or Permit2's revert `data` says about the payment; `None` when it is neither's
    /// (a token's own words, or nothing).
    pub fn of_revert(data: &[u8]) -> Option<Self> {
        use Reverts::RevertsErrors as Revert;
        Some(match Revert::abi_decode(data).ok()? {
            Revert::InvalidAmount(_) => Self::InvalidAmount,
            Revert::InvalidDestination(_) => Self::InvalidDestination,
            Revert::InvalidOwner(_) => Self::InvalidOwner,
            Revert::PaymentTooEarly(_) => Self::PaymentTooEarly,
            Revert::Permit2612AmountMismatch(_) => Self::Eip2612(eip2612::Refused::Amount),
            Revert::AmountExceedsPermitted(_) => Self::AmountExceedsPermitted,
            Revert::UnauthorizedFacilitator(_) => Self::UnauthorizedFacilitator,
            Revert::InvalidNonce(_) => Self::NonceUsed,
            Revert::SignatureExpired(_) => Self::Expired,
            Revert::InvalidSignature(_)
            | Revert::InvalidSigner(_)
            | Revert::InvalidSignatureLength(_)
            | Revert::InvalidContractSignature(_) => Self::Signature("Permit2 says so".to_owned()),
        })
    }
}
