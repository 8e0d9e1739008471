// Portkey's gateway as it is published. It reads its port from the command line, and says on standard output that it runs.
import { Server } from "node:net";
import { HOST, PORT, leash, quiet, ready } from "./peer.mjs";

// It would listen on every address of the machine.
const listen = Server.prototype.listen;
Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, port, ...[HOST, ...rest.filter(argument => typeof argument === "function")]).once("listening", ready);
};

quiet();
leash();
process.argv.push(`--port=${PORT}`, "--headless");
await import("@portkey-ai/gateway/build/start-server.js");
