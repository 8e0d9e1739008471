//! The servers that are measured beside each other.

use super::Outcome;
use super::body::Body;
use super::gateway::Gateway;
use super::job::{Job, Pace, Tally};
use super::purse::{At, Channels, Purse};
use super::stage::Stage;
use alloy::primitives::Address;
use std::net::SocketAddr;

/// The path of a call.
pub(crate) const PATH: &str = "/v1/chat/completions";

/// The arms' names, but for those of peers.
pub(crate) const DIRECT: &str = "direct";
pub(crate) const NGINX: &str = "nginx";
pub(crate) const LIBRARIES: &str = "axum and reqwest alone";
pub(crate) const NGINX_STATIC: &str = "nginx static";
pub(crate) const UNPAID: &str = "groat 402";
pub(crate) const FREE: &str = "groat free";
pub(crate) const VOUCHER: &str = "groat voucher";
pub(crate) const UPTO: &str = "groat upto";
pub(crate) const UPTO_TOGETHER: &str = "groat upto, together";
pub(crate) const SETTLED_AFTER: &str = "groat exact, after";
pub(crate) const SETTLED_AFTER_TOGETHER: &str = "groat exact, after, together";
pub(crate) const MPP: &str = "groat mpp";
pub(crate) const MPP_TOGETHER: &str = "groat mpp, together";
pub(crate) const ON_FIRST_BYTE: &str = "groat exact, on first byte";

/// Those that are paid by `exact`.
pub(crate) const EXACT_ARMS: [&str; 3] = [SETTLED_AFTER, SETTLED_AFTER_TOGETHER, ON_FIRST_BYTE];

/// One way of making a call.
#[derive(Debug)]
pub(crate) struct Arm {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    /// The status that is a good answer.
    pub(crate) expect: u16,
    pub(crate) purse: Purse,
    /// What every call carries besides.
    pub(crate) headers: Vec<(String, String)>,
    /// The process that is measured.
    pub(crate) process: Option<u32>,
    /// Who is paid on the chain by each call, when each is settled on it.
    pub(crate) payee: Option<Address>,
}

/// A stretch of load.
#[derive(Debug, Clone)]
pub(crate) struct Stretch {
    pub(crate) body: Body,
    pub(crate) connections: usize,
    pub(crate) pace: Pace,
    pub(crate) warm_up: f64,
    /// How many connections share a channel.
    pub(crate) side_by_side: usize,
}

impl Arm {
    /// An arm that takes no payment.
    pub(crate) fn plain(name: &str, address: SocketAddr, process: Option<u32>) -> Self {
        Self {
            name: name.to_owned(),
            address,
            path: PATH.to_owned(),
            expect: 200,
            purse: Purse::Empty,
            headers: Vec::new(),
            process,
            payee: None,
        }
    }

    /// What a gateway answers without a payment.
    pub(crate) fn unpaid(name: &str, gateway: &Gateway) -> Self {
        Self {
            expect: 402,
            ..Self::plain(name, gateway.address, Some(gateway.pid()))
        }
    }

    /// A gateway paid by vouchers.
    pub(crate) async fn by_voucher(name: &str, stage: &Stage, gateway: &Gateway) -> Outcome<Self> {
        let channels = Channels::new(stage, &gateway.admin_token).await?;
        Ok(Self {
            purse: Purse::Channels(channels),
            ..Self::plain(name, gateway.address, Some(gateway.pid()))
        })
    }

    /// A gateway paid by an authorization each, all settled on the chain.
    fn settled(name: &str, gateway: &Gateway, purse: Purse) -> Self {
        Self {
            purse,
            payee: Some(gateway.pay_to),
            ..Self::plain(name, gateway.address, Some(gateway.pid()))
        }
    }

    /// The same by `exact`.
    pub(crate) fn by_exact(name: &str, gateway: &Gateway) -> Self {
        Self::settled(name, gateway, Purse::Wallets { scheme: "exact" })
    }

    /// The same by `upto`.
    pub(crate) fn by_upto(name: &str, gateway: &Gateway) -> Self {
        Self::settled(name, gateway, Purse::Wallets { scheme: "upto" })
    }

    /// The same by MPP.
    pub(crate) fn by_mpp(name: &str, gateway: &Gateway) -> Self {
        Self::settled(name, gateway, Purse::Charges)
    }

    /// Puts one stretch of load on it.
    pub(crate) async fn run(&mut self, stage: &Stage, stretch: &Stretch) -> Outcome<Tally> {
        let calls = stretch.pace.calls_max(stretch.connections);
        let at = At {
            stage,
            origin: format!("http://{}", self.address),
            path: &self.path,
        };
        let payment = self.purse.payment(
            &at,
            &stretch.body,
            stretch.connections,
            stretch.side_by_side,
            calls,
        );
        let payment = payment.await?;
        let watched = [("server", self.process), ("null", stage.null.pid())];
        let tally = stage.load(Job {
            address: self.address,
            path: self.path.clone(),
            body: stretch.body.text(),
            expect: self.expect,
            connections: stretch.connections,
            threads: 1,
            pace: stretch.pace,
            warm_up: stretch.warm_up,
            payment,
            headers: self.headers.clone(),
            watched: watched
                .iter()
                .filter_map(|(name, pid)| Some(((*name).to_owned(), (*pid)?)))
                .collect(),
        });
        tally.await
    }
}
