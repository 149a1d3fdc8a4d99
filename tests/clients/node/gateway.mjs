// One gateway before three scripted providers, as processes of the real binary, and the SDK's
// clients of it. They are started by the file that imports this, and end with it.

import { spawn } from "node:child_process";
import { after } from "node:test";
import { createInterface } from "node:readline";
import { join } from "node:path";
import OpenAI, { AzureOpenAI } from "openai";

export const MASTER_KEY = "sk-tollgate-client-tests-0123456789abcdef";
const BINARY = process.env.TOLLGATE;
const CLIENTS = process.env.CLIENTS;

// For a machine that is busy with other things; usually everything is there at once.
const PATIENCE_MS = 30_000;

/** The providers, each with a model that the gateway has of it. */
export const UPSTREAMS = [
  { name: "openai", model: "openai/gpt-4o", substitute: "claude" },
  { name: "azure", model: "azure/gpt-4o", substitute: "gpt" },
  { name: "anthropic", model: "anthropic/claude-sonnet-4-5", substitute: "azure-gpt" },
];

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

const provider = () =>
  start(
    ["mock", "--port", "0", "--script", join(CLIENTS, "provider.yaml")],
    /listens on (http:\/\/\S+)/,
  );

const [OPENAI_MOCK, AZURE_MOCK, ANTHROPIC_MOCK] = await Promise.all(UPSTREAMS.map(provider));

/** Where the gateway listens. */
export const ADDRESS = await start(
  ["serve", "--config", join(CLIENTS, "gateway.yaml"), "--host", "127.0.0.1", "--port", "0"],
  /listening address=(\S+)/,
  { OPENAI_MOCK, AZURE_MOCK, ANTHROPIC_MOCK, MASTER_KEY },
);

/** A client; the SDK's own retries are off unless a test turns them on. */
export const connect = (options = {}) =>
  new OpenAI({
    baseURL: `http://${ADDRESS}/v1`,
    apiKey: MASTER_KEY,
    maxRetries: 0,
    timeout: 30_000,
    ...options,
  });

export const connectAzure = (options = {}) =>
  new AzureOpenAI({
    endpoint: `http://${ADDRESS}`,
    apiKey: MASTER_KEY,
    apiVersion: "2024-10-21",
    maxRetries: 0,
    timeout: 30_000,
    ...options,
  });

export const ask = (content = "hello") => [{ role: "user", content }];

/** Everything that a stream says. */
export async function textOf(stream) {
  let text = "";
  for await (const chunk of stream) {
    for (const choice of chunk.choices) {
      text += choice.delta.content ?? "";
    }
  }
  return text;
}
