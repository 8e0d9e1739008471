// Signs a receipt anew with viem: node receipt.mjs receipt.json
// The typed data is built here from the JSON alone, so the file shows that a second
// implementation reaches the same signature.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { privateKeyToAccount } from "viem/accounts";

const canonical = (v) =>
  Array.isArray(v) ? `[${v.map(canonical).join(",")}]`
  : v && typeof v === "object" ? `{${Object.keys(v).sort().map((k) => `${JSON.stringify(k)}:${canonical(v[k])}`).join(",")}}`
  : JSON.stringify(v);
const sha256 = (text) => "0x" + createHash("sha256").update(text).digest("hex");
const fields = (text) => text.split(",").map((f) => ({ type: f.split(" ")[0], name: f.split(" ")[1] }));
const types = {
  Receipt: fields("string call,address payer,string rail,Asset asset,bytes32 requestSha256,string model,AnsweredBy answeredBy,bytes32 priceRowSha256,Usage usage,string usageSource,bytes32 rawUsageSha256,Bill bill,Hold hold,Settlement settlement,string[] flags,string issuedAt,address signer"),
  AnsweredBy: fields("string model,string endpoint"),
  Asset: fields("string network,uint64 chainId,address token,uint8 decimals"),
  Bill: fields("Line[] lines,uint32 markupBps,uint256 listPusd,uint256 cacheSavingPusd,uint256 totalPusd"),
  Hold: fields("uint256 ceiling,uint256 held,uint256 charged,uint256 credited"),
  Line: fields("string class,uint64 tokens,uint256 ratePusd,uint256 amountPusd"),
  Settlement: fields("string status,string transaction,uint64 block"),
  Usage: fields("uint64 uncached,uint64 cacheRead,uint64 cacheWrite5m,uint64 cacheWrite1h,uint64 output,uint64 reasoning"),
};

const path = process.argv[2];
const r = JSON.parse(readFileSync(path, "utf8"));
const insert = (behind, type, name) => types.Receipt.splice(types.Receipt.findIndex((f) => f.name === behind) + 1, 0, { type, name });
if (r.route) insert("model", "string", "route");
if (r.upstream_receipt) insert("settlement", "bytes32", "upstreamReceiptSha256");
if (r.reported_cost_pusd) insert("rawUsageSha256", "uint256", "reportedCostPusd");
const account = privateKeyToAccount("0x" + "42".repeat(32));
const was = r.signature;
r.signature = await account.signTypedData({
  domain: { name: "Groat Receipt", version: "1", chainId: r.chain_id },
  types,
  primaryType: "Receipt",
  message: {
    call: r.call, payer: r.payer, rail: r.rail,
    asset: { network: r.network, chainId: r.chain_id, token: r.asset, decimals: r.asset_decimals },
    requestSha256: "0x" + r.request_sha256, model: r.model, route: r.route, answeredBy: r.answered_by,
    priceRowSha256: sha256(canonical(r.price_row)),
    usage: { uncached: r.usage.uncached, cacheRead: r.usage.cache_read, cacheWrite5m: r.usage.cache_write_5m, cacheWrite1h: r.usage.cache_write_1h, output: r.usage.output, reasoning: r.usage.reasoning },
    usageSource: r.usage_source,
    rawUsageSha256: r.raw_usage === null ? "0x" + "00".repeat(32) : sha256(canonical(r.raw_usage)),
    reportedCostPusd: r.reported_cost_pusd,
    bill: { lines: r.lines.map((l) => ({ class: l.class, tokens: l.tokens, ratePusd: l.rate_pusd, amountPusd: l.amount_pusd })), markupBps: r.markup_bps, listPusd: r.list_pusd, cacheSavingPusd: r.cache_saving_pusd, totalPusd: r.total_pusd },
    hold: { ceiling: r.ceiling, held: r.held, charged: r.charged, credited: r.credited },
    settlement: { status: r.settlement.status, transaction: r.settlement.transaction ?? "", block: r.settlement.block ?? 0 },
    upstreamReceiptSha256: r.upstream_receipt && sha256(canonical(r.upstream_receipt)),
    flags: r.flags, issuedAt: r.issued_at, signer: account.address,
  },
});
console.log(was === r.signature ? "same signature" : "other signature");
writeFileSync(path, JSON.stringify(r, null, 2) + "\n");
