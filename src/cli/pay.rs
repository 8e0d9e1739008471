//! `groat pay`: asks, reads the quote, signs, streams the answer, prints the bill.

use super::bill::print_bill;
use super::{Failure, http::client, logging};
use crate::config::from_environment;
use crate::metering::{SseEvent, SseScanner};
use crate::money::{AssetDecimals, Pusd};
use crate::protocol::eip3009::{Authorization, Terms, signed_payload};
use crate::protocol::payment_identifier::{self, PaymentId};
use crate::protocol::receipt::verify;
use crate::protocol::signature::Key;
use crate::protocol::x402::{
    EXACT, PAYMENT_REQUIRED, PAYMENT_SIGNATURE, PaymentPayload, PaymentRequired, Requirements,
};
use alloy::primitives::{B256, U256};
use futures::StreamExt;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// How often the same payment is sent again while its settlement is pending.
const PENDING_TRIES: usize = 12;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The key comes from --key-file or GROAT_WALLET_KEY: 32 bytes in hex, of a wallet that holds USDC."
)]
pub(super) struct Args {
    /// The gateway
    #[arg(long, default_value = "http://127.0.0.1:4021")]
    url: String,
    /// A file with the wallet's private key in hex
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The most that may be signed for, in USD
    #[arg(long, value_name = "USD", default_value = "0.10")]
    max: String,
    /// The model
    #[arg(short, long)]
    model: String,
    /// The most output tokens
    #[arg(long, value_name = "N")]
    max_tokens: Option<u64>,
    /// A system prompt from a file, to share a long prefix between calls
    #[arg(long, value_name = "FILE")]
    system: Option<PathBuf>,
    /// Write the receipt to this file
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// The prompt
    #[arg(required = true)]
    prompt: Vec<String>,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    logging::start("warn");
    let key = wallet_key(&args)?;
    let max = Pusd::from_usd_text(&args.max)
        .map_err(|error| Failure::other(format!("--max: {error}")))?;
    let url = format!("{}/v1/chat/completions", args.url.trim_end_matches('/'));
    let body = request_body(&args)?;
    let client = client()?;
    let unpaid = post(&client, &url, &body, None).await?;
    let answer = if unpaid.status() == StatusCode::PAYMENT_REQUIRED {
        let required = read_challenge(&unpaid)?;
        let offer = choose(&required, max)?;
        let payment = sign(&key, &required, &offer)?;
        pay(&client, &url, &body, &payment).await?
    } else {
        unpaid
    };
    if !answer.status().is_success() {
        return Err(refused(answer).await);
    }
    let receipt = stream(answer).await?;
    let Some(receipt) = receipt else {
        return Err(Failure::other("the answer came without a receipt"));
    };
    let text = receipt.to_string();
    let verified = verify(&text)
        .map_err(|faults| Failure::other(format!("the receipt does not hold: {faults:?}")))?;
    if let Some(path) = &args.receipt {
        std::fs::write(path, &text)
            .map_err(|error| Failure::other(format!("{}: {error}", path.display())))?;
    }
    print_bill(&verified.receipt.body);
    Ok(())
}

fn wallet_key(args: &Args) -> Result<Key, Failure> {
    let text = match &args.key_file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Failure::other(format!("{}: {error}", path.display())))?,
        None => from_environment("GROAT_WALLET_KEY")
            .ok_or_else(|| Failure::other("no wallet: give --key-file, or set GROAT_WALLET_KEY"))?,
    };
    Key::from_hex(text.trim())
        .map_err(|_| Failure::other("the wallet's key must be 32 bytes in hex"))
}

