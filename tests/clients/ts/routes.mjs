// What the programs share that call other routes than chat completions, or through another SDK than OpenAI's: a paying
// fetch that remembers what its last answer said in headers, one tool, and the one JSON line they print.
import { wrapFetchWithPaymentFromConfig } from "@x402/fetch";
import { body, schemes } from "./call.mjs";

export const prompt = body.messages[0].content;
export const model = body.model;
/** `TOOL=1` asks with this tool, which the model must call. */
export const withTool = process.env.TOOL === "1";
export const tool = {
  name: "note",
  description: "Writes a text down.",
  schema: { type: "object", properties: { text: { type: "string" } }, required: ["text"] },
};

const pay = wrapFetchWithPaymentFromConfig(fetch, { schemes: schemes() });
let last;

/** The published paying fetch; nothing but its answer's headers is looked at. */
export async function payingFetch(input, init) {
  const response = await pay(input, init);
  last = { status: response.status, headers: response.headers };
  return response;
}

/** The id of the call that was answered last. */
export function callId() {
  return last.headers.get("groat-call-id");
}

/** Prints what a program read through its SDK: a text, or a tool's call, and the usage that the SDK shows. */
export function tell(client, { text = "", call = null, usage = null, more = null }) {
  const payment = last.headers.get("payment-response");
  console.log(JSON.stringify({
    client,
    status: last.status,
    text,
    call,
    usage,
    more,
    payment_response: payment ? JSON.parse(Buffer.from(payment, "base64").toString()) : null,
    call_id: callId(),
  }));
}
