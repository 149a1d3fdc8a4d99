// One gateway before three scripted providers, and the SDK's clients of it.

import OpenAI, { AzureOpenAI } from "openai";
import { MASTER_KEY, gateway, provider } from "./processes.mjs";

export { MASTER_KEY };

/** The providers, each with a model that the gateway has of it. */
export const UPSTREAMS = [
  { name: "openai", model: "openai/gpt-4o", substitute: "claude" },
  { name: "azure", model: "azure/gpt-4o", substitute: "gpt" },
  { name: "anthropic", model: "anthropic/claude-sonnet-4-5", substitute: "azure-gpt" },
];

const [OPENAI_MOCK, AZURE_MOCK, ANTHROPIC_MOCK] = await Promise.all(UPSTREAMS.map(provider));

/** Where the gateway listens. */
export const ADDRESS = await gateway("gateway.yaml", { OPENAI_MOCK, AZURE_MOCK, ANTHROPIC_MOCK });

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
