//! One call, paid by one transfer: the client signs it, the server sends it.

use crate::answer::{Answer, Events};
use crate::{Call, Failure, NAME, receipt, text};
use mpp::client::{Fetch, TempoProvider};
use serde_json::{Value, json};

pub(crate) async fn run(call: &Call) -> Result<Value, Failure> {
    let provider = TempoProvider::new(call.key.clone(), &call.rpc)?;
    let mut response = call
        .request()
        .header("Accept-Payment", "tempo/charge")
        .send_with_payment(&provider)
        .await?;
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    if status != 200 {
        return Err(format!("HTTP {status}: {}", response.text().await?).into());
    }
    let mut answer = Answer::default();
    if call.streamed {
        let mut events = Events::default();
        let mut done = false;
        while let Some(chunk) = response.chunk().await? {
            events.push(&chunk);
            while let Some(event) = events.next()? {
                match event.data.as_str() {
                    "[DONE]" => done = true,
                    data => answer.add(&serde_json::from_str(data)?)?,
                }
            }
        }
        if !done {
            return Err("the stream ended without [DONE]".into());
        }
    } else {
        answer.add(&response.json().await?)?;
    }
    Ok(json!({
        "client": NAME,
        "status": status,
        "text": answer.text,
        "usage": answer.usage,
        "payment_response": null,
        "payment_receipt": receipt(&headers)?,
        "call_id": text(&headers, "groat-call-id"),
    }))
}
