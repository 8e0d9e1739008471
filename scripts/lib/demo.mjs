// What scripts/demo needs beside the groat binary: one unpaid call, and a reader for what groat writes as JSON.
//   node demo.mjs unpaid GATEWAY MODEL SYSTEM_PROMPT_FILE MAX_TOKENS PROMPT
//   node demo.mjs member FILE NAME[.INDEX]
//   node demo.mjs saving RECEIPT_FILE RECEIPT_FILE
//   node demo.mjs books FILE
import { readFileSync } from "node:fs";

const json = file => JSON.parse(readFileSync(file, "utf8"));

/** A call without a payment: prints the status, and the offers as a person reads them. */
async function unpaid(gateway, model, systemFile, maxTokens, prompt) {
  const response = await fetch(`${gateway}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model,
      messages: [
        { role: "system", content: readFileSync(systemFile, "utf8") },
        { role: "user", content: prompt },
      ],
      max_tokens: Number(maxTokens),
      stream: true,
      stream_options: { include_usage: true },
    }),
  });
  if (response.status !== 402) throw new Error(`answered ${response.status}, not 402: ${await response.text()}`);
  const challenge = JSON.parse(Buffer.from(response.headers.get("payment-required"), "base64"));
  console.log(`HTTP ${response.status} ${response.statusText}`);
  for (const offer of challenge.accepts) {
    console.log(`  amount  ${offer.amount} units of ${offer.extra.name} (${offer.asset}): the ceiling`);
    console.log(`  pay to  ${offer.payTo} on ${offer.network}, by x402 v${challenge.x402Version} "${offer.scheme}"`);
  }
}

/** Prints one member of a JSON file. */
function member(file, path) {
  console.log(path.split(".").reduce((value, name) => value[name], json(file)));
}

/** Prints what the cache took off the second of two receipts; fails when it took nothing. */
function saving(firstFile, secondFile) {
  const [first, second] = [json(firstFile), json(secondFile)];
  const cached = second.usage.cache_read;
  if (!(cached > 0 && BigInt(second.cache_saving_pusd) > 0n)) throw new Error("the second call shows no cache discount");
  console.log(`${cached} prompt tokens were in the provider's cache: ${second.charged} units instead of ${first.charged}`);
}

/** Prints the output of `groat ledger verify` in a few lines. */
function books(file) {
  const text = readFileSync(file, "utf8");
  const end = text.indexOf("\n}\n") + 2;
  const { calls, entries, faults, totals } = JSON.parse(text.slice(0, end));
  console.log(`ledger: ${calls} calls, ${entries} hash-chained entries, ${faults.length} faults`);
  for (const { settled, captured, available } of totals) {
    console.log(`ledger: settled ${settled} = billed ${captured} + owed back ${available} (atomic units)`);
  }
  process.stdout.write(text.slice(end).trimStart());
}

const [task, ...rest] = process.argv.slice(2);
try {
  await { unpaid, member, saving, books }[task](...rest);
} catch (error) {
  console.error(`demo: ${error.message}`);
  process.exitCode = 1;
}
