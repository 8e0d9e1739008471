// The official openai and @anthropic-ai/sdk packages list and retrieve models, which nobody pays for.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const { GATEWAY, MODEL } = process.env;
if (!GATEWAY || !MODEL) {
  console.error("usage: GATEWAY=URL MODEL=… program");
  process.exit(2);
}
const gateway = GATEWAY.replace(/\/$/, "");

/** Every model, one page after another; one of them; and how an unknown one fails. */
async function read(models, page) {
  const listed = [];
  for await (const model of models.list(page)) listed.push(model);
  const failed = await models.retrieve("nobody/knows").catch(({ name, status, error }) => ({ name, status, error }));
  return { listed, retrieved: await models.retrieve(MODEL), failed };
}

try {
  const openai = new OpenAI({ baseURL: `${gateway}/v1`, apiKey: "unused" });
  const anthropic = new Anthropic({ baseURL: gateway, apiKey: "unused" });
  console.log(JSON.stringify({
    client: "sdk-models-node",
    openai: await read(openai.models),
    anthropic: await read(anthropic.models, { limit: 1 }),
  }));
} catch (error) {
  console.error(`sdk-models: ${error.message}`);
  process.exitCode = 1;
}
