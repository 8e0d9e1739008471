// `mppx` by its own fetch: MPP's `evm/charge`, of USDC on Base Sepolia.
import { Mppx, evm } from "mppx/client";
import { callWithFetch, payer, run } from "../ts/call.mjs";

const client = Mppx.create({
  methods: [evm({ account: payer, currencies: [evm.assets.baseSepolia.USDC] })],
  polyfill: false,
});

const name = "mppx-fetch";
await run(name, () => callWithFetch(name, client.fetch));
