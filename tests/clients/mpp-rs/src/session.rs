//! A channel, from its opening to its close: metered streams, vouchers as they are asked for.

use crate::answer::{Answer, Events};
use crate::top_up::top_up;
use crate::{Call, Failure, NAME, optional, receipt, text, variable};
use alloy::primitives::Address;
use mpp::client::{Fetch, TempoSessionProvider};
use reqwest::Response;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

/// Answers to one request that are no stream, before it is called a failure.
const MANAGEMENT_ANSWERS_MAX: usize = 2;

/// The problem of a request that the rest of the deposit does not cover.
const DEPOSIT_TOO_SMALL: &str = "session/amount-exceeds-deposit";

pub(crate) async fn run(call: &Call) -> Result<Value, Failure> {
    let escrow: Address = variable("ESCROW")?.parse()?;
    let provider =
        TempoSessionProvider::new(call.key.clone(), &call.rpc)?.with_escrow_contract(escrow);
    let mut session = Session {
        call,
        provider,
        escrow,
        deposit: optional("DEPOSIT")?,
        top_up: optional("TOP_UP")?,
        topped_up: Value::Null,
        managed: Vec::new(),
    };
    let mut streams = Vec::new();
    for _ in 0..optional("STREAMS")?.unwrap_or(1) {
        streams.push(session.stream().await?);
    }
    if let Some(units) = session.top_up.take() {
        session.fill(units).await?;
    }
    let closed = session.provider.close(&call.client, &call.url).await?;
    Ok(json!({
        "client": NAME,
        "channel": session.channel(),
        "streams": streams,
        "managed": session.managed,
        "top_up": session.topped_up,
        "close": closed,
    }))
}

struct Session<'a> {
    call: &'a Call,
    provider: TempoSessionProvider,
    escrow: Address,
    /// The most that the channel is opened with, whatever the server suggests.
    deposit: Option<u128>,
    /// What is to be added once a stream needs it, or at the end.
    top_up: Option<u128>,
    topped_up: Value,
    /// The answers that were no content.
    managed: Vec<Value>,
}

impl Session<'_> {
    /// One metered stream, read to its end.
    async fn stream(&mut self) -> Result<Value, Failure> {
        let response = self.ask().await?;
        let headers = response.headers().clone();
        let streamed = self.read(response).await?;
        let mut answer = Answer::default();
        for chunk in streamed.chunks.iter().filter(|chunk| chunk.is_object()) {
            answer.add(chunk)?;
        }
        Ok(json!({
            "status": 200,
            "chunks": streamed.chunks,
            "text": answer.text,
            "usage": answer.usage,
            "need_vouchers": streamed.need_vouchers,
            "receipt": streamed.receipt,
            "payment_receipt": receipt(&headers)?,
            "call_id": text(&headers, "groat-call-id"),
        }))
    }

    /// Asks until the answer is a stream: that to an opening may be a receipt alone.
    async fn ask(&mut self) -> Result<Response, Failure> {
        for _ in 0..=MANAGEMENT_ANSWERS_MAX {
            // Clones share their channels; the limit is for the opening, which happens once.
            let provider = match self.deposit.filter(|_| self.channel().is_null()) {
                Some(deposit) => self
                    .provider
                    .clone()
                    .with_default_deposit(deposit)
                    .with_max_deposit(deposit),
                None => self.provider.clone(),
            };
            let response = self
                .call
                .request()
                .header("Accept-Payment", "tempo/session")
                .send_with_payment(&provider)
                .await?;
            let status = response.status();
            if !status.is_success() {
                let said = response.text().await?;
                match self.top_up.take_if(|_| said.contains(DEPOSIT_TOO_SMALL)) {
                    Some(units) => self.fill(units).await?,
                    None => return Err(format!("HTTP {status}: {said}").into()),
                }
                continue;
            }
            let kind = text(response.headers(), "content-type").unwrap_or_default();
            if kind.starts_with("text/event-stream") {
                return Ok(response);
            }
            let receipt = receipt(response.headers())?;
            self.managed
                .push(json!({ "status": status.as_u16(), "receipt": receipt }));
        }
        Err("the gateway answers with receipts, and no stream".into())
    }

    async fn read(&mut self, mut response: Response) -> Result<Streamed, Failure> {
        let (client, url) = (&self.call.client, &self.call.url);
        let mut streamed = Streamed::default();
        let mut events = Events::default();
        while let Some(chunk) = response.chunk().await? {
            events.push(&chunk);
            while let Some(event) = events.next()? {
                match event.name.as_str() {
                    "message" if event.data == "[DONE]" => streamed.chunks.push(json!("[DONE]")),
                    "message" => streamed.chunks.push(serde_json::from_str(&event.data)?),
                    "payment-need-voucher" => {
                        let asked: Value = serde_json::from_str(&event.data)?;
                        if exceeds(&asked)?
                            && let Some(units) = self.top_up.take()
                        {
                            self.fill(units).await?;
                        }
                        streamed.need_vouchers.push(asked);
                    }
                    "payment-receipt" => streamed.receipt = serde_json::from_str(&event.data)?,
                    other => return Err(format!("an event that is not known: {other}").into()),
                }
                let todo = self
                    .provider
                    .stream_event(client, url, &event.name, &event.data);
                if let Some(todo) = todo {
                    todo.await?;
                }
            }
        }
        Ok(streamed)
    }

    /// Adds to the deposit, and lets the client know that there is more.
    async fn fill(&mut self, units: u128) -> Result<(), Failure> {
        let channels = self.provider.channels();
        let channel = channels.values().next().ok_or("there is no channel")?;
        let filled = top_up(self.call, self.escrow, channel, units).await?;
        // It learns a deposit only from what asks for a voucher; this one is for what was signed before.
        self.provider
            .voucher_credential_with_top_up(
                &self.call.client,
                &self.call.url,
                HeaderMap::new(),
                &channel.channel_id.to_string(),
                channel.cumulative_amount,
                channel.deposit + units,
            )
            .await?;
        self.topped_up = filled;
        Ok(())
    }

    fn channel(&self) -> Value {
        let channels = self.provider.channels();
        match channels.values().next() {
            Some(channel) => json!(channel.channel_id.to_string()),
            None => Value::Null,
        }
    }
}

#[derive(Default)]
struct Streamed {
    chunks: Vec<Value>,
    need_vouchers: Vec<Value>,
    receipt: Value,
}

/// Whether more is asked for than was deposited.
fn exceeds(asked: &Value) -> Result<bool, Failure> {
    let amount = |member: &str| -> Result<u128, Failure> {
        Ok(asked[member].as_str().unwrap_or_default().parse()?)
    };
    Ok(amount("requiredCumulative")? > amount("deposit")?)
}
