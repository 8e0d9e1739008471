// What every TypeScript client here shares: the call it makes and the one JSON line it prints.
// The paying itself is never here: each program leaves it to the published package it is named after.
import { privateKeyToAccount } from "viem/accounts";
import { UptoEvmScheme } from "@x402/evm/upto/client";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { BatchSettlementEvmScheme } from "@x402/evm/batch-settlement/client";
import { toClientEvmSigner } from "@x402/evm";
import { createPublicClient, http, zeroAddress } from "viem";

const { GATEWAY, PAYER_KEY, MODEL, RPC, WALLET, SCHEMES = "exact" } = process.env;
const [mode, prompt] = process.argv.slice(2);

if (!GATEWAY || !PAYER_KEY || !MODEL || !["whole", "stream", "mixed"].includes(mode) || !prompt) {
  console.error("usage: GATEWAY=URL PAYER_KEY=0x… MODEL=… [RPC=URL] [WALLET=0x…] [SCHEMES=exact,upto,batch-settlement] program whole|stream PROMPT");
  process.exit(2);
}

export const gateway = GATEWAY.replace(/\/$/, "");
export const url = `${gateway}/v1/chat/completions`;
export const streamed = mode === "stream";
const owner = privateKeyToAccount(PAYER_KEY);
/** A plain account, or a contract that takes its owner's signatures for its own (ERC-1271). */
export const payer = WALLET ? { address: WALLET, signTypedData: message => owner.signTypedData(message) } : owner;
export const rpc = RPC;
export const body = bodyOf(streamed);

/** The call, for programs that make many of them, both ways (`mixed`); `number` tells them apart. */
export function bodyOf(streamed, number) {
  return {
    model: MODEL,
    messages: [{ role: "user", content: number === undefined ? prompt : `${prompt} ${number}` }],
    max_tokens: 16,
    ...(streamed ? { stream: true, stream_options: { include_usage: true } } : {}),
  };
}

/** Channels; with an RPC the payer's state of them can be read from the chain. A contract judges its own vouchers. */
export function channels() {
  const signer = RPC ? toClientEvmSigner(payer, createPublicClient({ transport: http(RPC) })) : payer;
  return new BatchSettlementEvmScheme(signer, WALLET ? { payerAuthorizer: zeroAddress } : undefined);
}

/** The V2 schemes named in SCHEMES, in that order, for the `…FromConfig` constructors. */
export function schemes() {
  const options = RPC ? { rpcUrl: RPC } : undefined;
  const known = {
    exact: () => new ExactEvmScheme(payer, options),
    upto: () => new UptoEvmScheme(payer, options),
    "batch-settlement": channels,
  };
  return SCHEMES.split(",").map(name => {
    if (!known[name]) throw new Error(`unknown scheme ${name}`);
    return { network: "eip155:*", client: known[name]() };
  });
}

/** Collects text and usage from chat completions, whole or in chunks: both have `choices` and `usage`. */
export class Answer {
  text = "";
  usage = null;

  add(completion) {
    if (completion.error) throw new Error(`the gateway reported: ${JSON.stringify(completion.error)}`);
    const choice = completion.choices?.[0];
    this.text += (choice?.message ?? choice?.delta)?.content ?? "";
    this.usage = completion.usage ?? this.usage;
  }

  /** Reads server-sent events from any async iterable of bytes; the stream has to end with `[DONE]`. */
  async addEvents(bytes) {
    const decoder = new TextDecoder();
    let pending = "";
    let done = false;
    for await (const chunk of bytes) {
      pending += decoder.decode(chunk, { stream: true });
      const lines = pending.split("\n");
      pending = lines.pop();
      for (const line of lines) {
        const data = line.startsWith("data:") ? line.slice(5).trim() : "";
        if (data === "[DONE]") done = true;
        else if (data) this.add(JSON.parse(data));
      }
    }
    if (!done) throw new Error("the stream ended without [DONE]");
  }
}

/** Prints the report line. `header` reads a response header by its lower-case name. */
export function report(client, status, header, answer) {
  const payment = header("payment-response") ?? header("x-payment-response");
  const receipt = header("payment-receipt");
  console.log(JSON.stringify({
    client,
    status,
    text: answer.text,
    usage: answer.usage,
    payment_response: payment ? JSON.parse(Buffer.from(payment, "base64").toString()) : null,
    payment_receipt: receipt ? JSON.parse(Buffer.from(receipt, "base64url").toString()) : null,
    call_id: header("groat-call-id") ?? null,
  }));
}

/** Does one call with a paying `fetch`, and reports it. */
export async function callWithFetch(client, payingFetch) {
  const response = await payingFetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (response.status !== 200) throw new Error(`HTTP ${response.status}: ${await response.text()}`);
  const answer = new Answer();
  if (streamed) await answer.addEvents(response.body);
  else answer.add(await response.json());
  report(client, response.status, name => response.headers.get(name), answer);
}

/** Runs a client to its end: any failure is one line on standard error and exit code 1. */
export async function run(client, call) {
  try {
    await call();
  } catch (error) {
    console.error(`${client}: ${error.message}${error.cause ? ` (${error.cause.message ?? error.cause})` : ""}`);
    process.exitCode = 1;
  }
}
