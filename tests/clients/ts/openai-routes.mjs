// The official openai package on the routes beside chat completions: API=responses, completions or embeddings.
import OpenAI from "openai";
import { gateway, run, streamed } from "./call.mjs";
import { model, payingFetch, prompt, tell, tool, withTool } from "./routes.mjs";

const client = "openai-routes-node";

async function responses(openai) {
  const tools = withTool
    ? [{ type: "function", name: tool.name, description: tool.description, parameters: tool.schema, strict: false }]
    : undefined;
  const request = { model, input: [{ role: "user", content: prompt }], max_output_tokens: 16, tools };
  let response, text = "";
  if (streamed) {
    for await (const event of await openai.responses.create({ ...request, stream: true })) {
      if (event.type === "response.output_text.delta") text += event.delta;
      if (["response.completed", "response.incomplete"].includes(event.type)) response = event.response;
    }
  } else {
    response = await openai.responses.create(request);
    text = response.output_text;
  }
  const call = response.output.find(item => item.type === "function_call");
  return { text, call: call && { name: call.name, arguments: JSON.parse(call.arguments) }, usage: response.usage };
}

async function completions(openai) {
  const request = { model, prompt, max_tokens: 16 };
  if (!streamed) {
    const completion = await openai.completions.create(request);
    return { text: completion.choices[0].text, usage: completion.usage };
  }
  let text = "", usage = null;
  const stream = await openai.completions.create({ ...request, stream: true, stream_options: { include_usage: true } });
  for await (const chunk of stream) {
    text += chunk.choices[0]?.text ?? "";
    usage = chunk.usage ?? usage;
  }
  return { text, usage };
}

async function embeddings(openai) {
  const list = await openai.embeddings.create({ model, input: [prompt, "another text"] });
  return { text: JSON.stringify(list.data.map(item => item.embedding)), usage: list.usage };
}

await run(client, async () => {
  const openai = new OpenAI({ baseURL: `${gateway}/v1`, apiKey: "unused", fetch: payingFetch });
  tell(client, await { responses, completions, embeddings }[process.env.API](openai));
});
