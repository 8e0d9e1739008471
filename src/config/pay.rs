//! `[upstream.pay]`: an upstream that is paid for each call, out of a wallet of the operator's.

use super::reader::{Mistake, Reader};
use super::sections::{KEY_FORM, is_key};
use super::{RailKind, Secret, UpstreamConfig};
use crate::money::Pusd;
use std::fmt;
use std::str::FromStr;

/// How an upstream is paid, and how much of it there may be.
#[derive(Debug, Clone)]
pub struct PayConfig {
    /// The wallet's private key.
    pub key: Secret,
    /// The protocol that the upstream is paid by.
    pub protocol: PayProtocol,
    /// The rail, which is none of channels.
    pub rail: RailKind,
    /// The most that is signed for one call.
    pub call_max: Pusd,
    /// The most that may leave the wallet for this upstream, over all its calls and starts.
    pub budget: Pusd,
    /// A node of the chain that the upstream is paid on; by default the gateway's own.
    pub rpc_url: Option<Secret>,
}

/// The protocol that a wallet pays by, where a gateway speaks both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PayProtocol {
    /// x402, by any of its rails.
    #[default]
    X402,
    /// MPP, by `evm/charge`, which is `exact` in other words.
    Mpp,
}

impl PayProtocol {
    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X402 => "x402",
            Self::Mpp => "mpp",
        }
    }
}

impl fmt::Display for PayProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PayProtocol {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let all = [Self::X402, Self::Mpp];
        all.into_iter()
            .find(|protocol| protocol.name() == text)
            .ok_or(())
    }
}

impl PayConfig {
    /// `None` where an upstream has no such table.
    pub(super) fn read(upstream: &mut Reader<'_>, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        if !upstream.has("pay") {
            // So that it counts among the known members.
            return upstream.take("pay").and(None);
        }
        let mut r = upstream.table("pay");
        let key = r.secret("key");
        match &key {
            None if !r.has("key") => r.wrong(
                "key",
                "is required: { env = \"NAME\" } or { file = \"path\" }",
            ),
            Some(key) if !is_key(key) => r.wrong("key", KEY_FORM),
            _ => {}
        }
        let protocol = r.parsed("protocol", PayProtocol::X402, "\"x402\" or \"mpp\"");
        let rail = r.parsed("rail", RailKind::Exact, RAILS);
        match (protocol, rail) {
            (_, RailKind::Channel | RailKind::TempoCharge | RailKind::TempoSession) => {
                r.wrong("rail", format!("must be {RAILS}"));
            }
            (PayProtocol::Mpp, RailKind::Upto | RailKind::ExactPermit2) => {
                r.wrong("rail", "must be \"exact\" where protocol is \"mpp\"");
            }
            _ => {}
        }
        let call_max = usd(&mut r, "call_max_usd", Some("1.00"));
        let budget = usd(&mut r, "budget_usd", None);
        let rpc_url = r.secret("rpc_url");
        mistakes.extend(r.finish());
        Some(Self {
            key: key?,
            protocol,
            rail,
            call_max,
            budget,
            rpc_url,
        })
    }
}

const RAILS: &str = "\"exact\", \"exact-permit2\" or \"upto\"";

/// An amount in US dollars; one without a default is required.
fn usd(r: &mut Reader<'_>, key: &str, default: Option<&str>) -> Pusd {
    let text = match (r.text(key), default) {
        (Some(text), _) => text,
        (None, Some(default)) => default.to_owned(),
        (None, None) => {
            r.wrong(key, format!("is required, for example {key} = \"10.00\""));
            return Pusd::ZERO;
        }
    };
    Pusd::from_usd_text(&text).unwrap_or_else(|error| {
        r.wrong(key, error.to_string());
        Pusd::ZERO
    })
}

impl UpstreamConfig {
    /// What an operator should know of how it is paid.
    pub(super) fn pay_remark(&self) -> Option<String> {
        let pay = self.pay.as_ref()?;
        Some(format!(
            "{}: it is paid for each call, by {} {}, at most {} USD for one and {} USD for all",
            self.name,
            pay.protocol,
            pay.rail,
            pay.call_max.usd_text(),
            pay.budget.usd_text()
        ))
    }
}
