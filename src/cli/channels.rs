use super::{Failure, emit, http::client, logging};
use crate::config::{Secret, from_environment};
use crate::money::{AssetDecimals, Units};
use serde_json::Value;

/// A running gateway, asked with the admin token in GROAT_ADMIN_TOKEN.
#[derive(Debug, clap::Args)]
pub(super) struct Gateway {
    /// Where the gateway answers
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4021")]
    url: String,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List every channel: what is in it, what it was charged, what is unclaimed
    List {
        #[command(flatten)]
        gateway: Gateway,
        /// Print the gateway's JSON
        #[arg(long)]
        json: bool,
    },
    /// Claim all that was charged, now
    Claim {
        #[command(flatten)]
        gateway: Gateway,
    },
    /// Have the payee paid all that was claimed, now
    Settle {
        #[command(flatten)]
        gateway: Gateway,
    },
    /// Claim what a channel was charged, and give the rest back to its payer
    Refund {
        #[command(flatten)]
        gateway: Gateway,
        /// The channel, as `groat channels list` names it
        #[arg(value_name = "CHANNEL")]
        channel: String,
    },
}

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    logging::start("warn");
    match command {
        Command::List { gateway, json } => {
            let listed = gateway.ask(reqwest::Method::GET, "").await?;
            match json {
                true => print(&listed),
                false => emit(&table(&listed)),
            }
        }
        Command::Claim { gateway } => {
            let claimed = gateway.ask(reqwest::Method::POST, "/claim").await?;
            done(&claimed)
        }
        Command::Settle { gateway } => {
            let settled = gateway.ask(reqwest::Method::POST, "/settle").await?;
            done(&settled)
        }
        Command::Refund { gateway, channel } => {
            let path = format!("/{channel}/refund");
            print(&gateway.ask(reqwest::Method::POST, &path).await?)
        }
    }
}

impl Gateway {
    async fn ask(&self, method: reqwest::Method, path: &str) -> Result<Value, Failure> {
        let token = from_environment("GROAT_ADMIN_TOKEN").map(Secret::new);
        let token = token
            .ok_or_else(|| Failure::other("set GROAT_ADMIN_TOKEN to the gateway's admin token"))?;
        let url = format!("{}/admin/channels{path}", self.url.trim_end_matches('/'));
        let answer = client()?
            .request(method, &url)
            .bearer_auth(token.reveal())
            .send()
            .await
            .map_err(Failure::other)?;
        let status = answer.status();
        let text = answer.text().await.map_err(Failure::other)?;
        if !status.is_success() {
            return Err(Failure::other(format!("{url} answered {status}: {text}")));
        }
        serde_json::from_str(&text).map_err(Failure::other)
    }
}

fn print(value: &Value) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::other)?;
    emit(&format!("{text}\n"))
}

/// Prints what was done; a transaction that failed is a failure of the command.
fn done(value: &Value) -> Result<(), Failure> {
    print(value)?;
    let operations = value.get("operations").and_then(Value::as_array);
    let failed = |operation: &&Value| {
        let settlement = operation.get("settlement");
        settlement.and_then(Value::as_str) != Some("confirmed")
    };
    match operations.into_iter().flatten().filter(failed).count() {
        0 => Ok(()),
        failed => Err(Failure::other(format!("{failed} transactions failed"))),
    }
}

/// The list for people, in whole dollars.
fn table(listed: &Value) -> String {
    let channels = listed.get("channels").and_then(Value::as_array);
    let mut text = format!(
        "{:<67}  {:<42}  {:>12}  {:>12}  {:>12}  {}\n",
        "channel", "payer", "balance", "charged", "unclaimed", "withdrawing"
    );
    for channel in channels.into_iter().flatten() {
        let word = |key: &str| channel.get(key).and_then(Value::as_str).unwrap_or("?");
        let decimals = channel.get("decimals").and_then(Value::as_u64);
        let decimals = decimals.and_then(|n| u8::try_from(n).ok());
        let decimals = decimals.and_then(|n| AssetDecimals::try_from(n).ok());
        let amount = |key: &str| {
            let units: Option<Units> = word(key).parse().ok();
            let decimals = decimals.unwrap_or(AssetDecimals::USDC);
            units.map_or_else(|| "?".to_owned(), |units| units.asset_text(decimals))
        };
        let leaving = channel.get("withdrawal").is_some_and(|w| !w.is_null());
        text.push_str(&format!(
            "{:<67}  {:<42}  {:>12}  {:>12}  {:>12}  {}\n",
            word("channel"),
            word("payer"),
            amount("balance"),
            amount("charged"),
            amount("unclaimed"),
            if leaving { "yes" } else { "" },
        ));
    }
    text
}
