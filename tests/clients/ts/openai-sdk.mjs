// The official openai package, told nothing but which fetch to use and where the gateway is.
import OpenAI from "openai";
import { wrapFetchWithPaymentFromConfig } from "@x402/fetch";
import { Answer, body, gateway, report, run, schemes, streamed } from "./call.mjs";

const client = "openai-sdk-node";
await run(client, async () => {
  const openai = new OpenAI({
    baseURL: `${gateway}/v1`,
    apiKey: "unused",
    fetch: wrapFetchWithPaymentFromConfig(fetch, { schemes: schemes() }),
  });
  const { data, response } = await openai.chat.completions.create(body).withResponse();
  const answer = new Answer();
  if (streamed) for await (const chunk of data) answer.add(chunk);
  else answer.add(data);
  report(client, response.status, name => response.headers.get(name), answer);
});
