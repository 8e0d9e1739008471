// Writes the protocol vectors with the published clients. Run: node vectors.mjs OUTDIR
import { writeFileSync } from "node:fs";
import { hashTypedData, hashMessage, getAddress } from "viem";
import { privateKeyToAccount } from "viem/accounts";
const out = process.argv[2];
const save = (name, v) => writeFileSync(`${out}/${name}`, JSON.stringify(v, null, 1) + "\n");

// Deterministic "random" bytes so that the file can be made again.
let seed = 1n;
const rnd = () => (seed = (seed * 6364136223846793005n + 1442695040888963407n) & ((1n << 64n) - 1n)) >> 11n;
const hex = (n) => "0x" + Array.from({ length: n }, () => Number(rnd() & 255n).toString(16).padStart(2, "0")).join("");

const tokens = [
  [8453, "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "USD Coin", "2"],
  [84532, "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "USDC", "2"],
  [1, "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", "USD Coin", "2"],
  [43114, "0xB97EF9Ef8734C71904D8002F8b6Bc66Dd9c48a6E", "USD Coin", "2"],
  [137, "0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359", "USD Coin", "2"],
  [42161, "0xaf88d065e77c8cC2239327C5EDb3A432268e5831", "USD Coin", "2"],
  [143, "0x754704Bc059F8C67012fEd69BC8A327a5aafb603", "USDC", "2"],
  [324705682, "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "Ünï “tøken” 🪙", "1.0"],
];
const types = { TransferWithAuthorization: [
  { name: "from", type: "address" }, { name: "to", type: "address" }, { name: "value", type: "uint256" },
  { name: "validAfter", type: "uint256" }, { name: "validBefore", type: "uint256" }, { name: "nonce", type: "bytes32" } ] };
const values = [0n, 1n, 1000n, 10000n, 999999n, 1000000n, (1n << 64n) - 1n, (1n << 128n) - 1n];
const vectors = [];
for (let i = 0; i < 24; i++) {
  const key = hex(32);
  const account = privateKeyToAccount(key);
  const [chainId, asset, name, version] = tokens[i % tokens.length];
  const message = {
    from: account.address, to: getAddress(hex(20)), value: values[(i * 5) % values.length],
    validAfter: i % 3 ? 1_700_000_000n + rnd() % 1000n : 0n, validBefore: 1_800_000_000n + rnd() % 100000n, nonce: hex(32) };
  const typed = { domain: { name, version, chainId, verifyingContract: asset }, types, primaryType: "TransferWithAuthorization", message };
  const signature = await account.signTypedData(typed);
  vectors.push({ key, chainId, asset, name, version,
    authorization: Object.fromEntries(Object.entries(message).map(([k, v]) => [k, typeof v === "bigint" ? v.toString() : v])),
    digest: hashTypedData(typed), signature });
}
// Malleated twins of the first signatures: s' = n - s with the other v. Recover to the same key, must be refused.
const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const malleated = vectors.slice(0, 6).map((v) => {
  const s = N - BigInt("0x" + v.signature.slice(66, 130));
  const flipped = v.signature.endsWith("1b") ? "1c" : "1b";
  return { digest: v.digest, from: v.authorization.from, signature: v.signature.slice(0, 66) + s.toString(16).padStart(64, "0") + flipped };
});
save("eip3009.json", { generator: "viem hashTypedData, privateKeyToAccount.signTypedData", vectors, malleated });

// Real client headers.
import { x402Client, x402HTTPClient } from "@x402/core/client";
import { ExactEvmScheme, registerExactEvmScheme } from "@x402/evm/exact/client";
const key = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
const account = privateKeyToAccount(key);
const realNow = Date.now; const NOW = 1_750_000_000; Date.now = () => NOW * 1000;
Object.defineProperty(globalThis.crypto, "getRandomValues", { value: (a) => { for (let i = 0; i < a.length; i++) a[i] = Number(rnd() & 255n); return a; } });
globalThis.crypto.randomUUID = () => "0f8fad5b-d9cb-469f-a165-70867728950e";
const client = new x402Client();
registerExactEvmScheme(client, { signer: account, schemeOptions: {} });
const http = new x402HTTPClient(client);
const { appendPaymentIdentifierToExtensions, declarePaymentIdentifierExtension } = await import("@x402/extensions/payment-identifier");
const payTo = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
const offer = (n, amount, extra = {}) => ({ scheme: "exact", network: `eip155:${tokens[n][0]}`, amount, asset: tokens[n][1], payTo, maxTimeoutSeconds: 300, extra: { name: tokens[n][2], version: tokens[n][3], ...extra } });
const resource = { url: "https://groat.example/v1/chat/completions", description: "one chat completion – ünïcode", mimeType: "application/json" };
const headers = [];
for (const [label, required] of [
  ["v2 base-sepolia", { x402Version: 2, resource, accepts: [offer(1, "1234")] }],
  ["v2 base with added extra", { x402Version: 2, error: "Payment required", resource, accepts: [offer(0, "50000", { assetTransferMethod: "eip3009" })] }],
  ["v2 with payment-identifier", { x402Version: 2, resource, accepts: [offer(1, "77")], extensions: { "payment-identifier": declarePaymentIdentifierExtension(true) } }],
  ["v2 chooses the second of two", { x402Version: 2, resource, accepts: [{ ...offer(1, "5"), scheme: "upto" }, offer(1, "6")] }],
]) {
  const advertised = JSON.parse(JSON.stringify(required));
  if (required.extensions) appendPaymentIdentifierToExtensions(required.extensions);
  const payload = await client.createPaymentPayload(required);
  const h = http.encodePaymentSignatureHeader(payload);
  headers.push({ label, version: 2, now: NOW, key, payer: account.address, required: advertised, header: h["PAYMENT-SIGNATURE"], payload });
}
// V1 with the new core and with the legacy package.
const v1 = (network, n, amount) => ({ scheme: "exact", network, maxAmountRequired: amount, resource: resource.url, description: "one chat completion", mimeType: "application/json", payTo, maxTimeoutSeconds: 120, asset: tokens[n][1], extra: { name: tokens[n][2], version: tokens[n][3] } });
{
  const req = v1("base-sepolia", 1, "4321");
  const payload = await client.createPaymentPayload({ x402Version: 1, accepts: [req] });
  const h = http.encodePaymentSignatureHeader(payload);
  headers.push({ label: "v1 by @x402/core", version: 1, now: NOW, key, payer: account.address, required: { x402Version: 1, accepts: [req] }, header: h["X-PAYMENT"], payload });
}
{
  const legacy = await import("x402/client");
  const req = v1("base", 0, "250");
  const header = await legacy.createPaymentHeader(account, 1, req);
  headers.push({ label: "v1 by legacy x402", version: 1, now: NOW, key, payer: account.address, required: { x402Version: 1, accepts: [req] }, header });
}
save("payment_headers.json", { generator: "@x402/core 2.27.0, @x402/evm 2.27.0, x402 1.2.0", headers });

// SIWX
const { createSIWxPayload, encodeSIWxHeader, createSIWxMessage } = await import("@x402/extensions/sign-in-with-x");
const siwx = [];
const base = { domain: "groat.example", uri: "https://groat.example/v1/balance", version: "1", nonce: "5f2c9d0b7a6e4c31", issuedAt: "2025-06-15T15:06:40.000Z", chainId: "eip155:84532", type: "eip191" };
for (const [label, info] of [
  ["plain", base],
  ["statement and resources", { ...base, statement: "Sign in to read your receipts.", resources: [base.uri] }],
  ["every field", { ...base, chainId: "eip155:8453", statement: "Sign in.", expirationTime: "2025-06-15T15:11:40.000Z", notBefore: "2025-06-15T15:00:00.000Z", requestId: "req-1", resources: [base.uri, "https://groat.example/v1/receipts"] }],
  ["port and empty resources", { ...base, domain: "localhost:4021", uri: "http://localhost:4021/v1/credit", resources: [] }],
  ["long nonce, no millis", { ...base, nonce: "a".repeat(64), issuedAt: "2025-06-15T15:06:40Z" }],
]) {
  const origin = new URL(info.uri).origin;
  const payload = await createSIWxPayload(info, account, info.uri);
  const message = createSIWxMessage(info, account.address);
  siwx.push({ label, origin, now: "2025-06-15T15:07:00Z", address: account.address, info, message, digest: hashMessage(message), header: encodeSIWxHeader(payload) });
}
save("siwx.json", { generator: "@x402/extensions 2.27.0", vectors: siwx });
