// Processes of the real binary: they are started by the file that imports this, and end with it.

import { spawn } from "node:child_process";
import { after } from "node:test";
import { createInterface } from "node:readline";
import { join } from "node:path";

export const MASTER_KEY = "sk-tollgate-client-tests-0123456789abcdef";
const BINARY = process.env.TOLLGATE;
const CLIENTS = process.env.CLIENTS;

// For a machine that is busy with other things; usually everything is there at once.
const PATIENCE_MS = 30_000;

const running = [];

function stopAll() {
  for (const child of running) child.kill("SIGTERM");
}

after(async () => {
  stopAll();
  await Promise.all(running.map((child) => child.exited));
});
// The tests may not come to their end.
process.once("exit", stopAll);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(1));

/** Starts `tollgate`; resolves with what `announces` captures of its output. */
async function start(args, announces, env = {}) {
  const child = spawn(BINARY, args, {
    env: { ...process.env, NO_COLOR: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.exited = new Promise((resolve) => child.once("exit", resolve));
  running.push(child);
  const printed = [];
  return new Promise((resolve, reject) => {
    const giveUp = (why) => reject(new Error(`${why}; the output was:\n${printed.join("\n")}`));
    const patience = setTimeout(giveUp, PATIENCE_MS, "it did not announce itself");
    child.once("error", (error) => giveUp(error.message));
    child.once("exit", () => giveUp("it ended"));
    for (const pipe of [child.stdout, child.stderr]) {
      createInterface({ input: pipe }).on("line", (line) => {
        printed.push(line);
        const found = announces.exec(line);
        if (found) {
          clearTimeout(patience);
          resolve(found[1]);
        }
      });
    }
  });
}

/** Starts a scripted provider; resolves with its address. */
export const provider = () =>
  start(
    ["mock", "--port", "0", "--script", join(CLIENTS, "provider.yaml")],
    /listens on (http:\/\/\S+)/,
  );

/** Starts the gateway on a configuration file beside `provider.yaml`; resolves with host and port. */
export const gateway = (config, env) =>
  start(
    ["serve", "--config", join(CLIENTS, config), "--host", "127.0.0.1", "--port", "0"],
    /listening address=(\S+)/,
    { ...env, MASTER_KEY },
  );
