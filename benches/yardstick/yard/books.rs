//! What voucher-paid calls leave behind: entries of the ledger, and the transactions that claim them.

use super::Outcome;
use super::gateway::Gateway;
use super::session::Mined;
use super::settled::mined_after;
use super::stage::Stage;
use serde_json::Value;

/// The books of a gateway whose calls were all paid by voucher.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Books {
    pub(crate) calls: u64,
    /// Durable events, those of channels and their deposits included.
    pub(crate) entries: u64,
    pub(crate) channels: u64,
    /// What claimed all of it; deposits are not in it.
    pub(crate) claimed: Mined,
}

/// Looks at the ledger, and has everything claimed.
pub(crate) async fn books(stage: &Stage, gateway: &Gateway) -> Outcome<Books> {
    let url = |path: &str| format!("http://{}/admin/{path}", gateway.address);
    let token = &gateway.admin_token;
    let report = stage.http.get(url("ledger/verify")).bearer_auth(token);
    let report: Value = report.send().await?.error_for_status()?.json().await?;
    let listed = stage.http.get(url("channels")).bearer_auth(token);
    let listed: Value = listed.send().await?.error_for_status()?.json().await?;
    let block = stage.chain.rpc.latest_block().await?.number();
    let claim = stage.http.post(url("channels/claim")).bearer_auth(token);
    claim.send().await?.error_for_status()?;
    let count = |name: &str| report[name].as_u64().ok_or("a report without its counts");
    Ok(Books {
        calls: count("calls")?,
        entries: count("entries")?,
        channels: listed["channels"].as_array().map_or(0, Vec::len) as u64,
        claimed: mined_after(stage, block).await?,
    })
}
