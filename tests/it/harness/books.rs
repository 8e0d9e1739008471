//! A gateway's ledger, held against itself and the chain.

use super::{ended, groat, http, printed, until};
use serde_json::{Value, json};

/// The ledger's report of a running gateway.
pub(crate) async fn report(url: &str, admin_token: &str) -> Value {
    let report = asked(&http(), url, admin_token).await;
    report.expect("a report")
}

/// The same once no call and no settlement is open: zero difference, with itself and with the chain.
pub(crate) async fn reconciled(url: &str, rpc: &str, admin_token: &str) -> Value {
    let client = http();
    let report = until("every call is finished and settled", || async {
        let report = asked(&client, url, admin_token).await.ok()?;
        (report["calls_open"] == 0).then_some(report)
    })
    .await;
    assert_eq!(report["faults"], json!([]), "{report}");
    let mut verify = groat(&["ledger", "verify", "--url", url, "--rpc", rpc]);
    let verified = ended(verify.env("GROAT_ADMIN_TOKEN", admin_token)).await;
    assert!(verified.status.success(), "{:?}", printed(&verified));
    report
}

async fn asked(client: &reqwest::Client, url: &str, admin_token: &str) -> reqwest::Result<Value> {
    let asked = client.get(format!("{url}/admin/ledger/verify"));
    asked.bearer_auth(admin_token).send().await?.json().await
}
