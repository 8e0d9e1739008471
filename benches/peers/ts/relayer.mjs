// The relayer's side of the chain, as fast as viem allows: what an operator who cares for speed would configure.
import { createWalletClient, defineChain, http, nonceManager, publicActions } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { CHAIN_ID, RELAYER_KEY, RPC_URL } from "./peer.mjs";

/**
 * All of a transaction but its nonce, so that viem need not ask the node for the rest. A `transferWithAuthorization` of
 * USDC takes about 80,000 gas; anvil's base fee starts at one gwei and falls.
 */
const FIXED = {
  chainId: Number(CHAIN_ID),
  type: "eip1559",
  gas: 200_000n,
  maxFeePerGas: 4_000_000_000n,
  maxPriorityFeePerGas: 1_000_000_000n,
};

/** Milliseconds. The node waits 30 seconds at most for a transaction to be mined; viem would give up after 10. */
const ANSWER_LIMIT = 60_000;

const chain = defineChain({
  id: Number(CHAIN_ID),
  name: "local",
  nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [RPC_URL] } },
});

/** Reads and sends. Without `nonceManager` two settlements at once would take the same nonce. */
export const relayer = createWalletClient({
  account: privateKeyToAccount(RELAYER_KEY, { nonceManager }),
  chain,
  transport: http(RPC_URL, { timeout: ANSWER_LIMIT }),
}).extend(publicActions);

/** Makes a contract call, and answers the receipt: `eth_sendRawTransactionSync`, so there is nothing to poll for. */
export const settle = call => relayer.writeContractSync({ ...FIXED, ...call });
