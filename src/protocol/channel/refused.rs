use crate::protocol::permit2::eip2612;
use crate::protocol::signature::SignatureError;

/// Why a channel payment was refused: [`Refused::reason`] is the string the x402 SDKs use, and
/// the display form a sentence for people that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The payload is none of the three kinds, or lacks a part.
    #[error(
        "This is no channel payload. Send `type` deposit, voucher or refund with its channelConfig and voucher."
    )]
    PayloadType,
    /// The refund's amount or form cannot be read.
    #[error("The refund payload cannot be read. Send a channelConfig and a voucher.")]
    RefundPayload,
    /// The claimed channel id is not 32 bytes in hexadecimal.
    #[error("The channelId is not 0x and 64 hexadecimal digits.")]
    ChannelIdInvalid,
    /// The claimed channel id is not the digest of the channel's configuration.
    #[error(
        "The channelId is not the EIP-712 digest of channelConfig. Compute it for the offer's network."
    )]
    ChannelIdMismatch,
    /// The channel pays another address than the offer's `payTo`.
    #[error("The channel's receiver is not the offer's payTo. Open a channel to payTo.")]
    Receiver,
    /// The channel has another receiver authorizer than the offer.
    #[error(
        "The channel's receiverAuthorizer is not the offer's. Open a channel with extra.receiverAuthorizer."
    )]
    ReceiverAuthorizer,
    /// The channel or its deposit is in another token than the offer.
    #[error("The channel's token is not the offer's asset. Open a channel in the offer's asset.")]
    Token,
    /// The channel's withdraw delay is not the offer's.
    #[error(
        "The channel's withdrawDelay is not the offer's. Open a channel with extra.withdrawDelay."
    )]
    WithdrawDelay,
    /// The channel's withdraw delay is outside what the contract takes.
    #[error("The channel's withdrawDelay is not within 900 to 2592000 seconds.")]
    WithdrawDelayRange,
    /// The offer lacks the token's EIP-712 name or version.
    #[error("The offer lacks the token's EIP-712 name and version. Tell the operator.")]
    MissingDomain,
    /// The payment is for another chain than the offer.
    #[error("The payment is for another network than the offer. Sign for the offer's network.")]
    Network,
    /// The voucher's signature is not the payer authorizer's.
    #[error(
        "The voucher's signature is not the payer authorizer's ({0}). Check the signing key, the chain and the contract."
    )]
    VoucherSignature(String),
    /// A signature is wrapped for an undeployed smart wallet (EIP-6492).
    #[error(
        "EIP-6492 signatures are not accepted. Deploy the smart wallet first, or pay from a plain account."
    )]
    UndeployedWallet,
    /// The channel does not exist on chain, or nothing is in it.
    #[error("There is no such channel on chain, or it is empty. Send a deposit with the voucher.")]
    ChannelNotFound,
    /// The voucher's ceiling is not what the channel's charges and the offer's amount call for.
    #[error(
        "The voucher does not fit what the channel was charged so far. Take the charged amount from channelState, add the offer's amount, and sign that."
    )]
    Mismatch,
    /// The voucher's ceiling is above the channel's balance.
    #[error("The voucher is above the channel's balance. Send a deposit with it.")]
    ExceedsBalance,
    /// The voucher's ceiling is not above what was claimed already.
    #[error(
        "The voucher is not above what was claimed already. Read the channel's totalClaimed and sign a higher one."
    )]
    BelowClaimed,
    /// A call on this channel is running.
    #[error("Another call on this channel is running. Send the request again when it is done.")]
    Busy,
    /// What the channel holds could not be found out.
    #[error("The channel's state could not be read. Send the same request again.")]
    StateUnavailable,
    /// The chain could not be asked.
    #[error("The chain could not be asked about the channel. Send the same request again.")]
    RpcReadFailed,
    /// The channel is not in the ledger.
    #[error("This channel is not known here. Pay a call by it first.")]
    MissingChannel,
    /// The deposit is smaller than the offer asks for.
    #[error("The deposit is too small. Deposit at least extra.minDeposit.")]
    DepositBelowMin,
    /// The payer has fewer tokens than the deposit.
    #[error("The payer's balance is smaller than the deposit. Fund the account, or deposit less.")]
    InsufficientBalance,
    /// The chain would reject the deposit.
    #[error(
        "The chain would reject this deposit. Check the balance and the authorization's nonce."
    )]
    DepositSimulation,
    /// The deposit's transaction failed.
    #[error("The deposit's transaction failed on chain. Sign a new deposit.")]
    DepositTransaction,
    /// The deposit must be by EIP-3009.
    #[error("The deposit must be by EIP-3009. Sign a ReceiveWithAuthorization for the collector.")]
    Erc3009Required,
    /// The deposit's authorization has expired, is about to, or is valid for too long.
    #[error(
        "The deposit's validBefore is less than 6 seconds or more than a year ahead. Sign for maxTimeoutSeconds."
    )]
    ValidBefore,
    /// The deposit's authorization is not valid yet.
    #[error(
        "The deposit's authorization is not valid yet. Check the clock, and sign with a validAfter that has passed."
    )]
    ValidAfter,
    /// The deposit's EIP-3009 signature is not the payer's.
    #[error(
        "The deposit's signature is not the payer's ({0}). Check the token's EIP-712 name and version in `extra` and the collector."
    )]
    ReceiveSignature(String),
    /// The deposit must be by Permit2.
    #[error("The deposit must be by Permit2. Sign a permit2Authorization for the collector.")]
    Permit2Required,
    /// The Permit2 authorization is for another spender than the collector.
    #[error("The Permit2 spender is not the deposit collector. Sign for the collector.")]
    Permit2Spender,
    /// The Permit2 authorization permits another amount than the deposit.
    #[error("The permitted amount is not the deposit's. Sign exactly the deposit's amount.")]
    Permit2Amount,
    /// The Permit2 authorization has expired, is about to, or is valid for too long.
    #[error(
        "The Permit2 deadline is less than 6 seconds or more than a year ahead. Sign for maxTimeoutSeconds."
    )]
    Permit2Deadline,
    /// The Permit2 signature is not the payer's.
    #[error("The Permit2 signature is not the payer's ({0}). Check the signing key and the chain.")]
    Permit2Signature(String),
    /// Permit2 may not move the payer's tokens.
    #[error(
        "Permit2 has no allowance for the deposit. Approve it once, or send the eip2612GasSponsoring extension."
    )]
    Permit2Allowance,
    /// The EIP-2612 permit that came with a deposit by Permit2 was refused.
    #[error(transparent)]
    Eip2612(#[from] eip2612::Refused),
    /// Paying the gas of an ERC-20 approval is not offered.
    #[error("Paying for an approval transaction is not offered here. Approve Permit2 yourself.")]
    Erc20ApprovalUnavailable,
    /// Nothing is left to refund.
    #[error("Nothing is left in the channel to refund.")]
    RefundNoBalance,
    /// The refund's amount is no positive integer.
    #[error("The refund's amount must be a positive integer, or absent for all that is left.")]
    RefundAmount,
    /// The chain would reject the refund.
    #[error("The chain would reject this refund. Ask again later; nothing was moved.")]
    RefundSimulation,
    /// The refund's transaction failed.
    #[error("The refund's transaction failed on chain. Ask again; nothing was moved.")]
    RefundTransaction,
}

