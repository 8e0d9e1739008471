// @x402/fetch with one scheme of @x402/evm (SCHEMES; channels are kept in memory): CALLS paid calls, whole and streamed in
// turn, AT_ONCE at a time (2); one that failed is made anew, but not with GIVE_UP=1. Then, with REFUND=1, the client's own
// refund of its channel. It prints one line at its end:
// {"client", "calls" (Groat-Call-Ids), "failed", "whole", "streamed", "refund" (the settlement, or null)}
import { wrapFetchWithPaymentFromConfig } from "@x402/fetch";
import { Answer, bodyOf, gateway, run, schemes, url } from "./call.mjs";

const FAILED_MAX = 20;
const { CALLS, AT_ONCE = "2", GIVE_UP, REFUND } = process.env;

const [scheme] = schemes();
const payingFetch = wrapFetchWithPaymentFromConfig(fetch, { schemes: [scheme] });
const said = { client: "loop", calls: [], failed: [], whole: 0, streamed: 0, refund: null };
let begun = 0;
let wanted = Number(CALLS);

/** One call, whole or streamed by its number. */
async function call(number) {
  const streamed = number % 2 === 1;
  const response = await payingFetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(bodyOf(streamed, number)),
  });
  if (response.status !== 200) {
    const required = response.headers.get("payment-required");
    const reason = required ? JSON.parse(Buffer.from(required, "base64").toString()).error : await response.text();
    throw new Error(`HTTP ${response.status}: ${reason}`);
  }
  const answer = new Answer();
  if (streamed) await answer.addEvents(response.body);
  else answer.add(await response.json());
  if (!answer.usage?.receipt) throw new Error("there is no receipt");
  said.calls.push(response.headers.get("groat-call-id"));
  said[streamed ? "streamed" : "whole"] += 1;
}

/** Waits until the gateway answers again. */
async function ready() {
  for (;;) {
    const answered = await fetch(`${gateway}/readyz`).catch(() => null);
    if (answered?.ok) return;
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

/** Calls until enough were answered: another is made for one that failed. */
async function work() {
  while (begun < wanted) {
    try {
      await call(begun++);
    } catch (error) {
      if (!GIVE_UP) wanted += 1;
      said.failed.push(`${error.message}${error.cause ? ` (${error.cause.message ?? error.cause})` : ""}`);
      if (said.failed.length > FAILED_MAX) throw new Error(`too many calls failed: ${said.failed.join("; ")}`);
      await ready();
    }
  }
}

await run(said.client, async () => {
  await Promise.all(Array.from({ length: Number(AT_ONCE) }, work));
  if (REFUND) said.refund = await scheme.client.refund(url);
  console.log(JSON.stringify(said));
});