fn request_body(args: &Args) -> Result<String, Failure> {
    let mut messages = Vec::new();
    if let Some(path) = &args.system {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::other(format!("{}: {error}", path.display())))?;
        messages.push(json!({"role": "system", "content": text}));
    }
    messages.push(json!({"role": "user", "content": args.prompt.join(" ")}));
    let mut body = json!({
        "model": args.model,
        "messages": messages,
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    if let (Some(members), Some(max_tokens)) = (body.as_object_mut(), args.max_tokens) {
        members.insert("max_tokens".to_owned(), Value::from(max_tokens));
    }
    Ok(body.to_string())
}

async fn post(
    client: &Client,
    url: &str,
    body: &str,
    payment: Option<&str>,
) -> Result<Response, Failure> {
    let mut request = client
        .post(url)
        .header("content-type", "application/json")
        .body(body.to_owned());
    if let Some(payment) = payment {
        request = request.header(PAYMENT_SIGNATURE, payment);
    }
    request
        .send()
        .await
        .map_err(|error| Failure::other(format!("{url} cannot be reached: {error}")))
}

fn read_challenge(answer: &Response) -> Result<PaymentRequired, Failure> {
    let header = answer
        .headers()
        .get(PAYMENT_REQUIRED)
        .and_then(|value| value.to_str().ok());
    let header = header.ok_or_else(|| Failure::other("the 402 carries no offers"))?;
    PaymentRequired::from_header(header)
        .map_err(|error| Failure::other(format!("the 402 cannot be read: {error}")))
}

/// The first offer this wallet can pay; refused when it is above the limit.
fn choose(required: &PaymentRequired, max: Pusd) -> Result<Requirements, Failure> {
    let offer = required
        .accepts
        .iter()
        .find(|offer| offer.scheme == EXACT && Terms::of(offer).is_some());
    let offer = offer.ok_or_else(|| {
        Failure::other("none of the offers can be paid by this wallet (x402 exact by EIP-3009)")
    })?;
    let decimals = AssetDecimals::USDC;
    let quote = offer.amount.asset_text(decimals);
    println!(
        "quote: up to {quote} USDC on {}, to {}",
        offer.network, offer.pay_to
    );
    let limit = max.to_units_ceil(decimals).map_err(Failure::other)?;
    if offer.amount > limit {
        return Err(Failure::other(format!(
            "the quote is above --max {}; nothing was signed",
            max.usd_text()
        )));
    }
    Ok(offer.clone())
}

fn sign(key: &Key, required: &PaymentRequired, offer: &Requirements) -> Result<String, Failure> {
    let terms =
        Terms::of(offer).ok_or_else(|| Failure::other("the offer lacks the token's domain"))?;
    let now = crate::clock::now_ms() / 1000;
    let authorization = Authorization {
        from: key.address(),
        to: offer.pay_to,
        value: U256::from(offer.amount.atomic()),
        valid_after: U256::ZERO,
        valid_before: U256::from(now.saturating_add(offer.max_timeout_seconds)),
        nonce: B256::from(rand::random::<[u8; 32]>()),
    };
    let id = format!("pay_{}", hex::encode(rand::random::<[u8; 16]>()));
    let id: PaymentId = id.parse().map_err(Failure::other)?;
    let extensions = required.extensions.clone().map(|mut extensions| {
        if let Some(advert) = extensions.get_mut(payment_identifier::KEY) {
            *advert = payment_identifier::echo_with_id(advert, &id);
        }
        extensions
    });
    let payload = PaymentPayload {
        x402_version: 2,
        resource: Some(required.resource.clone()),
        accepted: serde_json::to_value(offer).map_err(Failure::other)?,
        payload: signed_payload(key, &authorization, &terms),
        extensions,
    };
    payload.to_header().map_err(Failure::other)
}

/// Sends the payment; while its settlement is pending, sends the same one again and never another.
async fn pay(client: &Client, url: &str, body: &str, payment: &str) -> Result<Response, Failure> {
    for _ in 0..PENDING_TRIES {
        let answer = post(client, url, body, Some(payment)).await?;
        let retry = answer
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok());
        let seconds = retry.and_then(|text| text.parse().ok());
        match (answer.status(), seconds) {
            (StatusCode::SERVICE_UNAVAILABLE, Some(seconds)) => {
                eprintln!("the gateway asks to come back with the same payment in {seconds} s");
                tokio::time::sleep(Duration::from_secs(seconds)).await;
            }
            _ => return Ok(answer),
        }
    }
    Err(Failure::other(
        "the settlement is still pending; nothing more was signed",
    ))
}

async fn refused(answer: Response) -> Failure {
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    let said = body
        .pointer("/error/message")
        .or_else(|| body.get("message"))
        .and_then(Value::as_str);
    Failure::other(format!("{status}: {}", said.unwrap_or(&text)))
}

/// Prints the text as it comes; gives the receipt of the last usage.
async fn stream(answer: Response) -> Result<Option<Value>, Failure> {
    let mut bytes = answer.bytes_stream();
    let mut scanner = SseScanner::default();
    let mut receipt = None;
    let mut failure = None;
    while let Some(next) = bytes.next().await {
        let next = next.map_err(|error| Failure::other(format!("the stream broke: {error}")))?;
        for event in scanner.push(&next) {
            show(&event, &mut receipt, &mut failure)?;
        }
    }
    println!();
    match failure {
        Some(message) => Err(Failure::Other(message)),
        None => Ok(receipt),
    }
}

fn show(
    event: &SseEvent,
    receipt: &mut Option<Value>,
    failure: &mut Option<String>,
) -> Result<(), Failure> {
    let Some(chunk) = event
        .data
        .as_deref()
        .and_then(|data| serde_json::from_str::<Value>(data).ok())
    else {
        return Ok(());
    };
    if let Some(text) = chunk
        .pointer("/choices/0/delta/content")
        .and_then(Value::as_str)
    {
        print!("{text}");
        std::io::stdout().flush().map_err(Failure::other)?;
    }
    if let Some(found) = chunk.pointer("/usage/receipt") {
        *receipt = Some(found.clone());
    }
    if let Some(message) = chunk.pointer("/error/message").and_then(Value::as_str) {
        *failure = Some(message.to_owned());
    }
    Ok(())
}
