// @x402/axios, frozen at 2.11, with the schemes of @x402/evm 2.27.
import axios from "axios";
import { wrapAxiosWithPaymentFromConfig } from "@x402/axios";
import { Answer, body, report, run, schemes, streamed, url } from "./call.mjs";

const client = "x402-axios";
await run(client, async () => {
  const api = wrapAxiosWithPaymentFromConfig(axios.create(), { schemes: schemes() });
  const response = await api.post(url, body, { responseType: streamed ? "stream" : "json" }).catch(error => {
    const challenge = error.response?.headers["payment-required"];
    const reason = challenge ? JSON.parse(Buffer.from(challenge, "base64").toString()).error : error.message;
    throw new Error(`HTTP ${error.response?.status}: ${reason}`, { cause: error.cause });
  });
  const answer = new Answer();
  if (streamed) await answer.addEvents(response.data);
  else answer.add(response.data);
  report(client, response.status, name => response.headers[name], answer);
});
