// Writes the channel vectors with the published client, server and facilitator. Run: node make.mjs OUTDIR
import { writeFileSync } from "node:fs";
import { encodeFunctionResult, getAddress, hashTypedData, parseAbi } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { BatchSettlementEvmScheme, InMemoryClientChannelStorage, computeChannelId, processCorrectivePaymentRequired, updateChannelAfterRefund, updateChannelFromSettle } from "@x402/evm/batch-settlement/client";
import { BatchSettlementEvmScheme as Facilitator } from "@x402/evm/batch-settlement/facilitator";
import { declareEip2612GasSponsoringExtension } from "@x402/extensions";
const out = process.argv[2];
const save = (name, v) => writeFileSync(`${out}/${name}`, JSON.stringify(v, null, 1) + "\n");

// Deterministic "random" bytes and a clock that stands, so that the files can be made again.
let seed = 3n;
const rnd = () => (seed = (seed * 6364136223846793005n + 1442695040888963407n) & ((1n << 64n) - 1n)) >> 11n;
const hex = (n) => "0x" + Array.from({ length: n }, () => Number(rnd() & 255n).toString(16).padStart(2, "0")).join("");
const NOW = 1_800_000_000;
Date.now = () => NOW * 1000;
Object.defineProperty(globalThis.crypto, "getRandomValues", { value: (a) => { for (let i = 0; i < a.length; i++) a[i] = Number(rnd() & 255n); return a; } });

