// wrapFetchWithSIWx of @x402/extensions, as published: reads a payer's credit, or withdraws it.
import { privateKeyToAccount } from "viem/accounts";
import { wrapFetchWithSIWx } from "@x402/extensions/sign-in-with-x";

const { GATEWAY, PAYER_KEY } = process.env;
const [what, amount] = process.argv.slice(2);
if (!GATEWAY || !PAYER_KEY || !["credits", "withdraw"].includes(what)) {
  console.error("usage: GATEWAY=URL PAYER_KEY=0x… program credits|withdraw [ATOMIC_UNITS]");
  process.exit(2);
}

// The package wraps this one, which only remembers what was signed.
let signIn = null;
const watchedFetch = request => {
  signIn = request.headers.get("sign-in-with-x");
  return fetch(request);
};

try {
  const signedInFetch = wrapFetchWithSIWx(watchedFetch, privateKeyToAccount(PAYER_KEY));
  const gateway = GATEWAY.replace(/\/$/, "");
  const response = what === "credits"
    ? await signedInFetch(`${gateway}/v1/credits`)
    : await signedInFetch(`${gateway}/v1/credits/withdraw`, {
        method: "POST",
        ...(amount ? { headers: { "content-type": "application/json" }, body: JSON.stringify({ amount }) } : {}),
      });
  const body = await response.json();
  console.log(JSON.stringify({ client: "siwx-fetch", status: response.status, body, sign_in: signIn }));
} catch (error) {
  console.error(`siwx-fetch: ${error.message}${error.cause ? ` (${error.cause.message ?? error.cause})` : ""}`);
  process.exitCode = 1;
}
