// The published @openrouter/ai-sdk-provider package with Vercel's ai: one step of generateText or streamText.
import { createOpenRouter } from "@openrouter/ai-sdk-provider";
import { generateText, jsonSchema, streamText, tool as aiTool } from "ai";
import { gateway, run, streamed } from "./call.mjs";
import { model, payingFetch, prompt, tell, tool, withTool } from "./routes.mjs";

const client = "openrouter-ai-node";
await run(client, async () => {
  const openrouter = createOpenRouter({
    baseURL: `${gateway}/v1`,
    apiKey: "unused",
    compatibility: "strict",
    fetch: payingFetch,
    extraBody: { provider: { sort: "price" } },
  });
  const request = {
    model: openrouter.chat(model, { usage: { include: true } }),
    prompt,
    maxOutputTokens: 16,
    maxRetries: 0,
    ...(withTool
      ? { tools: { [tool.name]: aiTool({ description: tool.description, inputSchema: jsonSchema(tool.schema) }) } }
      : {}),
  };
  let failed = null;
  const result = streamed
    ? streamText({ ...request, onError: ({ error }) => { failed = error; } })
    : await generateText(request);
  const text = await result.text;
  if (failed) throw failed;
  const [used] = await result.toolCalls;
  const usage = (await result.providerMetadata)?.openrouter?.usage;
  tell(client, { text, call: used ? { name: used.toolName, arguments: used.input } : null, usage });
});