const tokens = [
  [8453, "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "USD Coin", "2"],
  [84532, "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "USDC", "2"],
  [1, "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", "USD Coin", "2"],
  [324705682, "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "Ünï “tøken” 🪙", "1.0"],
];
const amounts = ["1", "1000", "19999", "1000000", ((1n << 64n) - 1n).toString(), (1n << 120n).toString()];

// A wallet that keeps what it was asked to sign; `chain` makes it one that can read.
const wallet = (key, chain) => {
  const account = privateKeyToAccount(key);
  const asked = [];
  return {
    address: account.address, asked,
    signTypedData: (typed) => { asked.push(typed); return account.signTypedData(typed); },
    ...(chain && { readContract: async ({ functionName }) => chain[functionName] }),
  };
};
const offer = ([chainId, asset, name, version], amount, { method, minDeposit, delay = 900 } = {}) => ({
  scheme: "batch-settlement", network: `eip155:${chainId}`, amount, asset, payTo: getAddress(hex(20)), maxTimeoutSeconds: 300,
  extra: { receiverAuthorizer: getAddress(hex(20)), withdrawDelay: delay, name, version, ...(method && { assetTransferMethod: method }), ...(minDeposit && { minDeposit }) } });

// The facilitator's own view of a payload: whether it is valid, and the arguments of `deposit` that it would send.
const seen = async (payload, requirements, extensions, { balance = 0n, claimed = 0n } = {}) => {
  let args;
  const abi = parseAbi(["function channels(bytes32) view returns (uint128,uint128)", "function pendingWithdrawals(bytes32) view returns (uint128,uint40)",
    "function refundNonce(bytes32) view returns (uint256)", "function balanceOf(address) view returns (uint256)"]);
  const answers = (call) => ({ balanceOf: (1n << 127n) - 1n, channels: [balance, claimed], pendingWithdrawals: [0n, 0], refundNonce: 0n })[call];
  const selectors = { "0x70a08231": "balanceOf" };
  const { toFunctionSelector } = await import("viem");
  for (const item of abi) selectors[toFunctionSelector(item)] = item.name;
  const signer = {
    getAddresses: () => ["0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"], getCode: async () => undefined,
    readContract: async ({ functionName, args: given }) => {
      if (functionName === "tryAggregate") return given[1].map(({ callData }) => {
        const name = selectors[callData.slice(0, 10)];
        return { success: true, returnData: encodeFunctionResult({ abi, functionName: name, result: answers(name) }) };
      });
      if (functionName === "deposit") args = given;
      if (functionName === "allowance") return (1n << 255n);
      return undefined;
    },
  };
  const { isValid, invalidReason } = await new Facilitator(signer).verify({ x402Version: 2, accepted: requirements, payload, extensions }, requirements);
  return { isValid, invalidReason, args };
};

const payloads = [];
const add = async (label, key, requirements, { voucherKey, payerAuthorizer, salt, stored, extensions, chain } = {}) => {
  const signer = wallet(key, chain);
  const voucherSigner = voucherKey && wallet(voucherKey);
  const storage = new InMemoryClientChannelStorage();
  const scheme = new BatchSettlementEvmScheme(signer, { storage, ...(voucherSigner && { voucherSigner }), ...(payerAuthorizer && { payerAuthorizer }), ...(salt && { salt }) });
  const channelId = computeChannelId(scheme.buildChannelConfig(requirements), requirements.network);
  if (stored) await storage.set(channelId, stored);
  const result = await scheme.createPaymentPayload(2, requirements, extensions && { extensions });
  const payload = JSON.parse(JSON.stringify(result.payload));
  const digests = Object.fromEntries([...signer.asked, ...(voucherSigner?.asked ?? [])].map((typed) => [typed.primaryType, hashTypedData(typed)]));
  const view = await seen(payload, requirements, result.extensions, { balance: BigInt(stored?.balance ?? 0) });
  if (!view.isValid) throw new Error(`${label}: ${view.invalidReason}`);
  payloads.push({ label, key, ...(voucherKey && { voucherKey }), requirements, channelId, payload, digests,
    ...(result.extensions && { extensions: result.extensions }),
    ...(view.args && { collector: view.args[2], collectorData: view.args[3] }) });
};
for (let i = 0; i < 12; i++) {
  const amount = amounts[i % amounts.length];
  const requirements = offer(tokens[i % tokens.length], amount, { method: i % 2 ? "permit2" : undefined, delay: i % 3 ? 900 : 2_592_000, minDeposit: i % 4 ? undefined : (BigInt(amount) * 10n).toString() });
  const options = { ...(i % 3 === 1 && { voucherKey: hex(32) }), ...(i % 5 > 1 && { salt: hex(32) }) };
  await add(`deposit ${i}`, hex(32), requirements, options);
}
for (let i = 0; i < 8; i++) {
  const amount = amounts[i % amounts.length];
  const requirements = offer(tokens[i % tokens.length], amount);
  const charged = (BigInt(amount) * BigInt(i)).toString();
  const options = { ...(i % 3 === 1 && { voucherKey: hex(32) }), ...(i === 5 && { payerAuthorizer: "0x0000000000000000000000000000000000000000" }) };
  await add(`voucher ${i}`, hex(32), requirements, { ...options, stored: { chargedCumulativeAmount: charged, balance: (BigInt(amount) * 20n).toString() } });
}
await add("top-up", hex(32), offer(tokens[1], "1000"), { stored: { chargedCumulativeAmount: "4500", balance: "5000" } });
await add("with a permit", hex(32), offer(tokens[1], "1000", { method: "permit2" }), { extensions: declareEip2612GasSponsoringExtension(), chain: { channels: [0n, 0n], allowance: 0n, nonces: 7n } });

// Refunds, as the client sends them to a server.
for (const amount of [undefined, "700"]) {
  const key = hex(32);
  const requirements = offer(tokens[1], "1000");
  const storage = new InMemoryClientChannelStorage();
  const signer = wallet(key);
  const scheme = new BatchSettlementEvmScheme(signer, { storage });
  const channelId = computeChannelId(scheme.buildChannelConfig(requirements), requirements.network);
  await storage.set(channelId, { chargedCumulativeAmount: "1234", balance: "5000" });
  const b64 = (v) => Buffer.from(JSON.stringify(v)).toString("base64");
  let payload;
  const fetch = async (_, { headers }) => {
    if (!headers) return new Response("{}", { status: 402, headers: { "PAYMENT-REQUIRED": b64({ x402Version: 2, resource: { url: "https://groat.example/" }, accepts: [requirements] }) } });
    payload = JSON.parse(Buffer.from(headers["PAYMENT-SIGNATURE"], "base64")).payload;
    return new Response("{}", { headers: { "PAYMENT-RESPONSE": b64({ success: true, transaction: "0x00", network: requirements.network }) } });
  };
  await scheme.refund("https://groat.example/", { amount, fetch });
  payloads.push({ label: amount ? "refund of a part" : "refund", key, requirements, channelId, payload, digests: { Voucher: hashTypedData(signer.asked[0]) } });
}
save("payloads.json", { generator: "@x402/evm 2.27.0 with viem", now: NOW, payloads });

// What the receiver's authorizer signs, as the facilitator asks for it.
const authorizer = [];
for (const rows of [1, 2, 5]) {
  const key = hex(32);
  const asked = [];
  const account = privateKeyToAccount(key);
  const signer = { address: account.address, signTypedData: (typed) => { asked.push(typed); return account.signTypedData(typed); } };
  const claims = payloads.filter((p) => p.requirements.network === "eip155:84532" && p.payload.type !== "refund").slice(0, rows).map(({ payload }) => ({
    voucher: { channel: { ...payload.channelConfig, receiverAuthorizer: signer.address }, maxClaimableAmount: payload.voucher.maxClaimableAmount },
    signature: payload.voucher.signature, totalClaimed: (BigInt(payload.voucher.maxClaimableAmount) / 3n).toString() }));
  const { channel } = claims[0].voucher;
  const [nonce, amount] = [rnd().toString(), "41"];
  const chain = { channels: [10n ** 38n, 0n] };
  const facilitator = new Facilitator({ getAddresses: () => [signer.address], getCode: async () => undefined,
    readContract: async ({ functionName, args }) => functionName === "tryAggregate"
      ? args[1].map((_, i) => ({ success: true, returnData: encodeFunctionResult({ abi: parseAbi([["function f() view returns (uint128,uint128)", "function f() view returns (uint128,uint40)", "function f() view returns (uint256)"][i]]), functionName: "f", result: [chain.channels, [0n, 0], BigInt(nonce)][i] }) }))
      : undefined,
    writeContract: async () => { throw new Error("enough seen"); } }, signer);
  const requirements = { scheme: "batch-settlement", network: "eip155:84532" };
  const settle = (payload) => facilitator.settle({ x402Version: 2, accepted: requirements, payload }, requirements);
  await settle({ type: "claim", claims });
  await settle({ type: "refund", channelConfig: channel, voucher: { channelId: computeChannelId(channel, 84532), maxClaimableAmount: "1", signature: claims[0].signature }, amount, refundNonce: nonce, claims: [] });
  const of = (name) => asked.find((typed) => typed.primaryType === name);
  const plain = (v) => JSON.parse(JSON.stringify(v, (_, x) => (typeof x === "bigint" ? x.toString() : x)));
  authorizer.push({ key, claims: plain(of("ClaimBatch").message.claims), claimDigest: hashTypedData(of("ClaimBatch")), refund: plain(of("Refund").message), refundDigest: hashTypedData(of("Refund")) });
}
save("authorizer.json", { generator: "@x402/evm 2.27.0 with viem", network: "eip155:84532", authorizer });

// How the client's books move: by answers, by refunds, and by corrective 402s.
const channelId = "0x" + "ab".repeat(32);
const plain = (ctx) => ctx && { charged: ctx.chargedCumulativeAmount ?? "0", balance: ctx.balance ?? "0" };
const answers = [];
for (const [charged, balance, deposit, chargedAmount, cumulative] of [
  ["0", "0", "5000", "0", "0"], ["0", "0", "5000", "300", "300"], ["0", "0", "5000", undefined, "0"], ["300", "5000", undefined, "200", "500"],
  ["300", "5000", undefined, "200", undefined], ["300", "5000", undefined, "200", "501"], ["300", "5000", undefined, "200", "499"], ["300", "5000", undefined, undefined, "300"],
  ["300", "5000", undefined, undefined, undefined], ["300", "5000", undefined, "1000", "1300"], ["300", "5000", undefined, "1001", "1301"], ["300", "5000", undefined, "0x10", "316"],
  ["300", "5000", undefined, "-1", "299"], ["300", "5000", undefined, "", "300"], ["300", "5000", "7000", "0", "300"], ["300", "5000", undefined, "0", "0"],
]) {
  const storage = new InMemoryClientChannelStorage();
  if (balance !== "0") await storage.set(channelId, { chargedCumulativeAmount: charged, balance });
  const extra = { ...(chargedAmount !== undefined && { chargedAmount }), ...(cumulative !== undefined && { channelState: { chargedCumulativeAmount: cumulative } }) };
  let after = null;
  try {
    await updateChannelFromSettle(storage, { server: { chargedAmount, chargedCumulativeAmount: cumulative }, local: { channelId, requestAmount: "1000", depositAmount: deposit } });
    after = plain(await storage.get(channelId)) ?? { charged, balance };
  } catch { /* null: the client fails */ }
  answers.push({ before: { charged, balance }, ...(deposit && { deposit }), amount: "1000", extra, after });
}
const refunds = [];
for (const amount of [undefined, "1", "4699", "4700", "9999"]) {
  const storage = new InMemoryClientChannelStorage();
  await storage.set(channelId, { chargedCumulativeAmount: "300", balance: "5000" });
  await updateChannelAfterRefund(storage, channelId, amount);
  refunds.push({ before: { charged: "300", balance: "5000" }, ...(amount && { amount }), after: plain(await storage.get(channelId)) ?? null });
}
const corrections = [];
for (const [label, state, voucher, totalClaimed, forge] of [
  ["as it should be", "700", "1000", 500n], ["charged what was signed", "1000", "1000", 0n], ["charged more than was signed", "1001", "1000", 0n],
  ["charged less than was claimed", "499", "1000", 500n], ["another's voucher", "700", "1000", 0n, true], ["no voucher", "700", undefined, 500n], ["nothing", undefined, undefined, 500n],
]) {
  const key = hex(32);
  const signer = wallet(key, { channels: [5000n, totalClaimed] });
  const storage = new InMemoryClientChannelStorage();
  const scheme = new BatchSettlementEvmScheme(signer, { storage });
  const requirements = offer(tokens[1], "1000");
  const config = scheme.buildChannelConfig(requirements);
  const id = computeChannelId(config, requirements.network);
  const { signVoucher } = await import("@x402/evm/batch-settlement/client");
  const signature = voucher && (await signVoucher(forge ? wallet(hex(32)) : signer, id, voucher, requirements.network)).signature;
  const extra = { ...requirements.extra, ...(state && { channelState: { channelId: id, balance: "5000", totalClaimed: totalClaimed.toString(), withdrawRequestedAt: 0, refundNonce: "0", chargedCumulativeAmount: state } }), ...(voucher && { voucherState: { signedMaxClaimable: voucher, signature } }) };
  const error = "invalid_batch_settlement_evm_cumulative_amount_mismatch";
  const recovered = await processCorrectivePaymentRequired({ signer, storage, salt: config.salt }, { x402Version: 2, error, accepts: [{ ...requirements, extra }] });
  corrections.push({ label, network: requirements.network, config, extra, balance: "5000", totalClaimed: totalClaimed.toString(), after: recovered ? plain(await storage.get(id)) : null });
}
save("book.json", { generator: "@x402/evm 2.27.0", answers, refunds, corrections });
