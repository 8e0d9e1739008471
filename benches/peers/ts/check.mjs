// Starts each peer that is installed, pays it by its own published client, and holds the chain to what was paid.
//   GROAT=the binary node check.mjs [--load COUNT] [--connections N] [NAME…]
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { wrapFetchWithPayment } from "@x402/fetch";
import { Chain, LONG, free, start, upstream } from "./bench.mjs";
import { pay, presignExact, x402 } from "./pay.mjs";

const PRICE_ATOMIC = "100";
const CALLS = 20;
const PEERS = join(import.meta.dirname, "..");

const { values: options, positionals: names } = parseArgs({
  options: { load: { type: "string", default: "0" }, connections: { type: "string", default: "16" } },
  allowPositionals: true,
});
const load = { count: Number(options.load), connections: Number(options.connections) };

const all = JSON.parse(await readFile(join(PEERS, "peers.json")));
for (const name of names) if (!all.some(peer => peer.name === name)) throw new Error(`no peer is called ${name}`);
const asked = all.filter(peer => names.length === 0 || names.includes(peer.name));

let chain;
let provider;
let failed = 0;
for (const peer of asked) {
  // A node of its own for each: anvil takes longer the more blocks it has, and the second would look slow.
  chain = await Chain.start(process.env.GROAT);
  provider = await upstream();
  try {
    if (!existsSync(join(PEERS, peer.setup))) throw new Error("not installed: scripts/setup --peers");
    console.log(`${peer.name}: ${await check(peer)}`);
  } catch (error) {
    failed += 1;
    console.log(`${peer.name}: FAILED: ${error.stack}`);
  }
  provider.close();
  await chain.stop();
}
process.exitCode = failed === 0 ? 0 : 1;

async function check(peer) {
  const { payTo, relayerKey } = await chain.payee();
  const port = await free();
  const url = `http://127.0.0.1:${port}/v1/chat/completions`;
  const environment = {
    PORT: String(port),
    UPSTREAM_URL: provider.url,
    RPC_URL: chain.rpc,
    CHAIN_ID: String(chain.id),
    ASSET: chain.asset,
    PAY_TO: payTo,
    RELAYER_KEY: relayerKey,
    PRICE_ATOMIC,
  };
  const run = () => start(peer.command, join(PEERS, peer.cwd), environment);
  const said = [];
  const process = await run();
  try {
    if (peer.rail === null) await forwards(peer, url, said);
    else await isPaid(peer, { url, payTo, environment }, said);
    process.closeInput();
    await process.ended("its standard input is closed");
    const again = await run();
    again.terminate();
    await again.ended("SIGTERM");
    said.push("ends with its owner and on SIGTERM");
  } finally {
    process.kill();
  }
  return said.join("; ");
}

/** A gateway without payment: the provider's answer comes through. */
async function forwards(peer, url, said) {
  const headers = Object.fromEntries(
    Object.entries(peer.headers ?? {}).map(([name, value]) => [name, value.replaceAll("$UPSTREAM_URL", provider.url)]),
  );
  const lines = count => Array.from({ length: count }, () => ({ "content-type": "application/json", ...headers }));
  await pay(url, provider, lines(CALLS));
  await passesLong(() => pay(url, provider, lines(1), 1, provider.longBody));
  said.push(`${CALLS + 1} calls`);
  if (load.count > 0) said.push(await pay(url, provider, lines(load.count), load.connections));
}

/** A proxy with payment: 402 without one, the answer with one, and each price with the payee. */
async function isPaid(peer, { url, payTo, environment }, said) {
  const before = provider.calls();
  const unpaid = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: provider.body });
  if (unpaid.status !== 402) throw new Error(`unpaid, it answered ${unpaid.status}: ${await unpaid.text()}`);
  if (provider.calls() !== before) throw new Error("unpaid, it called the provider");
  said.push("402 unpaid");

  const payerKey = await chain.payer();
  const presigned = count => (peer.presign ? presign(peer, url, environment, payerKey, count) : presignExact(url, provider.body, payerKey, count));
  if (peer.presign) await pay(url, provider, await presigned(CALLS));
  else for (let call = 0; call < CALLS; call++) await payByFetch(url, payerKey);
  await passesLong(async () => pay(url, provider, await presigned(1), 1, provider.longBody));
  await moved(payTo, CALLS + 1);
  said.push(`${CALLS + 1} paid calls moved ${CALLS + 1} × ${PRICE_ATOMIC}`);

  if (load.count === 0) return;
  said.push(await pay(url, provider, await presigned(load.count), load.connections));
  await moved(payTo, CALLS + 1 + load.count);
}

/** One call by the published paying `fetch`, challenge and all. */
async function payByFetch(url, payerKey) {
  const payingFetch = wrapFetchWithPayment(fetch, x402(payerKey));
  const answer = await payingFetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: provider.body });
  provider.mustBe(answer.status, await answer.text());
}

/** The longest body that the harness sends reaches the provider whole. */
async function passesLong(call) {
  await call();
  if (provider.longest() < LONG) throw new Error(`of ${LONG} bytes it passed ${provider.longest()} on`);
}

/** As many lines of headers as are asked for, by the peer's own program. */
async function presign(peer, url, environment, payerKey, count) {
  const folder = await mkdtemp(join(tmpdir(), "groat-peers-"));
  try {
    const [body, out] = [join(folder, "body.json"), join(folder, "headers.jsonl")];
    await writeFile(body, provider.body);
    const process = await start(peer.presign, join(PEERS, peer.cwd), {
      ...environment, COUNT: String(count), OUT: out, TARGET_URL: url, PAYER_KEY: payerKey, BODY_FILE: body,
    }, { untilItEnds: true });
    if (process.status !== 0) throw new Error(`presigning ended with ${process.status}`);
    return (await readFile(out, "utf8")).trimEnd().split("\n").map(line => JSON.parse(line));
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function moved(payTo, calls) {
  const [has, due] = [await chain.balance(payTo), BigInt(PRICE_ATOMIC) * BigInt(calls)];
  if (has !== due) throw new Error(`the payee has ${has} where ${due} was paid`);
}
