//! `groat pay`: asks, reads the quote, signs, streams the answer, checks the receipt, prints the bill.

use super::bill::print_bill;
use super::wallet::{WalletArgs, usd};
use super::{Failure, logging};
use crate::config::{PayProtocol, RailKind};
use crate::metering::{SseEvent, SseScanner};
use crate::protocol::receipt::Receipt;
use crate::wallet::{Deposits, Purchase, Quoted, Wallet, complaint};
use bytes::Bytes;
use reqwest::Response;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The key comes from --key-file or GROAT_WALLET_KEY: 32 bytes in hex, of a wallet that holds USDC.

Without --rail the cheapest offer that will do is taken:
  1. batch-settlement, out of a channel that is open and has room: no transaction for the call
  2. upto, when Permit2 is approved or a permit for it can be signed (this needs --rpc-url): only
     the bill is taken
  3. exact: the ceiling is taken, and the change becomes credit with the gateway
A channel is opened or filled only when it is asked for, by --rail batch-settlement or groat wallet
open, because that locks money. Which rail is taken, and why, is said on standard error.")]
pub(super) struct Args {
    #[command(flatten)]
    wallet: WalletArgs,
    /// The protocol to pay by: x402, or mpp, which offers no rail but exact
    #[arg(long, value_parser = protocol, default_value = "x402")]
    protocol: PayProtocol,
    /// The rail to pay by: exact, upto, batch-settlement or exact-permit2
    #[arg(long, value_parser = rail)]
    rail: Option<RailKind>,
    /// What to deposit when a channel is opened or filled (5 calls' worth, or what the gateway asks)
    #[arg(long, value_name = "USD")]
    deposit: Option<String>,
    /// The model
    #[arg(short, long)]
    model: String,
    /// The most output tokens
    #[arg(long, value_name = "N")]
    max_tokens: Option<u64>,
    /// Take the answer in one piece, not as it comes
    #[arg(long)]
    whole: bool,
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
    let wallet = args.wallet.wallet()?;
    let deposits = match (args.rail, &args.deposit) {
        (Some(RailKind::Channel), Some(amount)) => Deposits::Of(usd(amount, "--deposit")?),
        (Some(RailKind::Channel), None) => Deposits::AsNeeded,
        (_, Some(_)) => {
            return Err(Failure::other(
                "--deposit goes with --rail batch-settlement",
            ));
        }
        (_, None) => Deposits::None,
    };
    let purchase = Purchase {
        body: request_body(&args)?.into(),
        model: args.model,
        deposits,
    };
    let receipt = buy(&wallet, &purchase, args.protocol, args.rail).await?;
    if let Some(path) = &args.receipt {
        let text = serde_json::to_string(&receipt).map_err(Failure::other)?;
        std::fs::write(path, text)
            .map_err(|error| Failure::other(format!("{}: {error}", path.display())))?;
    }
    print_bill(&receipt.body);
    Ok(())
}

/// Buys one answer and prints it; gives its receipt, which holds.
pub(super) async fn buy(
    wallet: &Wallet,
    purchase: &Purchase,
    protocol: PayProtocol,
    wish: Option<RailKind>,
) -> Result<Receipt, Failure> {
    let quote = match wallet.quote(&purchase.body, protocol, wish).await? {
        Quoted::Quote(quote) => quote,
        Quoted::Answer(answer) if answer.status().is_success() => {
            println!("quote: nothing");
            let mut answer = answer;
            let told = read(&mut answer).await;
            let receipt = wallet.take_unpaid(purchase, told.receipt.as_deref());
            told.ended()?;
            return Ok(receipt?);
        }
        Quoted::Answer(answer) => return Err(Failure::other(complaint(answer).await)),
    };
    let choice = &quote.choice;
    let (offer, asset) = (&choice.candidate.offer, choice.candidate.asset);
    println!(
        "quote: up to {} {} on {}, to {}",
        offer.amount.asset_text(asset.decimals),
        asset.symbol,
        offer.network,
        offer.pay_to
    );
    eprintln!("paying by {}: {}", choice.candidate.rail, choice.why);
    let mut paid = wallet.pay(&quote, purchase).await?;
    let told = read(&mut paid.answer).await;
    let receipt = wallet.take(paid.due, told.receipt.as_deref()).await;
    told.ended()?;
    Ok(receipt?)
}

