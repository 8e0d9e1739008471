//! The receipt as EIP-712 typed data. Domain: name `Groat Receipt`, version `1`, the receipt's
//! chain id. The type string is in the test `the_type_string_is_fixed`.
//!
//! Absent values: no `raw_usage` is the zero hash, no transaction the empty string, no block 0.
//! The price row stands in by its hash, the raw usage by the SHA-256 of its canonical JSON.

use super::ReceiptBody;
use crate::json::canonical;
use alloy::primitives::{Address, B256, U256};
use alloy::sol;
use alloy::sol_types::{SolStruct, eip712_domain};
use serde::Serialize;
use sha2::{Digest, Sha256};

sol! {
    struct AnsweredBy {
        string model;
        string endpoint;
    }

    struct Usage {
        uint64 uncached;
        uint64 cacheRead;
        uint64 cacheWrite5m;
        uint64 cacheWrite1h;
        uint64 output;
        uint64 reasoning;
    }

    struct Line {
        string class;
        uint64 tokens;
        uint256 ratePusd;
        uint256 amountPusd;
    }

    struct Asset {
        string network;
        uint64 chainId;
        address token;
        uint8 decimals;
    }

    struct Bill {
        Line[] lines;
        uint32 markupBps;
        uint256 listPusd;
        uint256 cacheSavingPusd;
        uint256 totalPusd;
    }

    struct Hold {
        uint256 ceiling;
        uint256 held;
        uint256 charged;
        uint256 credited;
    }

    struct Settlement {
        string status;
        string transaction;
        uint64 block;
    }

    struct Receipt {
        string call;
        address payer;
        string rail;
        Asset asset;
        bytes32 requestSha256;
        string model;
        AnsweredBy answeredBy;
        bytes32 priceRowSha256;
        Usage usage;
        string usageSource;
        bytes32 rawUsageSha256;
        Bill bill;
        Hold hold;
        Settlement settlement;
        string[] flags;
        string issuedAt;
        address signer;
    }
}

/// The EIP-712 digest that `signer` signs.
pub(super) fn digest(body: &ReceiptBody, signer: Address) -> B256 {
    let domain = eip712_domain! {
        name: "Groat Receipt",
        version: "1",
        chain_id: body.chain_id,
    };
    typed(body, signer).eip712_signing_hash(&domain)
}

fn typed(body: &ReceiptBody, signer: Address) -> Receipt {
    let usage = &body.usage;
    let raw_usage = body.raw_usage.as_ref().map(|value| {
        let hash: [u8; 32] = Sha256::digest(canonical(value)).into();
        B256::from(hash)
    });
    let lines = body.lines.iter().map(|line| Line {
        class: name(&line.class),
        tokens: line.tokens,
        ratePusd: U256::from(line.rate_pusd.pico()),
        amountPusd: U256::from(line.amount_pusd.pico()),
    });
    let transaction = body.settlement.transaction;
    Receipt {
        call: body.call.clone(),
        payer: body.payer,
        rail: body.rail.clone(),
        asset: Asset {
            network: body.network.to_string(),
            chainId: body.chain_id,
            token: body.asset,
            decimals: body.asset_decimals.get(),
        },
        requestSha256: body.request_sha256.0,
        model: body.model.clone(),
        answeredBy: AnsweredBy {
            model: body.answered_by.model.clone(),
            endpoint: body.answered_by.endpoint.clone(),
        },
        priceRowSha256: body.price_row_sha256.0,
        usage: Usage {
            uncached: usage.uncached,
            cacheRead: usage.cache_read,
            cacheWrite5m: usage.cache_write_5m,
            cacheWrite1h: usage.cache_write_1h,
            output: usage.output,
            reasoning: usage.reasoning,
        },
        usageSource: name(&body.usage_source),
        rawUsageSha256: raw_usage.unwrap_or_default(),
        bill: Bill {
            lines: lines.collect(),
            markupBps: body.markup_bps,
            listPusd: U256::from(body.list_pusd.pico()),
            cacheSavingPusd: U256::from(body.cache_saving_pusd.pico()),
            totalPusd: U256::from(body.total_pusd.pico()),
        },
        hold: Hold {
            ceiling: U256::from(body.ceiling.atomic()),
            held: U256::from(body.held.atomic()),
            charged: U256::from(body.charged.atomic()),
            credited: U256::from(body.credited.atomic()),
        },
        settlement: Settlement {
            status: name(&body.settlement.status),
            transaction: transaction.map_or_else(String::new, |hash| hash.to_string()),
            block: body.settlement.block.unwrap_or_default(),
        },
        flags: body.flags.clone(),
        issuedAt: body.issued_at.clone(),
        signer,
    }
}

/// The wire name of a variant without fields.
fn name(variant: &impl Serialize) -> String {
    match serde_json::to_value(variant) {
        Ok(serde_json::Value::String(text)) => text,
        _ => String::new(),
    }
}

#[cfg(test)]
pub(super) fn type_string() -> String {
    Receipt::eip712_encode_type().into_owned()
}
