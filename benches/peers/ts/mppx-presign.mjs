// Makes COUNT credentials for mppx's proxy with mppx's own client, one line each: the headers of one paid call.
// Each is bound to a challenge, and a challenge lives for five minutes: presign no more than is paid with in that time.
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { privateKeyToAccount } from "viem/accounts";
import { Mppx, evm } from "mppx/client";
import { ASSET, CHAIN_ID, TOKEN } from "./peer.mjs";

const { BODY_FILE, COUNT, OUT, PAYER_KEY, TARGET_URL } = process.env;

/** Calls that ask for a challenge at once. */
const LANES = 4;

const { name, version } = TOKEN;
const client = Mppx.create({
  methods: [evm.charge({ account: privateKeyToAccount(PAYER_KEY), currencies: [ASSET], networks: [Number(CHAIN_ID)], authorization: { name, version } })],
  polyfill: false,
});
const body = await readFile(BODY_FILE);
const out = createWriteStream(OUT);
const challenges = new Set();

/** Asks and signs until COUNT challenges are answered. */
async function lane() {
  while (challenges.size < Number(COUNT)) {
    const response = await client.rawFetch(TARGET_URL, { method: "POST", headers: { "content-type": "application/json" }, body });
    const payment = await client.preparePayment(response);
    await response.arrayBuffer();
    // A challenge is a function of its terms and its expiry in milliseconds: two of the same millisecond are one, and
    // would be paid by one authorization.
    if (challenges.has(payment.challenge.id) || challenges.size >= Number(COUNT)) continue;
    challenges.add(payment.challenge.id);
    const line = { "content-type": "application/json", authorization: await payment.createCredential() };
    if (!out.write(`${JSON.stringify(line)}\n`)) await once(out, "drain");
  }
}

await Promise.all(Array.from({ length: LANES }, lane));
out.end();
await once(out, "finish");
