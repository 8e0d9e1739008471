use serde_json::{Map, Value, json};

/// Why a payment is asked for, or not taken, in the words of the scheme (RFC 9457).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// Nothing was paid.
    PaymentRequired,
    /// Less was paid, or can be, than is asked for.
    PaymentInsufficient,
    /// The challenge, or what was signed for it, is too old.
    PaymentExpired,
    /// What was signed is not what was asked for, or was spent before.
    VerificationFailed,
    /// The credential cannot be read.
    MalformedCredential,
    /// The challenge is none of this server's.
    InvalidChallenge,
    /// The method's own part of the credential is not of its form.
    InvalidPayload,
    /// The request itself is wrong.
    BadRequest,
    /// This server failed.
    InternalPaymentError,
    /// A session's channel is not known.
    ChannelNotFound,
    /// A session's channel has ended.
    ChannelFinalized,
    /// More is asked of a session's channel than it holds.
    AmountExceedsDeposit,
    /// A session's channel has more to be signed for.
    InsufficientBalance,
}

impl Problem {
    const fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::PaymentRequired => ("payment-required", "Payment Required"),
            Self::PaymentInsufficient => ("payment-insufficient", "Payment Insufficient"),
            Self::PaymentExpired => ("payment-expired", "Payment Expired"),
            Self::VerificationFailed => ("verification-failed", "Verification Failed"),
            Self::MalformedCredential => ("malformed-credential", "Malformed Credential"),
            Self::InvalidChallenge => ("invalid-challenge", "Invalid Challenge"),
            Self::InvalidPayload => ("invalid-payload", "Invalid Payload"),
            Self::BadRequest => ("bad-request", "Bad Request"),
            Self::InternalPaymentError => ("internal-payment-error", "Internal Payment Error"),
            Self::ChannelNotFound => ("session/channel-not-found", "Channel Not Found"),
            Self::ChannelFinalized => ("session/channel-finalized", "Channel Finalized"),
            Self::AmountExceedsDeposit => {
                ("session/amount-exceeds-deposit", "Amount Exceeds Deposit")
            }
            Self::InsufficientBalance => ("session/insufficient-balance", "Insufficient Balance"),
        }
    }

    /// The name that programs branch on.
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// The members of an error's body, with a sentence for people.
    pub fn members(self, status: u16, detail: &str) -> Map<String, Value> {
        let (name, title) = self.row();
        let members = json!({
            "type": format!("https://paymentauth.org/problems/{name}"),
            "title": title,
            "status": status,
            "detail": detail,
        });
        match members {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }
}
