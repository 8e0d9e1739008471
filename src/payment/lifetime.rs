//! How long a payment is good for: its call ends, and its settlement is sent, early enough to be mined
//! before the payment expires.

use crate::ledger::SettleWhen;
use crate::protocol::eip3009::VALIDITY_LEFT_SECONDS;
use alloy::primitives::U256;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// How much of its life a payment must have left when its settlement is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetime {
    margin: Duration,
}

/// The members of a stored payment that say when it expires, in Unix seconds.
#[derive(Deserialize)]
struct Stored {
    #[serde(alias = "deadline")]
    valid_before: U256,
    permit2612: Option<StoredPermit2612>,
}

#[derive(Deserialize)]
struct StoredPermit2612 {
    deadline: U256,
}

impl Lifetime {
    pub(super) const fn new(margin: Duration) -> Self {
        Self { margin }
    }

    /// Whether a payment that expires then leaves any time for an answer before its settlement.
    pub(super) fn suffices(self, expires_s: U256, settles: SettleWhen, now_s: u64) -> bool {
        let margin_s = match comes_later(settles) {
            true => self.margin.as_secs(),
            false => 0,
        };
        let least = now_s
            .saturating_add(margin_s)
            .saturating_add(VALIDITY_LEFT_SECONDS);
        expires_s >= U256::from(least)
    }

    /// How long it is until a stored payment's settlement must be sent; `None` where no time is lost
    /// before that, or nothing expires.
    pub(super) fn left(self, settles: SettleWhen, stored: &Value, now_ms: u64) -> Option<Duration> {
        if !comes_later(settles) {
            return None;
        }
        let expires = Duration::from_secs(expires_s(stored)?);
        let left = expires.saturating_sub(Duration::from_millis(now_ms));
        Some(left.saturating_sub(self.margin))
    }
}

/// Whether a stored payment can be settled no more.
pub(super) fn is_expired(stored: &Value, now_ms: u64) -> bool {
    expires_s(stored).is_some_and(|expires| expires <= now_ms / 1000)
}

const fn comes_later(settles: SettleWhen) -> bool {
    matches!(settles, SettleWhen::OnFirstByte | SettleWhen::After)
}

/// When a stored payment expires; a permit that it needs counts with it.
fn expires_s(stored: &Value) -> Option<u64> {
    let stored = Stored::deserialize(stored).ok()?;
    let permit = stored.permit2612.map(|permit| permit.deadline);
    let expires = permit.map_or(stored.valid_before, |permit| {
        permit.min(stored.valid_before)
    });
    u64::try_from(expires).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const LIFETIME: Lifetime = Lifetime::new(Duration::from_secs(30));

    fn left(settles: SettleWhen, stored: &Value, now_s: u64) -> Option<u64> {
        let left = LIFETIME.left(settles, stored, now_s * 1000);
        left.map(|left| left.as_secs())
    }

    #[test]
    fn a_payment_must_outlive_its_settlement_and_an_answer() {
        let now = 1_000;
        for (settles, least) in [
            (SettleWhen::Before, 1_006),
            (SettleWhen::OnFirstByte, 1_036),
            (SettleWhen::After, 1_036),
        ] {
            let suffices = |expires: u64| LIFETIME.suffices(U256::from(expires), settles, now);
            assert!(suffices(least) && !suffices(least - 1), "{settles:?}");
        }
        assert!(LIFETIME.suffices(U256::MAX, SettleWhen::After, u64::MAX));
    }

    #[test]
    fn a_call_ends_a_margin_before_the_first_of_its_signatures_expires() {
        let authorized = json!({"valid_before": U256::from(1_100)});
        let permitted = json!({"deadline": U256::from(1_100), "permit2612": null});
        let with_permit = json!({
            "deadline": U256::from(1_100),
            "permit2612": {"deadline": U256::from(1_050)},
        });
        let after = SettleWhen::After;
        assert_eq!(left(after, &authorized, 1_000), Some(70));
        assert_eq!(left(after, &permitted, 1_000), Some(70));
        assert_eq!(left(after, &with_permit, 1_000), Some(20));
        assert_eq!(left(after, &authorized, 1_080), Some(0));
        assert_eq!(left(after, &authorized, 2_000), Some(0));
        assert_eq!(left(SettleWhen::OnFirstByte, &authorized, 1_000), Some(70));
        assert_eq!(left(SettleWhen::Before, &authorized, 1_000), None);
        assert_eq!(left(after, &json!({"signature": "0x"}), 1_000), None);
        let for_ever = json!({"valid_before": U256::MAX});
        assert_eq!(left(after, &for_ever, 1_000), None);
        assert!(!is_expired(&authorized, 1_099_999) && is_expired(&authorized, 1_100_000));
        assert!(!is_expired(&for_ever, u64::MAX) && !is_expired(&json!({}), u64::MAX));
    }
}
