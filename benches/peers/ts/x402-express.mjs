// @x402/express before the upstream, with its facilitator in the same process: no hop between the two.
import { createServer } from "node:http";
import { pipeline } from "node:stream/promises";
import express from "express";
import { Agent, request } from "undici";
import { paymentMiddleware, x402ResourceServer } from "@x402/express";
import { x402Facilitator } from "@x402/core/facilitator";
import { toFacilitatorEvmSigner } from "@x402/evm";
import { ExactEvmScheme as ExactFacilitator } from "@x402/evm/exact/facilitator";
import { ExactEvmScheme as ExactServer } from "@x402/evm/exact/server";
import { ASSET, CHAIN_ID, PAY_TO, PRICE_ATOMIC, TOKEN, UPSTREAM_URL, leash, serve } from "./peer.mjs";
import { relayer, settle } from "./relayer.mjs";

const ROUTE = "/v1/chat/completions";
const network = `eip155:${CHAIN_ID}`;

// The scheme sends first and then asks for the receipt, which is there by then.
const receipts = new Map();
const signer = toFacilitatorEvmSigner({
  address: relayer.account.address,
  getCode: args => relayer.getCode(args),
  readContract: args => relayer.readContract(args),
  verifyTypedData: args => relayer.verifyTypedData(args),
  sendTransaction: args => relayer.sendTransaction(args),
  writeContract: async args => {
    const receipt = await settle(args);
    receipts.set(receipt.transactionHash, receipt);
    return receipt.transactionHash;
  },
  waitForTransactionReceipt: async ({ hash }) => {
    const receipt = receipts.get(hash);
    receipts.delete(hash);
    return receipt;
  },
});

const facilitator = new x402Facilitator().register(network, new ExactFacilitator(signer));
const server = new x402ResourceServer({
  verify: (payload, requirements) => facilitator.verify(payload, requirements),
  settle: (payload, requirements) => facilitator.settle(payload, requirements),
  getSupported: async () => facilitator.getSupported(),
}).register(network, new ExactServer());

const { name, version } = TOKEN;
const price = { amount: PRICE_ATOMIC, asset: ASSET, extra: { name, version } };
const accepts = { scheme: "exact", price, network, payTo: PAY_TO };

const app = express();
app.disable("x-powered-by").disable("etag");
app.use(paymentMiddleware({ [`POST ${ROUTE}`]: { accepts, description: "A chat completion" } }, server));
app.post(ROUTE, forward);

/** Passes a call on by undici's own client, the fastest that Node has, as a stream both ways. */
async function forward(incoming, outgoing) {
  const answer = await request(`${UPSTREAM_URL}${ROUTE}`, {
    method: "POST",
    dispatcher,
    headers: kept(incoming.headers),
    body: incoming,
  });
  outgoing.writeHead(answer.statusCode, kept(answer.headers));
  await pipeline(answer.body, outgoing);
}

const dispatcher = new Agent({ connections: 256 });
const HOP_BY_HOP = ["connection", "keep-alive", "host", "transfer-encoding", "payment-signature"];

function kept(headers) {
  const rest = { ...headers };
  for (const name of HOP_BY_HOP) delete rest[name];
  return rest;
}

leash();
serve(createServer(app));
