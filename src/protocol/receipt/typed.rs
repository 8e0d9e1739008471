//! The receipt as EIP-712 typed data. Domain: name `Groat Receipt`, version `1`, the receipt's
//! chain id. The type string is in the test `the_type_string_is_fixed`.
//!
//! A receipt of another route than chat completions has a member more in its type: `string route`,
//! behind `string model`, with the route's name. One that bills what the provider says the call cost has
//! `uint256 reportedCostPusd` behind `bytes32 rawUsageSha256`. One of a call that was itself bought has
//! `bytes32 upstreamReceiptSha256` behind `Settlement settlement`, with the SHA-256 of that receipt's canonical
//! JSON.
//!
//! Absent values: no `raw_usage` is the zero hash, no transaction the empty string, no block 0.
//! The price row stands in by its hash, the raw usage by the SHA-256 of its canonical JSON.

use super::ReceiptBody;
use crate::json::canonical;
use crate::protocol::eip712::{Separator, struct_hash, type_hash};
use alloy::primitives::{Address, B256, Keccak256, U256, keccak256};
use alloy::sol;
use alloy::sol_types::{Eip712Domain, SolStruct as _, eip712_domain};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

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

/// The hashes of the types, and those of the domain's type, name and version.
static ANSWERED_BY: LazyLock<B256> = LazyLock::new(type_hash::<AnsweredBy>);
static USAGE: LazyLock<B256> = LazyLock::new(type_hash::<Usage>);
static LINE: LazyLock<B256> = LazyLock::new(type_hash::<Line>);
static ASSET: LazyLock<B256> = LazyLock::new(type_hash::<Asset>);
static BILL: LazyLock<B256> = LazyLock::new(type_hash::<Bill>);
static HOLD: LazyLock<B256> = LazyLock::new(type_hash::<Hold>);
static SETTLEMENT: LazyLock<B256> = LazyLock::new(type_hash::<Settlement>);
/// By what each has that others lack: four for a route, two for a reported cost, one for an upstream's receipt.
static RECEIPTS: LazyLock<[B256; 8]> = LazyLock::new(|| {
    std::array::from_fn(|kind| keccak256(receipt_type([4, 2, 1].map(|bit| kind & bit != 0))))
});
static DOMAIN: LazyLock<[B256; 3]> = LazyLock::new(|| {
    [
        domain(0).type_hash(),
        text(DOMAIN_NAME),
        text(DOMAIN_VERSION),
    ]
});

const DOMAIN_NAME: &str = "Groat Receipt";
const DOMAIN_VERSION: &str = "1";

/// The EIP-712 digest that `signer` signs.
pub(super) fn digest(body: &ReceiptBody, signer: Address) -> B256 {
    let [type_hash, name, version] = *DOMAIN;
    let separator = Separator::of_words(type_hash, [name, version, number(body.chain_id.into())]);
    separator.digest(hash(body, signer))
}

/// The type of a receipt with these members that others lack.
fn receipt_type([route, cost, bought]: [bool; 3]) -> String {
    let mut text = Receipt::eip712_encode_type().into_owned();
    for (there, behind, member) in [
        (route, "string model,", "string route,"),
        (cost, "bytes32 rawUsageSha256,", "uint256 reportedCostPusd,"),
        (
            bought,
            "Settlement settlement,",
            "bytes32 upstreamReceiptSha256,",
        ),
    ] {
        if there {
            text = text.replacen(behind, &format!("{behind}{member}"), 1);
        }
    }
    text
}

fn domain(chain_id: u64) -> Eip712Domain {
    eip712_domain! {
        name: DOMAIN_NAME,
        version: DOMAIN_VERSION,
        chain_id: chain_id,
    }
}

