// The published @openrouter/sdk package: one paid chat, then all that the SDK can read of the catalogue and of that call.
import { HTTPClient, OpenRouter } from "@openrouter/sdk";
import { gateway, run } from "./call.mjs";
import { callId, model, payingFetch, prompt, tell } from "./routes.mjs";

const client = "openrouter-catalogue-node";
await run(client, async () => {
  const options = { serverURL: `${gateway}/v1`, apiKey: "unused", retryConfig: { strategy: "none" } };
  const paying = new OpenRouter({ ...options, httpClient: new HTTPClient({ fetcher: payingFetch }) });
  // What is told for nothing is asked for without a wallet.
  const reading = new OpenRouter(options);
  const completion = await paying.chat.send({
    chatRequest: { model, messages: [{ role: "user", content: prompt }], maxTokens: 16 },
  });
  const [author, slug] = model.split("/");
  const models = [];
  for await (const page of await reading.models.list({ limit: 1 })) models.push(...page.result.data);
  const catalogue = {
    models,
    tools: (await reading.models.list({ supportedParameters: "tools" })).result.data.map(({ id }) => id),
    count: (await reading.models.count()).data.count,
    model: (await reading.models.get({ author, slug })).data,
    endpoints: (await reading.endpoints.list({ author, slug })).data,
    zdr: (await reading.endpoints.listZdrEndpoints()).data,
    providers: (await reading.providers.list()).data,
    generation: (await reading.generations.getGeneration({ id: callId() })).data,
    unknown: await reading.endpoints.list({ author: "nobody", slug: "knows" }).catch(({ name, statusCode }) => ({ name, statusCode })),
  };
  tell(client, { text: completion.choices[0].message.content, usage: completion.usage, more: catalogue });
});