fn rail(name: &str) -> Result<RailKind, &'static str> {
    let unknown = "the rails are exact, upto, batch-settlement and exact-permit2";
    name.parse().map_err(|()| unknown)
}

fn protocol(name: &str) -> Result<PayProtocol, &'static str> {
    name.parse().map_err(|()| "the protocols are x402 and mpp")
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
    });
    if let Some(members) = body.as_object_mut() {
        if !args.whole {
            members.insert("stream".to_owned(), json!(true));
            members.insert("stream_options".to_owned(), json!({"include_usage": true}));
        }
        if let Some(max_tokens) = args.max_tokens {
            members.insert("max_tokens".to_owned(), Value::from(max_tokens));
        }
    }
    Ok(body.to_string())
}

/// What an answer said besides its text.
#[derive(Debug, Default)]
struct Told {
    /// The receipt of its last usage.
    receipt: Option<String>,
    /// Why it ended early.
    failure: Option<String>,
}

impl Told {
    fn note(&mut self, said: &Value) {
        if let Some(receipt) = said.pointer("/usage/receipt") {
            self.receipt = Some(receipt.to_string());
        }
        if let Some(message) = said.pointer("/error/message").and_then(Value::as_str) {
            self.failure = Some(message.to_owned());
        }
    }

    fn ended(self) -> Result<(), Failure> {
        self.failure.map_or(Ok(()), |why| Err(Failure::Other(why)))
    }
}

/// Prints an answer's text, as it comes when it is a stream.
async fn read(answer: &mut Response) -> Told {
    let kind = answer.headers().get("content-type");
    let streamed = kind
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("text/event-stream"));
    let mut told = Told::default();
    let read = if streamed {
        read_stream(answer, &mut told).await
    } else {
        read_whole(answer, &mut told).await
    };
    if let Err(failure) = read {
        told.failure.get_or_insert(failure.to_string());
    }
    println!();
    told
}

async fn read_stream(answer: &mut Response, told: &mut Told) -> Result<(), Failure> {
    let mut scanner = SseScanner::default();
    while let Some(bytes) = chunk(answer).await? {
        for event in scanner.push(&bytes) {
            show(&event, told)?;
        }
    }
    Ok(())
}

async fn read_whole(answer: &mut Response, told: &mut Told) -> Result<(), Failure> {
    let mut text = Vec::new();
    while let Some(bytes) = chunk(answer).await? {
        text.extend_from_slice(&bytes);
    }
    let body: Value = serde_json::from_slice(&text).map_err(Failure::other)?;
    print_text(body.pointer("/choices/0/message/content"))?;
    told.note(&body);
    Ok(())
}

async fn chunk(answer: &mut Response) -> Result<Option<Bytes>, Failure> {
    let chunk = answer.chunk().await;
    chunk.map_err(|error| Failure::other(format!("the answer broke off: {error}")))
}

fn show(event: &SseEvent, told: &mut Told) -> Result<(), Failure> {
    let data = event.data.as_deref().unwrap_or_default();
    let Ok(chunk) = serde_json::from_str::<Value>(data) else {
        return Ok(());
    };
    print_text(chunk.pointer("/choices/0/delta/content"))?;
    told.note(&chunk);
    Ok(())
}

fn print_text(text: Option<&Value>) -> Result<(), Failure> {
    if let Some(text) = text.and_then(Value::as_str) {
        print!("{text}");
        std::io::stdout().flush().map_err(Failure::other)?;
    }
    Ok(())
}
