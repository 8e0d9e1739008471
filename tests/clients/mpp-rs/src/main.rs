//! Pays a gateway with the published `mpp`, and prints one JSON line about it: one charge, or a channel
//! from its opening to its close.

mod answer;
mod charge;
mod session;
mod top_up;

use mpp::PrivateKeySigner;
use reqwest::{Client, RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};
use std::{env, error::Error, process::ExitCode, str::FromStr};

const NAME: &str = "mpp-rs";
const USAGE: &str =
    "usage: GATEWAY=URL PAYER_KEY=0x… MODEL=… RPC=URL mpp-rs-client charge whole|stream PROMPT
       … ESCROW=0x… [DEPOSIT=UNITS] [STREAMS=N] [TOP_UP=UNITS] mpp-rs-client session PROMPT";

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{NAME}: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<Value, Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let call = |prompt: &str, streamed| Call::read(prompt, streamed);
    match arguments[..] {
        ["charge", "whole", prompt] => charge::run(&call(prompt, false)?).await,
        ["charge", "stream", prompt] => charge::run(&call(prompt, true)?).await,
        ["session", prompt] => session::run(&call(prompt, true)?).await,
        _ => Err(USAGE.into()),
    }
}

/// What is asked of the gateway, and by whom.
struct Call {
    url: String,
    rpc: String,
    key: PrivateKeySigner,
    body: Value,
    streamed: bool,
    client: Client,
}

impl Call {
    fn read(prompt: &str, streamed: bool) -> Result<Self, Failure> {
        let mut body = json!({
            "model": variable("MODEL")?,
            "messages": [{ "role": "user", "content": prompt }],
            "max_tokens": 16,
        });
        if streamed {
            body["stream"] = json!(true);
            body["stream_options"] = json!({ "include_usage": true });
        }
        let gateway = variable("GATEWAY")?;
        Ok(Self {
            url: format!("{}/v1/chat/completions", gateway.trim_end_matches('/')),
            rpc: variable("RPC")?,
            key: variable("PAYER_KEY")?.parse()?,
            body,
            streamed,
            client: Client::new(),
        })
    }

    fn request(&self) -> RequestBuilder {
        self.client.post(&self.url).json(&self.body)
    }
}

fn variable(name: &str) -> Result<String, Failure> {
    env::var(name).map_err(|_| format!("{name} is not set; {USAGE}").into())
}

/// A variable that need not be there.
fn optional<T: FromStr<Err: Error + Send + Sync + 'static>>(
    name: &str,
) -> Result<Option<T>, Failure> {
    match env::var(name) {
        Ok(value) => Ok(Some(value.parse()?)),
        Err(_) => Ok(None),
    }
}

/// The members of `Payment-Receipt`, the crate's own reading of it aside.
fn receipt(headers: &HeaderMap) -> Result<Value, Failure> {
    match text(headers, "payment-receipt") {
        Some(encoded) => Ok(serde_json::from_slice(&mpp::base64url_decode(encoded)?)?),
        None => Ok(Value::Null),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
