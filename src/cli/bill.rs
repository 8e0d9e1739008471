//! A receipt as people read a bill.

use crate::pricing::TokenClass;
use crate::protocol::receipt::{ReceiptBody, SettlementStatus, TAKE_THE_BILL};

pub(super) fn print_bill(receipt: &ReceiptBody) {
    let decimals = receipt.asset_decimals;
    println!("receipt {}", receipt.call);
    println!(
        "  {:<16} {} (answered by {} at {})",
        "model", receipt.model, receipt.answered_by.model, receipt.answered_by.endpoint
    );
    for line in &receipt.lines {
        let per_million = line
            .rate_pusd
            .times(1_000_000)
            .unwrap_or_default()
            .usd_text();
        println!(
            "  {:<16} {:>8} × {:>8} USD/M = {:>14} USD",
            class_name(line.class),
            line.tokens,
            per_million,
            line.amount_pusd.usd_text()
        );
    }
    if let Some(cost) = receipt.reported_cost_pusd {
        println!(
            "  {:<16} {:>42} USD, billed in place of these",
            "provider's price",
            cost.usd_text()
        );
    }
    if receipt.markup_bps > 0 {
        println!("  {:<16} {} basis points", "markup", receipt.markup_bps);
    }
    println!(
        "  {:<16} {:>42} USD",
        "without cache",
        receipt.list_pusd.usd_text()
    );
    println!(
        "  {:<16} {:>42} USD",
        "cache saving",
        receipt.cache_saving_pusd.usd_text()
    );
    println!(
        "  {:<16} {:>42} USD",
        "total",
        receipt.total_pusd.usd_text()
    );
    println!(
        "  {:<16} {:>42} USDC, of {} held",
        "charged",
        receipt.charged.asset_text(decimals),
        receipt.held.asset_text(decimals)
    );
    if TAKE_THE_BILL.contains(&receipt.rail.as_str()) {
        let rest = receipt.held.minus(receipt.charged).unwrap_or_default();
        println!(
            "  {:<16} {:>42} USDC",
            "not taken",
            rest.asset_text(decimals)
        );
    } else {
        let credited = receipt.credited.asset_text(decimals);
        println!("  {:<16} {credited:>42} USDC, your credit", "owed back");
    }
    if let Some(bought) = &receipt.upstream_receipt {
        let charged = bought.body.charged.asset_text(bought.body.asset_decimals);
        println!(
            "  {:<16} {charged:>42} USDC, {} of {}",
            "bought for", bought.body.call, bought.signer
        );
    }
    let settlement = match (
        receipt.settlement.status,
        receipt.settlement.transaction,
        receipt.settlement.block,
    ) {
        (SettlementStatus::Settled, Some(transaction), Some(block)) => {
            format!("{transaction} in block {block}")
        }
        (SettlementStatus::Settled | SettlementStatus::Pending, _, _) => "on its way".to_owned(),
        (SettlementStatus::Failed, _, _) => "failed".to_owned(),
        (SettlementStatus::None, _, _) => "none".to_owned(),
    };
    println!("  {:<16} {settlement}", "settled");
    if !receipt.flags.is_empty() {
        println!("  {:<16} {}", "remarks", receipt.flags.join(", "));
    }
}

fn class_name(class: TokenClass) -> &'static str {
    match class {
        TokenClass::Uncached => "prompt",
        TokenClass::CacheRead => "prompt, cached",
        TokenClass::CacheWrite5m => "cache write",
        TokenClass::CacheWrite1h => "cache write, 1 h",
        TokenClass::Output => "output",
        TokenClass::Reasoning => "reasoning",
        TokenClass::Request => "request fee",
    }
}
