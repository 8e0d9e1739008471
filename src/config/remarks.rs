//! What a configuration may say and an operator should look at twice.

use super::{Config, RailKind};
use crate::ledger::SettleWhen;
use crate::pricing::lint;
use std::time::Duration;

impl Config {
    /// What is allowed, and worth a second look.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        for model in self.upstreams.iter().flat_map(|upstream| &upstream.models) {
            let prices = lint(&model.price);
            remarks.extend(
                prices
                    .iter()
                    .map(|remark| format!("{}: {remark}", model.id)),
            );
            if model.price.is_free() {
                remarks.push(format!(
                    "{}: it costs nothing, so anybody may call it without a payment, {} calls at once",
                    model.id, self.gateway.free_calls_max
                ));
            }
        }
        remarks.extend(
            self.upstreams
                .iter()
                .filter_map(|upstream| upstream.pay_remark()),
        );
        for model in self
            .upstreams
            .iter()
            .flat_map(|upstream| &upstream.unpriced)
        {
            remarks.push(format!(
                "{}: its price is that of its upstream's catalogue, and until that is read it is not there",
                model.id
            ));
        }
        remarks.extend(self.lives());
        remarks
    }

    /// What lasts longer than the payments that published clients sign.
    fn lives(&self) -> Vec<String> {
        let settles_later = |rail: &RailKind| match rail {
            RailKind::Upto => true,
            RailKind::Exact | RailKind::ExactPermit2 => self.payment.settle != SettleWhen::Before,
            RailKind::Channel | RailKind::TempoCharge | RailKind::TempoSession => false,
        };
        if !self.payment.rails.iter().any(settles_later) {
            return Vec::new();
        }
        let life = Duration::from_secs(self.payment.max_timeout_seconds);
        let life = life.saturating_sub(self.payment.settle_margin);
        let ends = format!(
            "{} s: payments live for payment.max_timeout_seconds, less settle_margin_seconds for the settlement",
            life.as_secs()
        );
        let mut remarks = Vec::new();
        for upstream in self.upstreams.iter().filter(|u| u.call_timeout > life) {
            remarks.push(format!(
                "{}: call_timeout_ms allows {} s, but calls that are settled after their answer are ended after {ends}",
                upstream.name,
                upstream.call_timeout.as_secs()
            ));
        }
        if self.settler.address.is_some() && self.settler.batch_wait > life {
            remarks.push(format!(
                "settler.batch_wait_ms: no call waits for more than {ends}"
            ));
        }
        remarks
    }
}
