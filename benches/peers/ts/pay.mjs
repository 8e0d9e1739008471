// Payments by the published clients, and calls that carry them.
import { privateKeyToAccount } from "viem/accounts";
import { Agent, request } from "undici";
import { x402Client, x402HTTPClient } from "@x402/fetch";
import { ExactEvmScheme } from "@x402/evm/exact/client";

/** The published client over a key, spend controls as they come. */
export const x402 = key => new x402Client().register("eip155:*", new ExactEvmScheme(privateKeyToAccount(key)));

/** Asks for one challenge and signs it COUNT times: `exact` is not bound to the challenge. */
export async function presignExact(url, body, payerKey, count) {
  const headers = { "content-type": "application/json" };
  const unpaid = await fetch(url, { method: "POST", headers, body });
  const client = new x402HTTPClient(x402(payerKey));
  const challenge = client.getPaymentRequiredResponse(name => unpaid.headers.get(name), await unpaid.json().catch(() => undefined));
  const lines = [];
  for (let line = 0; line < count; line++) {
    lines.push({ ...headers, ...client.encodePaymentSignatureHeader(await client.createPaymentPayload(challenge)) });
  }
  return lines;
}

/** Makes one call for each line of headers, so many at a time; each must bring the provider's answer. Says how fast. */
export async function pay(url, provider, lines, connections = 1, body = provider.body) {
  const dispatcher = new Agent({ connections, pipelining: 1 });
  const begun = performance.now();
  const calls = lines.length;
  const left = lines.values();
  const lane = async () => {
    for (const headers of left) {
      const answer = await request(url, { method: "POST", headers, body, dispatcher, headersTimeout: 60_000 });
      provider.mustBe(answer.statusCode, await answer.body.text());
    }
  };
  await Promise.all(Array.from({ length: connections }, lane));
  await dispatcher.close();
  const seconds = (performance.now() - begun) / 1000;
  return `${calls} calls, ${connections} at a time, in ${seconds.toFixed(1)} s: ${(calls / seconds).toFixed(0)}/s`;
}
