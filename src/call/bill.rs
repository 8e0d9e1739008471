//! The bill of one call: reported usage priced by the quoted row, or the stated estimate, or what the
//! provider says that the call cost; never above the ceiling.

use super::quote::{Candidate, QuotedCall};
use super::relay::End;
use crate::ledger::{Alternative, AnsweredBy, Capture, Digest32, SettleWhen, Takes};
use crate::metering::{Reading, Usage};
use crate::money::{AmountError, AssetDecimals, Pusd, Units};
use crate::pricing::{self, Bill, Line};
use crate::stats::{Metrics, Priced};
use serde_json::json;

/// The longest usage object that a receipt carries, in bytes; a longer one is billed all the same.
const RAW_USAGE_BYTES_MAX: usize = 8 << 10;

/// The longest name of an answering model that is kept, in characters.
const MODEL_CHARS_MAX: usize = 256;

/// What a call used, what that costs, and how it was found out.
#[derive(Debug)]
pub(super) struct Billing {
    usage: Usage,
    source: &'static str,
    raw_usage: Option<String>,
    answered_model: Option<String>,
    /// What the provider says that it cost, if that is what is billed.
    cost: Option<Pusd>,
    /// What the tokens cost by the row, whatever is billed.
    listed: Pusd,
    bill: Bill,
    charged: Units,
    over_quote: bool,
    flags: Vec<String>,
    /// Who answered, unless it is the first that could.
    answered_by: Option<Box<AnsweredBy>>,
    receipt: Option<String>,
    /// The upstream's own receipt, where it was paid for the call.
    upstream_receipt: Option<String>,
}

/// Bills what a reading says at the prices of who answered, after so many tries that came to nothing.
pub(super) fn bill(
    call: &QuotedCall,
    (by, failed): (&Candidate, usize),
    (reading, end): (&Reading, End),
    decimals: AssetDecimals,
) -> Result<Billing, AmountError> {
    let mut flags: Vec<String> = reading.flags.iter().map(wire_name).collect();
    let raw_usage = reading
        .raw_usage
        .clone()
        .filter(|raw| raw.len() <= RAW_USAGE_BYTES_MAX);
    if raw_usage.is_none() && reading.raw_usage.is_some() {
        flags.push("raw_usage_too_long".to_owned());
    }
    match end {
        End::Whole => {}
        End::Cut => flags.push("upstream_cut".to_owned()),
        End::Abandoned => flags.push("abandoned".to_owned()),
    }
    if failed > 0 {
        flags.push("failed_over".to_owned());
    }
    let estimate = pricing::estimate_usage(call.prompt_bytes, reading.text_bytes, &by.quote);
    let (usage, source) = match &reading.usage {
        Ok(usage) => reported(*usage, &estimate, end),
        Err(fault) => {
            flags.push(format!("usage_{}", wire_name(fault)));
            (estimate, "estimated")
        }
    };
    let mut bill = pricing::bill(&by.endpoint.model.price, &usage, call.markup_bps)?;
    let listed = bill.subtotal;
    let mut cost = None;
    if by.endpoint.upstream.bill_reported_cost && end == End::Whole {
        match reported_cost(reading, &bill, &usage) {
            Ok(reported) => {
                bill = bill.at_cost(reported, call.markup_bps)?;
                cost = Some(reported);
            }
            Err(why) => flags.push(why.to_owned()),
        }
    }
    let due = bill.total.to_units_ceil(decimals)?;
    Ok(Billing {
        usage,
        source,
        raw_usage,
        answered_model: reading
            .model
            .as_ref()
            .map(|model| model.chars().take(MODEL_CHARS_MAX).collect()),
        cost,
        listed,
        charged: due.min(call.ceiling),
        over_quote: due > call.ceiling,
        bill,
        flags,
        answered_by: call.stands_in(by).then(|| Box::new(answered_by(by))),
        receipt: None,
        upstream_receipt: None,
    })
}

fn answered_by(by: &Candidate) -> AnsweredBy {
    AnsweredBy {
        endpoint: by.endpoint.tag().to_owned(),
        price_row: by.endpoint.model.price.canonical_json(),
    }
}

/// The endpoints that may answer in place of the first, for the hold.
pub(super) fn alternatives(call: &QuotedCall) -> Vec<Alternative> {
    let others = call.candidates.iter().skip(1);
    let others = others.map(|by| Alternative {
        endpoint: by.endpoint.tag().to_owned(),
        price_row_sha256: Digest32::from_bytes(by.endpoint.price_row),
    });
    others.collect()
}

