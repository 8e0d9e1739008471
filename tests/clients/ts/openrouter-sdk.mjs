// The published @openrouter/sdk package: a chat with provider options, whole or streamed; it hides the usage that it does not know.
import { HTTPClient, OpenRouter } from "@openrouter/sdk";
import { gateway, run, streamed } from "./call.mjs";
import { model, payingFetch, prompt, tell, tool, withTool } from "./routes.mjs";

const client = "openrouter-sdk-node";
await run(client, async () => {
  const openrouter = new OpenRouter({
    serverURL: `${gateway}/v1`,
    apiKey: "unused",
    httpClient: new HTTPClient({ fetcher: payingFetch }),
    retryConfig: { strategy: "none" },
  });
  const chatRequest = {
    model,
    messages: [{ role: "user", content: prompt }],
    maxTokens: 16,
    provider: { allowFallbacks: true, sort: "price" },
    ...(withTool
      ? { tools: [{ type: "function", function: { name: tool.name, description: tool.description, parameters: tool.schema } }] }
      : {}),
  };
  let text = "", usage = null, call = null;
  if (streamed) {
    const pieces = { name: "", arguments: "" };
    for await (const chunk of await openrouter.chat.send({ chatRequest: { ...chatRequest, stream: true } })) {
      const delta = chunk.choices[0]?.delta;
      text += delta?.content ?? "";
      for (const part of delta?.toolCalls ?? []) {
        pieces.name += part.function?.name ?? "";
        pieces.arguments += part.function?.arguments ?? "";
      }
      usage = chunk.usage ?? usage;
    }
    if (pieces.name) call = { name: pieces.name, arguments: JSON.parse(pieces.arguments) };
  } else {
    const completion = await openrouter.chat.send({ chatRequest });
    const message = completion.choices[0].message;
    text = message.content ?? "";
    usage = completion.usage;
    const used = message.toolCalls?.[0]?.function;
    if (used) call = { name: used.name, arguments: JSON.parse(used.arguments) };
  }
  tell(client, { text, call, usage });
});
