use super::{
    CallId, ChannelOnChain, ChannelOpening, ChannelUse, Digest32, KeptVoucher, Operation,
    ReplayKey, RequestHash, WithdrawalId,
};
use crate::metering::Route;
use crate::money::{AssetDecimals, Pusd, Units};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// One fact about a call, a withdrawal, a channel or an operation, as appended to the log; every time is in milliseconds
/// since the Unix epoch and was read by the caller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The credential was taken and its amount reserved; nothing was sent upstream yet.
    Held(Arc<Hold>),
    /// The request is about to be sent upstream; happens at most once per call.
    Forwarded {
        /// When.
        at_ms: u64,
    },
    /// The first byte of a successful answer arrived; from here on the payer owes what was used.
    Answered {
        /// When.
        at_ms: u64,
    },
    /// The usage is known and billed.
    Captured(Box<Capture>),
    /// Nothing is charged.
    Voided {
        /// Why.
        reason: VoidReason,
        /// When.
        at_ms: u64,
    },
    /// A signed transaction is about to be broadcast; durable before the network sees it.
    SettlementSent {
        /// The sending account (0x address, lowercase).
        relayer: String,
        /// The sending account's nonce; a fee bump repeats it, so that only one can be mined.
        lane_nonce: u64,
        /// The transaction hash (0x and 64 hexadecimal digits).
        transaction: String,
        /// The whole signed transaction (0x hexadecimal), enough to broadcast it again.
        raw_transaction: String,
        /// When.
        at_ms: u64,
    },
    /// The transfer was found on chain at the required depth.
    SettlementConfirmed {
        /// The transaction that moved the money; not necessarily one of ours.
        transaction: String,
        /// The block it is in.
        block: u64,
        /// That block's hash.
        block_hash: String,
        /// When this was seen.
        at_ms: u64,
    },
    /// The transfer will not happen.
    SettlementFailed {
        /// Why, for the operator.
        reason: String,
        /// When.
        at_ms: u64,
    },
    /// The block of a confirmed transfer is no longer part of the chain.
    SettlementReorged {
        /// When this was seen.
        at_ms: u64,
    },
    /// The signed receipt was made.
    Receipted {
        /// The receipt's JSON text, exactly as signed.
        receipt: String,
        /// When.
        at_ms: u64,
    },
    /// A payer asked for credit to be paid out.
    WithdrawalRequested(Withdrawal),
    /// A channel was taken into the books.
    ChannelOpened {
        /// What it is.
        opening: Arc<ChannelOpening>,
        /// Its contract's word on it.
        on_chain: ChannelOnChain,
        /// What its payer says was charged before; what was claimed counts as charged in any case.
        charged_before: Units,
    },
    /// The contract was asked again. A claimed total above all we charged was claimed by somebody
    /// else with the receiver's key, and counts as charged from then on.
    ChannelObserved(ChannelOnChain),
    /// A voucher came without a call: what a running one costs is signed for.
    ChannelSigned {
        /// The voucher.
        voucher: KeptVoucher,
        /// When.
        at_ms: u64,
    },
    /// A transaction that is no single call's own is wanted.
    OperationRequested(Box<Operation>),
}

impl Event {
    /// The event's name on the wire, for error messages and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Held(_) => "held",
            Self::Forwarded { .. } => "forwarded",
            Self::Answered { .. } => "answered",
            Self::Captured(_) => "captured",
            Self::Voided { .. } => "voided",
            Self::SettlementSent { .. } => "settlement_sent",
            Self::SettlementConfirmed { .. } => "settlement_confirmed",
            Self::SettlementFailed { .. } => "settlement_failed",
            Self::SettlementReorged { .. } => "settlement_reorged",
            Self::Receipted { .. } => "receipted",
            Self::WithdrawalRequested(_) => "withdrawal_requested",
            Self::ChannelOpened { .. } => "channel_opened",
            Self::ChannelObserved(_) => "channel_observed",
            Self::ChannelSigned { .. } => "channel_signed",
            Self::OperationRequested(_) => "operation_requested",
        }
    }

    /// When the event happened.
    pub fn at_ms(&self) -> u64 {
        match self {
            Self::Held(hold) => hold.at_ms,
            Self::Captured(capture) => capture.at_ms,
            Self::WithdrawalRequested(withdrawal) => withdrawal.at_ms,
            Self::ChannelOpened { opening, .. } => opening.at_ms,
            Self::ChannelObserved(on_chain) => on_chain.at_ms,
            Self::OperationRequested(operation) => operation.at_ms,
            Self::Forwarded { at_ms }
            | Self::Answered { at_ms }
            | Self::Voided { at_ms, .. }
            | Self::SettlementSent { at_ms, .. }
            | Self::SettlementConfirmed { at_ms, .. }
            | Self::SettlementFailed { at_ms, .. }
            | Self::SettlementReorged { at_ms }
            | Self::ChannelSigned { at_ms, .. }
            | Self::Receipted { at_ms, .. } => *at_ms,
        }
    }
}

/// When the payer's money moves on chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettleWhen {
    /// From the hold on.
    Before,
    /// From the first byte of the answer on.
    OnFirstByte,
    /// Once the charge is known; a call that costs nothing is never settled.
    After,
    /// By a claim on the call's channel, together with other calls; never for the call itself.
    ByClaim,
}

/// How much the chain moves when a call is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Takes {
    /// All that is held, as a fixed-amount credential must (`exact`); the change becomes credit.
    Held,
    /// Only what is charged (`upto`, channels); it can only be settled afterwards.
    Charged,
}

