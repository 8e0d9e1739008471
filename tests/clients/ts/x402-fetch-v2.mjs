// @x402/fetch with the V2 schemes of @x402/evm, spend controls as they come.
import { wrapFetchWithPaymentFromConfig } from "@x402/fetch";
import { callWithFetch, run, schemes } from "./call.mjs";

const client = "x402-fetch-v2";
await run(client, () => callWithFetch(client, wrapFetchWithPaymentFromConfig(fetch, { schemes: schemes() })));
