// The legacy x402-fetch, which speaks V1 only and caps a payment at 0.10 USDC.
import { createWalletClient, http } from "viem";
import { baseSepolia } from "viem/chains";
import { wrapFetchWithPayment } from "x402-fetch";
import { callWithFetch, payer, rpc, run } from "./call.mjs";

const client = "x402-fetch-v1";
const wallet = createWalletClient({ account: payer, chain: baseSepolia, transport: http(rpc) });
await run(client, () => callWithFetch(client, wrapFetchWithPayment(fetch, wallet)));