/// The provider's counts; of an answer that is not whole they may be from before its end, so what was delivered
/// counts when it is more.
fn reported(usage: Usage, estimate: &Usage, end: End) -> (Usage, &'static str) {
    let missing = estimate
        .output
        .saturating_sub(usage.output_total().unwrap_or(u64::MAX));
    if end == End::Whole || missing == 0 {
        return (usage, "reported");
    }
    let output = usage.output.saturating_add(missing);
    (Usage { output, ..usage }, "estimated")
}

/// What the provider says that a whole answer cost; the flag that says why not, where that is not billed. What
/// it says of an answer that is not whole may be from before its end.
fn reported_cost(reading: &Reading, by_row: &Bill, usage: &Usage) -> Result<Pusd, &'static str> {
    let cost = reading.upstream_cost.ok_or("cost_missing")?;
    match by_row.believes(cost, usage.output_total().unwrap_or(u64::MAX)) {
        true => Ok(cost),
        false => Err("cost_unbelievable"),
    }
}

/// The name an enum has on the wire.
fn wire_name(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

impl Billing {
    /// What the call costs its payer.
    pub(super) const fn charged(&self) -> Units {
        self.charged
    }

    /// The ledger's record of this bill, of a hold that takes this.
    pub(super) fn capture(
        &self,
        held: Units,
        takes: Takes,
        settle_when: SettleWhen,
        at_ms: u64,
    ) -> Capture {
        // What is not taken in the first place is not owed back.
        let moved = match takes {
            Takes::Held if settle_when != SettleWhen::After || !self.is_free() => held,
            Takes::Held | Takes::Charged => self.charged,
        };
        Capture {
            usage: json!(self.usage),
            usage_source: self.source.to_owned(),
            raw_usage: self.raw_usage.clone(),
            answered_model: self.answered_model.clone(),
            answered_by: self.answered_by.clone(),
            upstream_receipt: self.upstream_receipt.clone(),
            reported_cost: self.cost,
            lines: self.bill.lines.iter().map(|line| json!(line)).collect(),
            list: self.bill.list,
            saving: self.bill.cache_saving,
            total: self.bill.total,
            charged: self.charged,
            credited: moved.minus(self.charged).unwrap_or(Units::ZERO),
            flags: self.flags.clone(),
            at_ms,
        }
    }

    /// What was charged, beside what the endpoint's price row makes of it.
    pub(super) fn priced(&self, decimals: AssetDecimals) -> Priced {
        Priced {
            charged: Pusd::from_units_floor(self.charged, decimals).unwrap_or_default(),
            listed: self.listed,
        }
    }

    pub(super) const fn usage(&self) -> Usage {
        self.usage
    }

    pub(super) fn is_free(&self) -> bool {
        self.charged.is_zero()
    }

    /// The bill of a call that was bought itself.
    pub(super) fn bought(mut self, receipt: Option<String>, flag: Option<&str>) -> Self {
        self.upstream_receipt = receipt;
        self.flags.extend(flag.map(str::to_owned));
        self
    }

    pub(super) fn with_receipt(mut self, receipt: Option<&str>) -> Self {
        self.receipt = receipt.map(str::to_owned);
        self
    }

    /// What is spliced into the usage that the caller sees: OpenRouter's names, plus the receipt.
    pub(super) fn members(&self) -> Vec<(&'static str, String)> {
        let prompt = self.part(&["uncached", "cache_read", "cache_write_5m", "cache_write_1h"]);
        let completion = self.part(&["output", "reasoning"]);
        let details = format!(
            r#"{{"upstream_inference_cost":{},"upstream_inference_prompt_cost":{prompt},"upstream_inference_completions_cost":{completion},"cache_discount":{}}}"#,
            self.cost.unwrap_or(self.bill.total).usd_text(),
            self.bill.cache_saving.usd_text(),
        );
        let receipt = self.receipt.as_deref().unwrap_or("null");
        vec![
            ("cost", self.bill.total.usd_text()),
            ("cost_details", details),
            ("receipt", receipt.to_owned()),
        ]
    }

    /// The cost of some token classes as a JSON number in US dollars.
    fn part(&self, classes: &[&str]) -> String {
        let amounts = self
            .bill
            .lines
            .iter()
            .filter(|line| classes.contains(&line.class.name()));
        let sum = amounts.fold(0u128, |sum, line| {
            sum.saturating_add(line.amount_pusd.pico())
        });
        Pusd::from_pico(sum).usd_text()
    }

    pub(super) fn count(&self, metrics: &Metrics, call: &QuotedCall) {
        let model = &call.model.id;
        for Line { class, tokens, .. } in &self.bill.lines {
            metrics.tokens(model, class.name(), *tokens);
        }
        let credited = call.ceiling.minus(self.charged).unwrap_or(Units::ZERO);
        metrics.billed(
            self.charged.atomic(),
            credited.atomic(),
            self.bill.cache_saving.pico(),
        );
        if self.over_quote {
            metrics.over_quote(model);
        }
    }
}