/// A credential taken for exactly one request: the terms the call was accepted on.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// The call.
    pub call: CallId,
    /// The way of paying (`x402-exact`, `x402-upto`, …).
    pub rail: String,
    /// What the credential can be spent under only once.
    pub replay_key: ReplayKey,
    /// The key derived from the payer and the payer's own payment identifier, if there was one.
    pub payment_id: Option<ReplayKey>,
    /// The payer's address: 0x and 40 lowercase hexadecimal digits.
    pub payer: String,
    /// The chain, as CAIP-2 (`eip155:8453`).
    pub network: String,
    /// The asset paid in (a contract address).
    pub asset: String,
    /// Decimal places of the asset's atomic unit.
    pub asset_decimals: AssetDecimals,
    /// The quoted ceiling, in atomic units.
    pub ceiling: Units,
    /// What is reserved, in atomic units; never above the ceiling.
    pub held: Units,
    /// The request this payment buys, and no other.
    pub request: RequestHash,
    /// The model asked for.
    pub model: String,
    /// The route it was sent to; records of earlier versions are all of chat completions.
    #[serde(default, skip_serializing_if = "is_chat")]
    pub route: Route,
    /// The app that asked, by its own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The endpoint that the prices are of, unless one of the alternatives answers.
    pub endpoint: String,
    /// The price row the quote was made from, as canonical JSON text.
    pub price_row: String,
    /// SHA-256 of that text.
    pub price_row_sha256: Digest32,
    /// Who may answer in place of `endpoint`, each at prices of its own; left out where nobody may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Alternative>,
    /// The markup on the list price, in basis points.
    pub markup_bps: u32,
    /// The most prompt tokens the quote allowed for.
    pub quote_prompt_max: u64,
    /// The most output tokens the quote allowed for.
    pub quote_output_max: u64,
    /// When the payer's money moves.
    pub settle_when: SettleWhen,
    /// How much of it moves.
    pub takes: Takes,
    /// Whether its payer is remembered for it when it was answered and is not settled. Records of
    /// earlier versions say nothing here: of those, only what takes the bill is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remembered: bool,
    /// What the rail needs to settle after a restart; carries the payer's signature.
    pub authorization: serde_json::Value,
    /// The channel that pays, and the voucher; left out where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelUse>,
    /// Whether the client asked for a streamed answer.
    pub stream: bool,
    /// When the hold was made.
    pub at_ms: u64,
}

fn is_chat(route: &Route) -> bool {
    *route == Route::Chat
}

/// An endpoint that may answer a held call in place of the one the hold names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alternative {
    /// Its name.
    pub endpoint: String,
    /// SHA-256 of its price row's canonical JSON text.
    pub price_row_sha256: Digest32,
}

/// The alternative that answered, with the prices of the bill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnsweredBy {
    /// Its name.
    pub endpoint: String,
    /// Its price row, as canonical JSON text.
    pub price_row: String,
}

/// A signature that still buys something must not reach a log, so it is left out here.
impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold")
            .field("call", &self.call)
            .field("rail", &self.rail)
            .field("payer", &self.payer)
            .field("network", &self.network)
            .field("asset", &self.asset)
            .field("ceiling", &self.ceiling)
            .field("held", &self.held)
            .field("model", &self.model)
            .field("settle_when", &self.settle_when)
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}

/// What the call used and what that costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capture {
    /// Tokens by class, as billed.
    pub usage: serde_json::Value,
    /// Where the usage came from (`reported`, `estimated`, …).
    pub usage_source: String,
    /// The provider's own usage object, character for character.
    pub raw_usage: Option<String>,
    /// The model the provider says answered.
    pub answered_model: Option<String>,
    /// Who answered, where that is one of the hold's alternatives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<Box<AnsweredBy>>,
    /// The receipt of who answered, where the call was bought there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_receipt: Option<String>,
    /// What the provider says the call cost, where that is what is billed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_cost: Option<Pusd>,
    /// The bill's lines, as on the receipt.
    pub lines: Vec<serde_json::Value>,
    /// The list price of the usage.
    pub list: Pusd,
    /// What the provider's prompt cache saved.
    pub saving: Pusd,
    /// The bill.
    pub total: Pusd,
    /// The bill in the asset's atomic units, cut to what is held.
    pub charged: Units,
    /// What the chain moves beyond the charge and the payer therefore gets back as credit.
    pub credited: Units,
    /// What a reader of the receipt should know (`usage_missing`, …).
    pub flags: Vec<String>,
    /// When.
    pub at_ms: u64,
}

/// Why a call is not charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoidReason {
    /// No upstream could be reached, or all answered with a server error.
    UpstreamUnavailable,
    /// The upstream refused the request.
    UpstreamRefused,
    /// The upstream's answer was not one of its dialect, or held nothing.
    UpstreamInvalid,
    /// No answer in time.
    UpstreamTimeout,
    /// The payment that was to be made before the call did not happen.
    PaymentFailed,
    /// This process was restarted while the call was under way. Ours.
    Restart,
    /// This process is shutting down. Ours.
    Shutdown,
    /// The bill could not be made, or another fault of this program. Ours.
    Internal,
}

impl VoidReason {
    /// Whether the fault is the proxy's own: only then may an answered call go uncharged.
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Restart | Self::Shutdown | Self::Internal)
    }
}

/// A payer's request to be paid out credit, to the payer's own address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdrawal {
    /// The withdrawal.
    pub id: WithdrawalId,
    /// The payer's address: 0x and 40 lowercase hexadecimal digits.
    pub payer: String,
    /// The chain, as CAIP-2.
    pub network: String,
    /// The asset.
    pub asset: String,
    /// How much, in atomic units; never zero.
    pub amount: Units,
    /// When it was asked for.
    pub at_ms: u64,
}
