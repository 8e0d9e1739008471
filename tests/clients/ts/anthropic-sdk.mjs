// The official @anthropic-ai/sdk package, told nothing but which fetch to use and where the gateway is.
import Anthropic from "@anthropic-ai/sdk";
import { gateway, run, streamed } from "./call.mjs";
import { model, payingFetch, prompt, tell, tool, withTool } from "./routes.mjs";

const client = "anthropic-sdk-node";
await run(client, async () => {
  const anthropic = new Anthropic({ baseURL: gateway, apiKey: "unused", fetch: payingFetch });
  const request = {
    model,
    max_tokens: 16,
    system: "Answer briefly.",
    messages: [{ role: "user", content: prompt }],
    ...(withTool ? { tools: [{ name: tool.name, description: tool.description, input_schema: tool.schema }] } : {}),
  };
  let text = "";
  let message;
  if (streamed) {
    const stream = anthropic.messages.stream(request);
    let usage = null;
    stream.on("text", piece => { text += piece; });
    stream.on("streamEvent", event => { if (event.type === "message_delta") usage = event.usage; });
    message = await stream.finalMessage();
    message.usage = { ...message.usage, ...usage };
  } else {
    message = await anthropic.messages.create(request);
    text = message.content.filter(block => block.type === "text").map(block => block.text).join("");
  }
  const use = message.content.find(block => block.type === "tool_use");
  tell(client, { text, call: use && { name: use.name, arguments: use.input }, usage: message.usage });
});
