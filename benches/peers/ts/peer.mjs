// What the Node peers share: the environment the harness starts them with, and how they begin and end.
import { writeSync } from "node:fs";

/** Set by the harness. A peer without payment needs the first two only. */
export const { PORT, UPSTREAM_URL, RPC_URL, CHAIN_ID, ASSET, PAY_TO, RELAYER_KEY, PRICE_ATOMIC } = process.env;

/** Peers listen on loopback only. */
export const HOST = "127.0.0.1";

/** The name and version that USDC and its stand-in sign under, and its decimals. */
export const TOKEN = { name: "USDC", version: "2", decimals: 6 };

/** Drops what a library prints: the harness reads `ready` from standard output, and errors go to standard error. */
export function quiet() {
  process.stdout.write = () => true;
}

/** Says that calls are taken from now on. */
export function ready() {
  writeSync(1, "ready\n");
}

/** Ends the process with its owner: on SIGTERM, and when standard input closes, so that a killed harness leaves nothing. */
export function leash() {
  process.once("SIGTERM", () => process.exit(0));
  process.stdin.once("end", () => process.exit(0)).once("error", () => process.exit(0)).resume();
}

/** Listens, and says so. */
export function serve(server) {
  // Pooled connections must outlive the pauses of a benchmark: Node closes them after 5 seconds by default.
  server.keepAliveTimeout = 120_000;
  server.listen(Number(PORT), HOST, ready);
}