impl Refused {
    /// The machine-readable reason: the x402 SDKs' own string.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::PayloadType => "invalid_batch_settlement_evm_payload_type",
            Self::RefundPayload => "invalid_batch_settlement_evm_refund_payload",
            Self::ChannelIdInvalid => "invalid_batch_settlement_evm_channel_id_invalid",
            Self::ChannelIdMismatch => "invalid_batch_settlement_evm_channel_id_mismatch",
            Self::Receiver => "invalid_batch_settlement_evm_receiver_mismatch",
            Self::ReceiverAuthorizer => "invalid_batch_settlement_evm_receiver_authorizer_mismatch",
            Self::Token => "invalid_batch_settlement_evm_token_mismatch",
            Self::WithdrawDelay => "invalid_batch_settlement_evm_withdraw_delay_mismatch",
            Self::WithdrawDelayRange => "invalid_batch_settlement_evm_withdraw_delay_out_of_range",
            Self::MissingDomain => "invalid_batch_settlement_evm_missing_eip712_domain",
            Self::Network => "invalid_batch_settlement_evm_network_mismatch",
            Self::VoucherSignature(_) => "invalid_batch_settlement_evm_voucher_signature",
            Self::UndeployedWallet => "invalid_batch_settlement_evm_eip6492_factory_not_allowed",
            Self::ChannelNotFound => "invalid_batch_settlement_evm_channel_not_found",
            Self::Mismatch => "invalid_batch_settlement_evm_cumulative_amount_mismatch",
            Self::ExceedsBalance => "invalid_batch_settlement_evm_cumulative_exceeds_balance",
            Self::BelowClaimed => "invalid_batch_settlement_evm_cumulative_below_claimed",
            Self::Busy => "invalid_batch_settlement_evm_channel_busy",
            Self::StateUnavailable => "invalid_batch_settlement_evm_verification_state_unavailable",
            Self::RpcReadFailed => "invalid_batch_settlement_evm_rpc_read_failed",
            Self::MissingChannel => "invalid_batch_settlement_evm_missing_channel",
            Self::DepositBelowMin => "invalid_batch_settlement_evm_deposit_below_min_deposit",
            Self::InsufficientBalance => "invalid_batch_settlement_evm_insufficient_balance",
            Self::DepositSimulation => "invalid_batch_settlement_evm_deposit_simulation_failed",
            Self::DepositTransaction => "invalid_batch_settlement_evm_deposit_transaction_failed",
            Self::Erc3009Required => "invalid_batch_settlement_evm_erc3009_authorization_required",
            Self::ValidBefore => "invalid_batch_settlement_evm_payload_authorization_valid_before",
            Self::ValidAfter => "invalid_batch_settlement_evm_payload_authorization_valid_after",
            Self::ReceiveSignature(_) => {
                "invalid_batch_settlement_evm_receive_authorization_signature"
            }
            Self::Permit2Required => "invalid_batch_settlement_evm_permit2_authorization_required",
            Self::Permit2Spender => "invalid_batch_settlement_evm_permit2_invalid_spender",
            Self::Permit2Amount => "invalid_batch_settlement_evm_permit2_amount_mismatch",
            Self::Permit2Deadline => "invalid_batch_settlement_evm_permit2_deadline_expired",
            Self::Permit2Signature(_) => "invalid_batch_settlement_evm_permit2_invalid_signature",
            Self::Permit2Allowance => "invalid_batch_settlement_evm_permit2_allowance_required",
            Self::Eip2612(eip2612::Refused::Amount) => {
                "invalid_batch_settlement_evm_eip2612_amount_mismatch"
            }
            Self::Eip2612(refused) => refused.reason(),
            Self::Erc20ApprovalUnavailable => {
                "invalid_batch_settlement_evm_erc20_approval_unavailable"
            }
            Self::RefundNoBalance => "invalid_batch_settlement_evm_refund_no_balance",
            Self::RefundAmount => "invalid_batch_settlement_evm_refund_amount_invalid",
            Self::RefundSimulation => "invalid_batch_settlement_evm_refund_simulation_failed",
            Self::RefundTransaction => "invalid_batch_settlement_evm_refund_transaction_failed",
        }
    }

    /// Whether the SDKs' clients take the channel's state out of this refusal and try once more,
    /// so that the 402 should carry it.
    pub const fn is_corrective(&self) -> bool {
        matches!(self, Self::Mismatch | Self::BelowClaimed)
    }

    pub(super) fn voucher(error: SignatureError) -> Self {
        Self::of(error, Self::VoucherSignature)
    }

    pub(super) fn receive(error: SignatureError) -> Self {
        Self::of(error, Self::ReceiveSignature)
    }

    pub(super) fn permit2(error: SignatureError) -> Self {
        Self::of(error, Self::Permit2Signature)
    }

    fn of(error: SignatureError, otherwise: fn(String) -> Self) -> Self {
        match error {
            SignatureError::Eip6492 => Self::UndeployedWallet,
            other => otherwise(other.to_string()),
        }
    }
}
