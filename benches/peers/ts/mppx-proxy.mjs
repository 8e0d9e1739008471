// mppx's own proxy with `evm/charge`: the payer's EIP-3009 authorization, sent by the relayer before the upstream is called.
import { createServer } from "node:http";
// Its router asks for URLPattern, which Node has only from version 24.
import "urlpattern-polyfill";
import { parseSignature, formatUnits } from "viem";
import { Mppx, evm } from "mppx/server";
import { Proxy, Service } from "mppx/proxy";
import { ASSET, CHAIN_ID, PAY_TO, PRICE_ATOMIC, TOKEN, UPSTREAM_URL, leash, serve } from "./peer.mjs";
import { settle } from "./relayer.mjs";

const abi = [
  {
    type: "function",
    name: "transferWithAuthorization",
    stateMutability: "nonpayable",
    inputs: ["address", "address", "uint256", "uint256", "uint256", "bytes32", "uint8", "bytes32", "bytes32"].map(type => ({ type })),
    outputs: [],
  },
];

const { name, version, decimals } = TOKEN;
const charge = evm.charge({
  chainId: Number(CHAIN_ID),
  currency: ASSET,
  decimals,
  authorization: { name, version },
  recipient: PAY_TO,
  settle: sendAuthorization,
});

/** What mppx leaves to the operator: to send the authorization that it has checked, and to wait until it is mined. */
async function sendAuthorization({ payload, request }) {
  const { from, to, value, validAfter, validBefore, nonce } = payload;
  const { r, s, yParity } = parseSignature(payload.signature);
  const receipt = await settle({
    address: request.currency,
    abi,
    functionName: "transferWithAuthorization",
    args: [from, to, BigInt(value), BigInt(validAfter), BigInt(validBefore), nonce, 27 + yParity, r, s],
  });
  if (receipt.status !== "success") throw new Error(`${receipt.transactionHash} was reverted`);
  return { reference: receipt.transactionHash };
}

// A proxy mounts each service at its name; one called "v1" makes the address what OpenAI's clients call.
const mppx = Mppx.create({ methods: [charge], realm: "bench.localhost", secretKey: "a secret for the length of one benchmark" });
const upstream = Service.from("v1", {
  baseUrl: `${UPSTREAM_URL}/v1`,
  routes: { "POST /chat/completions": mppx.charge({ amount: formatUnits(BigInt(PRICE_ATOMIC), decimals) }) },
});

leash();
serve(createServer(Proxy.create({ services: [upstream] }).listener));
