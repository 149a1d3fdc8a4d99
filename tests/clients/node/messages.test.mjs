// Anthropic's SDK, before each provider: the gateway speaks Messages whatever is behind it.

import { test } from "node:test";
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { ADDRESS, ask, MASTER_KEY, UPSTREAMS } from "./gateway.mjs";

const client = new Anthropic({
  baseURL: `http://${ADDRESS}`,
  apiKey: MASTER_KEY,
  maxRetries: 0,
  timeout: 30_000,
});
const request = (model, more = {}) => ({ model, max_tokens: 100, messages: ask(), ...more });
const tools = ["weather", "forecast"].map((name) => ({
  name,
  input_schema: { type: "object", properties: { city: { type: "string" } } },
}));

for (const { name } of UPSTREAMS) {
  test(`${name}: a message`, async () => {
    const message = await client.messages.create(request(`${name}/m`));
    assert.match(message.id, /^msg_/);
    assert.match(message.content[0].text, /hello/);
    assert.equal(message.stop_reason, "end_turn");
    assert.ok(message.usage.output_tokens > 0);
  });

  test(`${name}: a stream is accumulated`, async () => {
    const stream = client.messages.stream(request(`${name}/unicode`));
    let text = "";
    stream.on("text", (piece) => (text += piece));
    const message = await stream.finalMessage();
    assert.equal(text, "Grüße aus 東京 🗼");
    assert.equal(message.content[0].text, text);
  });

  test(`${name}: parallel tools`, async () => {
    const stream = client.messages.stream(request(`${name}/mock-tools-2`, { tools }));
    const message = await stream.finalMessage();
    const calls = message.content.filter((block) => block.type === "tool_use");
    assert.deepEqual(
      calls.map((call) => call.name),
      ["weather", "forecast"],
    );
    assert.equal(message.stop_reason, "tool_use");
  });

  test(`${name}: errors`, async () => {
    await assert.rejects(
      client.messages.create(request(`${name}/mock-429`)),
      Anthropic.RateLimitError,
    );
    const cut = client.messages.stream(request(`${name}/mock-cut-2`));
    await assert.rejects(cut.finalMessage(), Anthropic.APIError);
  });

  test(`${name}: tokens are counted`, async () => {
    const { input_tokens } = await client.messages.countTokens({
      model: `${name}/gpt-4o`,
      messages: ask(),
    });
    assert.ok(input_tokens > 0);
  });
}
