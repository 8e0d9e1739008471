//! Makes one paid chat completion with the published `x402-reqwest` and prints one JSON line about it.

use std::{env, error::Error, process::ExitCode, sync::Arc};

use alloy_signer_local::PrivateKeySigner;
use base64::{Engine, engine::general_purpose::STANDARD};
use futures::TryStreamExt;
use reqwest::{Client, Response, Url, header::HeaderMap};
use serde_json::{Value, json};
use x402_chain_eip155::{V1Eip155ExactClient, V2Eip155ExactClient, V2Eip155UptoClient};
use x402_reqwest::{ReqwestWithPayments, ReqwestWithPaymentsBuild, X402Client};

const NAME: &str = "x402-reqwest";
const USAGE: &str = "usage: GATEWAY=URL PAYER_KEY=0x… MODEL=… [RPC=URL] [SCHEMES=exact,upto] x402-reqwest-client whole|stream PROMPT";

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match call().await {
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

async fn call() -> Result<Value, Failure> {
    let mut arguments = env::args().skip(1);
    let streamed = match arguments.next().as_deref() {
        Some("whole") => false,
        Some("stream") => true,
        _ => return Err(USAGE.into()),
    };
    let prompt = arguments.next().ok_or(USAGE)?;
    let variable = |name| env::var(name).map_err(|_| format!("{name} is not set; {USAGE}"));
    let gateway = variable("GATEWAY")?;
    let signer: Arc<PrivateKeySigner> = Arc::new(variable("PAYER_KEY")?.parse()?);

    let schemes = env::var("SCHEMES").unwrap_or_else(|_| "exact".to_owned());
    // Registration order decides: V2 before V1, as a user who has moved on would write it.
    let mut payments = X402Client::new();
    for scheme in schemes.split(',') {
        let upto = V2Eip155UptoClient::new(signer.clone());
        payments = match (scheme, env::var("RPC")) {
            ("exact", _) => payments
                .register(V2Eip155ExactClient::new(signer.clone()))
                .register(V1Eip155ExactClient::new(signer.clone())),
            ("upto", Ok(rpc)) => payments.register(upto.with_provider(rpc.parse::<Url>()?)),
            ("upto", Err(_)) => payments.register(upto),
            (unknown, _) => return Err(format!("unknown scheme {unknown}").into()),
        };
    }
    let client = Client::new().with_payments(payments).build();
    let mut body = json!({
        "model": variable("MODEL")?,
        "messages": [{ "role": "user", "content": prompt }],
        "max_tokens": 16,
    });
    if streamed {
        body["stream"] = json!(true);
        body["stream_options"] = json!({ "include_usage": true });
    }
    let response = client
        .post(format!(
            "{}/v1/chat/completions",
            gateway.trim_end_matches('/')
        ))
        .json(&body)
        .send()
        .await?;

    let status = response.status().as_u16();
    let headers = response.headers().clone();
    if status != 200 {
        return Err(format!("HTTP {status}: {}", response.text().await?).into());
    }
    let mut answer = Answer::default();
    if streamed {
        answer.add_events(response).await?;
    } else {
        answer.add(&response.json().await?)?;
    }
    Ok(json!({
        "client": NAME,
        "status": status,
        "text": answer.text,
        "usage": answer.usage,
        "payment_response": payment_response(&headers)?,
        "call_id": text(&headers, "groat-call-id"),
    }))
}

/// Text and usage, gathered from one whole completion or from its chunks.
#[derive(Default)]
struct Answer {
    text: String,
    usage: Value,
}

impl Answer {
    fn add(&mut self, completion: &Value) -> Result<(), Failure> {
        if let Some(error) = completion.get("error") {
            return Err(format!("the gateway reported: {error}").into());
        }
        let choice = &completion["choices"][0];
        let content = ["message", "delta"]
            .iter()
            .find_map(|member| choice[member]["content"].as_str());
        self.text.push_str(content.unwrap_or_default());
        if !completion["usage"].is_null() {
            self.usage = completion["usage"].clone();
        }
        Ok(())
    }

    async fn add_events(&mut self, response: Response) -> Result<(), Failure> {
        let mut bytes = response.bytes_stream();
        let mut pending = Vec::new();
        let mut done = false;
        while let Some(chunk) = bytes.try_next().await? {
            pending.extend_from_slice(&chunk);
            while let Some(end) = pending.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                match std::str::from_utf8(&line)?
                    .strip_prefix("data:")
                    .map(str::trim)
                {
                    Some("[DONE]") => done = true,
                    Some(data) => self.add(&serde_json::from_str(data)?)?,
                    None => {}
                }
            }
        }
        if done {
            Ok(())
        } else {
            Err("the stream ended without [DONE]".into())
        }
    }
}

fn payment_response(headers: &HeaderMap) -> Result<Value, Failure> {
    let header = text(headers, "payment-response").or_else(|| text(headers, "x-payment-response"));
    match header {
        Some(encoded) => Ok(serde_json::from_slice(&STANDARD.decode(encoded)?)?),
        None => Ok(Value::Null),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
