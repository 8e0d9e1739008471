// What the check stands on: the local chain of `groat dev`, a provider, and processes with a beginning and an end.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { createTestClient, http, parseAbi, publicActions, walletActions } from "viem";
import { generatePrivateKey, privateKeyToAddress } from "viem/accounts";

/** LiteLLM takes half a minute to import on a busy machine. */
const START_LIMIT_MS = 180_000;
const END_LIMIT_MS = 20_000;

const GAS_MONEY = 100n * 10n ** 18n;
const PAYER_FUNDS = 10_000_000_000n;
const token = parseAbi(["function mint(address to, uint256 value)", "function balanceOf(address account) view returns (uint256)"]);

for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143]]) process.once(signal, () => process.exit(status));

/** The local chain, with fresh accounts for each peer. */
export class Chain {
  static async start(groat) {
    if (!groat) throw new Error("GROAT is not set: the groat binary, whose `dev` command starts the chain");
    const child = spawn(groat, ["dev", "--json"], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = await Promise.race([
      once(createInterface(child.stdout), "line"),
      once(child, "exit").then(([status]) => Promise.reject(new Error(`groat dev ended with ${status}`))),
    ]);
    return new Chain(child, JSON.parse(line));
  }

  constructor(child, { rpc, chain_id: id, asset }) {
    Object.assign(this, { child, rpc, id, asset });
    // The peers end when their standard input closes; the chain does not.
    process.once("exit", () => child.kill("SIGTERM"));
    this.client = createTestClient({ mode: "anvil", transport: http(rpc), pollingInterval: 10 }).extend(publicActions).extend(walletActions);
  }

  /** A payee with nothing, and the key of a relayer with coin for gas. */
  async payee() {
    const relayerKey = generatePrivateKey();
    await this.client.setBalance({ address: privateKeyToAddress(relayerKey), value: GAS_MONEY });
    return { payTo: privateKeyToAddress(generatePrivateKey()), relayerKey };
  }

  /** The key of a payer with tokens and no coin. */
  async payer() {
    const key = generatePrivateKey();
    const address = privateKeyToAddress(key);
    await this.client.impersonateAccount({ address: this.asset });
    await this.client.setBalance({ address: this.asset, value: GAS_MONEY });
    const hash = await this.client.writeContract({
      account: this.asset, chain: null, address: this.asset, abi: token, functionName: "mint", args: [address, PAYER_FUNDS],
    });
    await this.client.waitForTransactionReceipt({ hash });
    await this.client.stopImpersonatingAccount({ address: this.asset });
    return key;
  }

  balance(account) {
    return this.client.readContract({ address: this.asset, abi: token, functionName: "balanceOf", args: [account] });
  }

  async stop() {
    this.child.kill("SIGTERM");
    if (this.child.exitCode === null) await once(this.child, "exit");
  }
}

const ANSWER = JSON.stringify({
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1,
  model: "null",
  choices: [{ index: 0, message: { role: "assistant", content: "Four pence." }, finish_reason: "stop" }],
  usage: { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13 },
});

/** The longest body that is measured, in bytes. */
export const LONG = 400_000;

/** A provider that always says the same. */
export async function upstream() {
  let calls = 0;
  let longest = 0;
  const server = createServer((request, response) => {
    let length = 0;
    request.on("data", bytes => (length += bytes.length)).on("end", () => {
      calls += 1;
      longest = Math.max(longest, length);
      response.writeHead(200, { "content-type": "application/json", "content-length": ANSWER.length }).end(ANSWER);
    });
  });
  server.keepAliveTimeout = 120_000;
  await once(server.listen(0, "127.0.0.1"), "listening");
  const question = content => JSON.stringify({ model: "null", messages: [{ role: "user", content }], max_tokens: 16 });
  /** Gateways rewrite the answer, so what counts is what it says. */
  const mustBe = (status, text) => {
    const says = status === 200 && JSON.parse(text).choices[0].message.content;
    if (says !== "Four pence.") throw new Error(`answered ${status}: ${text}`);
  };
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    body: question("What is a groat?"),
    longBody: question("groat ".repeat(Math.ceil(LONG / 6))),
    calls: () => calls,
    longest: () => longest,
    mustBe,
    close: () => server.close(),
  };
}

/** A port that was free a moment ago. */
export async function free() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
}

/** Starts a command and waits until it says `ready`, or until it ends. */
export async function start([program, ...rest], cwd, environment, { untilItEnds = false } = {}) {
  const child = spawn(program, rest, { cwd, env: { ...process.env, ...environment }, stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.on("error", () => {});
  const exit = once(child, "exit").then(([status, signal]) => status ?? signal);
  const lines = createInterface(child.stdout);
  const ready = new Promise(resolve => lines.on("line", line => line === "ready" && resolve("ready")));
  const first = await within(START_LIMIT_MS, untilItEnds ? exit : Promise.race([exit, ready]), "it does not begin in time", child);
  if (!untilItEnds && first !== "ready") throw new Error(`it ended with ${first} before it was ready`);
  return {
    status: first,
    closeInput: () => child.stdin.end(),
    terminate: () => child.kill("SIGTERM"),
    kill: () => child.kill("SIGKILL"),
    ended: when => within(END_LIMIT_MS, exit, `it goes on when ${when}`, child),
  };
}

async function within(limit, promise, otherwise, child) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(otherwise));
    }, limit);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
