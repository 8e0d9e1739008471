// `mppx` by its own fetch: MPP's `tempo/charge`. MODE=push has the client send the transaction itself.
import { Mppx, tempo } from "mppx/client";
import { createClient, http } from "viem";
import { tempoLocalnet } from "viem/tempo/chains";
import { callWithFetch, payer, rpc, run } from "../ts/call.mjs";

const chain = createClient({ chain: tempoLocalnet, transport: http(rpc), pollingInterval: 100 });
const client = Mppx.create({
  methods: [tempo.charge({ account: payer, getClient: () => chain, mode: process.env.MODE ?? "pull" })],
  polyfill: false,
});

const name = "mppx-tempo";
await run(name, () => callWithFetch(name, client.fetch));
