use super::channel;
use super::header::HeaderError;
use super::mpp;
use super::permit2;
use super::signature::SignatureError;

/// Why a payment was refused: [`Refusal::reason`] is the string the x402 SDKs use, and the
/// display form a sentence for people that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No payment came with the request.
    #[error("Payment required: choose one of the offers, sign it, and send the request again.")]
    PaymentRequired,
    /// The payment header could not be read.
    #[error(
        "The payment could not be read ({0}). Send base64 (standard alphabet, padded) of the JSON payment payload."
    )]
    Malformed(String),
    /// The payload's `x402Version` is not the one that belongs to its header.
    #[error(
        "The payload's x402Version does not belong to its header: PAYMENT-SIGNATURE carries 2, X-PAYMENT carries 1."
    )]
    Version,
    /// The payload names a scheme that was not offered.
    #[error("The scheme {0:?} is not offered here. Pay with one of the offers.")]
    UnsupportedScheme(String),
    /// The payload is not of the transfer method that the scheme offers.
    #[error(
        "This payload type is not accepted. Sign what the offer's scheme and assetTransferMethod ask for."
    )]
    UnsupportedPayload,
    /// The offer that was accepted is none of those made for this request.
    #[error(
        "The accepted offer is none of those made for this request. Take a fresh offer and sign it unchanged."
    )]
    NoMatchingOffer,
    /// An advertised extension was echoed with changed values.
    #[error(
        "The extension {0:?} was echoed with other values than advertised. Copy it, then add to it."
    )]
    ExtensionEcho(String),
    /// The payment is for another chain than the offer.
    #[error("The payment is for another network than the offer. Sign for the offer's network.")]
    Network,
    /// The payment goes to another address than the offer's `payTo`.
    #[error(
        "The authorization pays another address than the offer's payTo. Sign with `to` = payTo."
    )]
    Recipient,
    /// The payment's value is not the offer's amount (version 2).
    #[error("The authorization's value is not the offer's amount. Sign exactly that amount.")]
    Value,
    /// The payment's value is not the offer's `maxAmountRequired` (version 1).
    #[error("The authorization's value is not maxAmountRequired. Sign exactly that amount.")]
    ValueV1,
    /// The authorization has expired or is about to.
    #[error(
        "The authorization has expired, or too little time is left for the answer and its settlement. Sign a new one, valid for maxTimeoutSeconds."
    )]
    Expired,
    /// The authorization stays valid absurdly long.
    #[error("The authorization's validBefore is too far ahead. Sign for maxTimeoutSeconds.")]
    ValidTooLong,
    /// The authorization is not valid yet.
    #[error(
        "The authorization is not valid yet. Check the clock, and sign with a validAfter that has passed."
    )]
    NotYetValid,
    /// The signature is not the payer's.
    #[error(
        "The signature is not the payer's ({0}). Check the token's EIP-712 name and version in `extra` and the signing key."
    )]
    Signature(String),
    /// The signature is wrapped for an undeployed smart wallet (EIP-6492).
    #[error(
        "EIP-6492 signatures are not accepted. Deploy the smart wallet first, or pay from a plain account."
    )]
    UndeployedWallet,
    /// The authorization's nonce was spent before, here or on chain.
    #[error("This authorization was used before. Sign a new one with a fresh nonce.")]
    NonceUsed,
    /// The payer's token balance is too small.
    #[error(
        "The payer's balance is smaller than the amount. Fund the account, or take a smaller offer."
    )]
    InsufficientBalance,
    /// The token rejects the transfer for a reason that could not be told.
    #[error("The token would reject this transfer. Check the balance and the token's domain.")]
    SimulationFailed,
    /// The token contract has no EIP-3009.
    #[error("This asset does not support EIP-3009. Take another offer.")]
    Eip3009NotSupported,
    /// The offer lacks the token's EIP-712 name or version.
    #[error("The offer lacks the token's EIP-712 name and version. Tell the operator.")]
    MissingDomain,
    /// The offer's domain name is not the token's.
    #[error("The offer's EIP-712 name is not the token's. Tell the operator.")]
    TokenName,
    /// The offer's domain version is not the token's.
    #[error("The offer's EIP-712 version is not the token's. Tell the operator.")]
    TokenVersion,
    /// There is no contract at the asset's address.
    #[error("There is no contract at the asset's address. Tell the operator.")]
    AssetNotContract,
    /// The settling transaction reverted.
    #[error("The settling transaction failed on chain. Sign a new authorization.")]
    TransactionFailed,
    /// The settling transaction did not move the tokens.
    #[error("The settling transaction moved no tokens. Tell the operator.")]
    TransferEvent,
    /// The settling transaction was sent but is not confirmed yet; not a final answer.
    #[error("The settlement is sent but not confirmed yet. Ask again; do not sign anew.")]
    SettlementPending,
    /// Every call must carry a payment identifier and this one has none.
    #[error(
        "A payment identifier is required. Put 16 to 128 of [A-Za-z0-9_-] into extensions[\"payment-identifier\"].info.id."
    )]
    PaymentIdMissing,
    /// The payment identifier is not 16 to 128 of the allowed characters.
    #[error("The payment identifier must be 16 to 128 of [A-Za-z0-9_-].")]
    PaymentIdInvalid,
    /// The payment identifier was used for a different request.
    #[error("This payment identifier was used for a different request. Use a new one.")]
    PaymentIdConflict,
    /// The payer owes as much as is allowed before it is settled.
    #[error(
        "Too much is owed and not settled yet for another payment of this kind. Wait for the settlements, or pay by an offer that is settled beforehand."
    )]
    UnsettledLimit,
    /// The payer left a call unpaid.
    #[error(
        "A payment of this wallet failed after its call was answered. Pay by an offer that is settled beforehand."
    )]
    PrepaidOnly,
    /// A payment by Permit2 was refused.
    #[error(transparent)]
    Permit2(#[from] permit2::Refused),
    /// A payment by channel was refused.
    #[error(transparent)]
    Channel(#[from] channel::Refused),
    /// A credential of the `Payment` scheme was refused.
    #[error(transparent)]
    Mpp(#[from] mpp::Refused),
}

impl Refusal {
    /// The machine-readable reason: the x402 SDKs' own string where they have one.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::PaymentRequired => "Payment required",
            Self::Malformed(_) => "invalid_payload",
            Self::Version => "invalid_x402_version",
            Self::UnsupportedScheme(_) => "unsupported_scheme",
            Self::UnsupportedPayload => "unsupported_payload_type",
            Self::NoMatchingOffer => "No matching payment requirements",
            Self::ExtensionEcho(_) => "extension_echo_mismatch",
            Self::Network => "invalid_exact_evm_network_mismatch",
            Self::Recipient => "invalid_exact_evm_recipient_mismatch",
            Self::Value => "invalid_exact_evm_payload_authorization_value_mismatch",
            Self::ValueV1 => "invalid_exact_evm_authorization_value",
            Self::Expired | Self::ValidTooLong => {
                "invalid_exact_evm_payload_authorization_valid_before"
            }
            Self::NotYetValid => "invalid_exact_evm_payload_authorization_valid_after",
            Self::Signature(_) => "invalid_exact_evm_signature",
            Self::UndeployedWallet => "eip6492_factory_not_allowed",
            Self::NonceUsed => "invalid_exact_evm_nonce_already_used",
            Self::InsufficientBalance => "invalid_exact_evm_insufficient_balance",
            Self::SimulationFailed => "invalid_exact_evm_transaction_simulation_failed",
            Self::Eip3009NotSupported => "invalid_exact_evm_eip3009_not_supported",
            Self::MissingDomain => "invalid_exact_evm_missing_eip712_domain",
            Self::TokenName => "invalid_exact_evm_token_name_mismatch",
            Self::TokenVersion => "invalid_exact_evm_token_version_mismatch",
            Self::AssetNotContract => "asset_not_deployed_contract",
            Self::TransactionFailed => "invalid_exact_evm_transaction_failed",
            Self::TransferEvent => "invalid_exact_evm_transfer_event_mismatch",
            Self::SettlementPending => "settlement_pending",
            Self::UnsettledLimit => "unsettled_limit_reached",
            Self::PrepaidOnly => "prepaid_payment_required",
            Self::PaymentIdMissing => "payment_identifier_required",
            Self::PaymentIdInvalid => "payment_identifier_invalid",
            Self::PaymentIdConflict => "payment_identifier_conflict",
            Self::Permit2(refused) => refused.reason(),
            Self::Channel(refused) => refused.reason(),
            Self::Mpp(refused) => refused.problem().name(),
        }
    }

    /// The word for it in MPP (RFC 9457).
    pub const fn problem(&self) -> mpp::Problem {
        match self {
            Self::PaymentRequired => mpp::Problem::PaymentRequired,
            Self::Malformed(_) | Self::Version => mpp::Problem::MalformedCredential,
            Self::Expired => mpp::Problem::PaymentExpired,
            Self::InsufficientBalance => mpp::Problem::PaymentInsufficient,
            Self::Mpp(refused) => refused.problem(),
            _ => mpp::Problem::VerificationFailed,
        }
    }
}

impl From<HeaderError> for Refusal {
    fn from(error: HeaderError) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl From<SignatureError> for Refusal {
    fn from(error: SignatureError) -> Self {
        match error {
            SignatureError::Eip6492 => Self::UndeployedWallet,
            other => Self::Signature(other.to_string()),
        }
    }
}
