// Writes the Permit2 vectors with the published clients. Run: node make.mjs OUTDIR
import { writeFileSync } from "node:fs";
import { getAddress, hashStruct, hashTypedData, keccak256, parseTransaction } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { x402Client, x402HTTPClient } from "@x402/core/client";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { UptoEvmScheme } from "@x402/evm/upto/client";
const out = process.argv[2];
const save = (name, v) => writeFileSync(`${out}/${name}`, JSON.stringify(v, null, 1) + "\n");

// Deterministic "random" bytes and a clock that stands, so that the files can be made again.
let seed = 2n;
const rnd = () => (seed = (seed * 6364136223846793005n + 1442695040888963407n) & ((1n << 64n) - 1n)) >> 11n;
const hex = (n) => "0x" + Array.from({ length: n }, () => Number(rnd() & 255n).toString(16).padStart(2, "0")).join("");
const NOW = 1_800_000_000;
Date.now = () => NOW * 1000;
Object.defineProperty(globalThis.crypto, "getRandomValues", { value: (a) => { for (let i = 0; i < a.length; i++) a[i] = Number(rnd() & 255n); return a; } });

const tokens = [
  [8453, "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "USD Coin", "2"],
  [84532, "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "USDC", "2"],
  [1, "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", "USD Coin", "2"],
  [143, "0x754704Bc059F8C67012fEd69BC8A327a5aafb603", "USDC", "2"],
  [324705682, "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "Ünï “tøken” 🪙", "1.0"],
];
const amounts = ["0", "1", "1000", "10000", "999999", "1000000", ((1n << 64n) - 1n).toString(), ((1n << 128n) - 1n).toString()];

// A wallet whose chain says what we like, and which keeps what it was asked to sign.
const wallet = (key, { nonce = 0n, transactions = false, fees } = {}) => {
  const account = privateKeyToAccount(key);
  const asked = [];
  return {
    address: account.address, asked,
    signTypedData: (typed) => { asked.push(typed); return account.signTypedData(typed); },
    readContract: async ({ functionName }) => (functionName === "nonces" ? nonce : 0n),
    ...(transactions && {
      signTransaction: (tx) => account.signTransaction(tx),
      getTransactionCount: async () => Number(nonce),
      estimateFeesPerGas: async () => fees,
    }),
  };
};
const offer = (scheme, [chainId, asset, name, version], amount, payTo, facilitator) => ({
  scheme, network: `eip155:${chainId}`, amount, asset, payTo, maxTimeoutSeconds: 300,
  extra: { name, version, assetTransferMethod: "permit2", ...(facilitator && { facilitatorAddress: facilitator }) } });
const schemeOf = (name, signer) => new (name === "upto" ? UptoEvmScheme : ExactEvmScheme)(signer);
const witnessOf = (typed) => hashStruct({ data: typed.message.witness, primaryType: "Witness", types: typed.types });

const payments = [];
for (let i = 0; i < 20; i++) {
  const scheme = i % 2 ? "upto" : "exact";
  const key = hex(32);
  const signer = wallet(key);
  const requirements = offer(scheme, tokens[i % tokens.length], amounts[(i * 3) % amounts.length], getAddress(hex(20)), scheme === "upto" && getAddress(hex(20)));
  const { payload } = await schemeOf(scheme, signer).createPaymentPayload(2, requirements);
  const [typed] = signer.asked;
  payments.push({ key, requirements, payload, witness: witnessOf(typed), digest: hashTypedData(typed) });
}
// Malleated twins of the first signatures: s' = n - s with the other v. Recover to the same key, must be refused.
const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const malleated = payments.slice(0, 4).map(({ payload: { signature } }) => {
  const s = N - BigInt("0x" + signature.slice(66, 130));
  return signature.slice(0, 66) + s.toString(16).padStart(64, "0") + (signature.endsWith("1b") ? "1c" : "1b");
});
save("payments.json", { generator: "@x402/evm 2.27.0 with viem", now: NOW, payments, malleated });

const { declareEip2612GasSponsoringExtension, declareErc20ApprovalGasSponsoringExtension } = await import("@x402/extensions");
const permits = [];
for (let i = 0; i < 10; i++) {
  const scheme = i % 2 ? "upto" : "exact";
  const key = hex(32);
  const signer = wallet(key, { nonce: i ? rnd() : 0n });
  const requirements = offer(scheme, tokens[i % tokens.length], amounts[1 + i % 7], getAddress(hex(20)), scheme === "upto" && getAddress(hex(20)));
  const { payload, extensions } = await schemeOf(scheme, signer).createPaymentPayload(2, requirements, { extensions: declareEip2612GasSponsoringExtension() });
  permits.push({ key, requirements, payload, extensions, digest: hashTypedData(signer.asked[1]) });
}
save("eip2612.json", { generator: "@x402/evm 2.27.0 with viem", now: NOW, permits });

const approvals = [];
for (let i = 0; i < 6; i++) {
  const scheme = i % 2 ? "upto" : "exact";
  const key = hex(32);
  // The odd ones know no fees, so that the client falls back to its own.
  const fees = i % 2 ? undefined : { maxFeePerGas: 2_000_000_000n + rnd() % 1_000_000n, maxPriorityFeePerGas: 1_500_000n };
  const signer = wallet(key, { nonce: BigInt(i * 100), transactions: true, fees });
  const requirements = offer(scheme, tokens[i % tokens.length], amounts[1 + i % 7], getAddress(hex(20)), scheme === "upto" && getAddress(hex(20)));
  const { payload, extensions } = await schemeOf(scheme, signer).createPaymentPayload(2, requirements, { extensions: declareErc20ApprovalGasSponsoringExtension() });
  const raw = extensions.erc20ApprovalGasSponsoring.info.signedTransaction;
  const tx = parseTransaction(raw);
  approvals.push({ key, requirements, payload, extensions, hash: keccak256(raw), nonce: tx.nonce ?? 0, gas: Number(tx.gas), maxFeePerGas: tx.maxFeePerGas.toString() });
}
// Transactions that a client of good will never signs, from the first payer: each is to be refused with its reason.
const first = approvals[0];
const account = privateKeyToAccount(first.key);
const asset = first.requirements.asset;
const good = { type: "eip1559", chainId: 8453, to: asset, nonce: 0, gas: 70000n, maxFeePerGas: 1000000000n, maxPriorityFeePerGas: 100000000n,
  data: "0x095ea7b3000000000000000000000000000000000022d473030f116ddee9f6b43ac78ba3" + "f".repeat(64) };
const p = "erc20_approval_";
const hostile = [];
const add = async (label, reason, change, signer = account) => hostile.push({ label, reason, raw: await signer.signTransaction({ ...good, ...change }) });
await add("as it should be", null, {});
await add("legacy, as it should be", null, { type: "legacy", gasPrice: 1000000000n, maxFeePerGas: undefined, maxPriorityFeePerGas: undefined });
await add("with an access list, as it should be", null, { type: "eip2930", gasPrice: 1000000000n, accessList: [], maxFeePerGas: undefined, maxPriorityFeePerGas: undefined });
await add("another's", p + "tx_signer_mismatch", {}, privateKeyToAccount(hex(32)));
await add("to another contract", p + "tx_wrong_target", { to: getAddress(hex(20)) });
await add("makes a contract", p + "tx_wrong_target", { to: undefined });
await add("a transfer", p + "tx_wrong_selector", { data: good.data.replace("095ea7b3", "a9059cbb") });
await add("no data", p + "tx_wrong_selector", { data: "0x" });
await add("approves another spender", p + "tx_wrong_spender", { data: good.data.replace("22d473", "22d474") });
await add("cut short", p + "tx_invalid_calldata", { data: good.data.slice(0, -2) });
await add("with a tail", p + "tx_invalid_calldata", { data: good.data + "00" });
await add("a dirty address word", p + "tx_invalid_calldata", { data: good.data.replace("7b30", "7b31") });
await add("approves nothing", p + "tx_invalid_calldata", { data: good.data.slice(0, -64) + "0".repeat(64) });
await add("carries value", p + "tx_invalid_calldata", { value: 1n });
await add("of another chain", p + "tx_invalid_signature", { chainId: 1 });
await add("legacy for every chain", p + "tx_invalid_signature", { type: "legacy", chainId: undefined, gasPrice: 1000000000n, maxFeePerGas: undefined, maxPriorityFeePerGas: undefined });
await add("sets code", p + "tx_parse_failed", { type: "eip7702", authorizationList: [await account.signAuthorization({ contractAddress: asset, chainId: 8453, nonce: 1 })] });
save("erc20_approval.json", { generator: "@x402/evm 2.27.0 with viem", now: NOW, approvals, hostile });

// Whole headers, as x402Client sends them.
const key = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
const payTo = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
const facilitator = "0x90F79bf6EB2c4f870365E785982E1f101E93b906";
const resource = { url: "https://groat.example/v1/chat/completions", description: "one chat completion", mimeType: "application/json" };
const headers = [];
for (const [label, scheme, extensions] of [
  ["exact by permit2", "exact"], ["upto", "upto"],
  ["exact with a permit", "exact", declareEip2612GasSponsoringExtension()], ["upto with a permit", "upto", declareEip2612GasSponsoringExtension()],
  ["upto with an approval", "upto", declareErc20ApprovalGasSponsoringExtension()],
]) {
  const signer = wallet(key, { nonce: 3n, transactions: true });
  const client = new x402Client();
  client.register("eip155:*", schemeOf(scheme, signer));
  const required = { x402Version: 2, resource, accepts: [offer(scheme, tokens[1], "4321", payTo, scheme === "upto" && facilitator)], ...(extensions && { extensions }) };
  const payload = await client.createPaymentPayload(JSON.parse(JSON.stringify(required)));
  const header = new x402HTTPClient(client).encodePaymentSignatureHeader(payload)["PAYMENT-SIGNATURE"];
  headers.push({ label, payer: signer.address, required, header });
}
save("headers.json", { generator: "@x402/core 2.27.0, @x402/evm 2.27.0", now: NOW, headers });