fn hash(body: &ReceiptBody, signer: Address) -> B256 {
    let (usage, settlement) = (&body.usage, &body.settlement);
    let raw_usage = body.raw_usage.as_ref().map(sha256);
    let upstream = body.upstream_receipt.as_ref();
    let upstream = upstream.map(|receipt| sha256(&serde_json::json!(receipt)));
    let transaction = settlement.transaction.map(|hash| hash.to_string());
    let asset = [
        text(&body.network.to_string()),
        number(body.chain_id.into()),
        body.asset.into_word(),
        number(body.asset_decimals.get().into()),
    ];
    let answered_by = [
        text(&body.answered_by.model),
        text(&body.answered_by.endpoint),
    ];
    let usage = [
        usage.uncached,
        usage.cache_read,
        usage.cache_write_5m,
        usage.cache_write_1h,
        usage.output,
        usage.reasoning,
    ];
    let bill = [
        list(body.lines.iter().map(line)),
        number(body.markup_bps.into()),
        number(body.list_pusd.pico()),
        number(body.cache_saving_pusd.pico()),
        number(body.total_pusd.pico()),
    ];
    let hold = [body.ceiling, body.held, body.charged, body.credited];
    let settlement = [
        text(&name(&settlement.status)),
        text(&transaction.unwrap_or_default()),
        number(settlement.block.unwrap_or_default().into()),
    ];
    let route = body.route.map(|route| text(route.name()));
    let cost = body.reported_cost_pusd.map(|cost| number(cost.pico()));
    let kind = [(4, route), (2, cost), (1, upstream)];
    let kind = kind.into_iter().filter(|(_, member)| member.is_some());
    let kind: usize = kind.map(|(bit, _)| bit).sum();
    let type_hash = RECEIPTS.get(kind).copied().unwrap_or_default();
    let before_route = [
        text(&body.call),
        body.payer.into_word(),
        text(&body.rail),
        struct_hash(*ASSET, asset),
        body.request_sha256.0,
        text(&body.model),
    ];
    let before_cost = [
        struct_hash(*ANSWERED_BY, answered_by),
        body.price_row_sha256.0,
        struct_hash(*USAGE, usage.map(|tokens| number(tokens.into()))),
        text(&name(&body.usage_source)),
        raw_usage.unwrap_or_default(),
    ];
    let before_upstream = [
        struct_hash(*BILL, bill),
        struct_hash(*HOLD, hold.map(|units| number(units.atomic()))),
        struct_hash(*SETTLEMENT, settlement),
    ];
    let rest = [
        list(body.flags.iter().map(|flag| text(flag))),
        text(&body.issued_at),
        signer.into_word(),
    ];
    let words = before_route.into_iter().chain(route);
    let words = words.chain(before_cost).chain(cost);
    let words = words.chain(before_upstream).chain(upstream).chain(rest);
    struct_hash(type_hash, words)
}

/// The SHA-256 of a value's canonical JSON.
fn sha256(value: &serde_json::Value) -> B256 {
    let hash: [u8; 32] = Sha256::digest(canonical(value)).into();
    B256::from(hash)
}

fn line(line: &crate::pricing::Line) -> B256 {
    let words = [
        text(line.class.name()),
        number(line.tokens.into()),
        number(line.rate_pusd.pico().into()),
        number(line.amount_pusd.pico()),
    ];
    struct_hash(*LINE, words)
}

fn text(text: &str) -> B256 {
    keccak256(text.as_bytes())
}

fn number(number: u128) -> B256 {
    U256::from(number).into()
}

fn list(hashes: impl Iterator<Item = B256>) -> B256 {
    let mut hash = Keccak256::new();
    hashes.for_each(|item| hash.update(item));
    hash.finalize()
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

#[cfg(test)]
mod tests {
    #![expect(clippy::expect_used, reason = "a test stops where it fails")]
    use super::*;
    use crate::protocol::receipt::{self, SettlementStatus, UsageSource};

    #[test]
    fn the_digest_is_the_one_of_the_types() {
        let text = include_str!("../../../tests/data/protocol/receipt.json");
        let whole: ReceiptBody = serde_json::from_str(text).expect("a receipt");
        let mut empty = whole.clone();
        empty.raw_usage = None;
        empty.usage_source = UsageSource::None;
        empty.lines.clear();
        empty.flags.clear();
        empty.settlement = receipt::Settlement::NONE;
        let mut other = whole.clone();
        other.chain_id = u64::MAX;
        other.flags = vec!["a".to_owned(), "\"b\" ü".to_owned()];
        other.lines.reverse();
        other.settlement.status = SettlementStatus::Pending;
        other.settlement.block = None;
        for body in [whole, empty, other] {
            let signer = Address::repeat_byte(0x77);
            let expected = typed(&body, signer).eip712_signing_hash(&domain(body.chain_id));
            assert_eq!(digest(&body, signer), expected);
        }
    }

    /// The receipt as alloy hashes it.
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
}
