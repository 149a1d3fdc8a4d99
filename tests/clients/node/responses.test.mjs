// The Responses API, as the SDK's users call it, before providers that have none.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { UPSTREAMS, connect } from "./gateway.mjs";

const client = connect();
const Answer = z.object({ city: z.string(), days: z.int() });
const tool = (name, properties) => ({
  type: "function",
  name,
  parameters: { type: "object", properties, required: Object.keys(properties) },
  strict: false,
});
const tools = [
  tool("get_weather", { city: { type: "string" } }),
  tool("get_time", { zone: { type: "string" } }),
];

for (const { name, model } of UPSTREAMS) {
  describe(name, () => {
    test("an answer", async () => {
      const response = await client.responses.create({ model, input: "Say it." });
      assert.equal(response.status, "completed");
      assert.match(response.output_text, /Say it\./);
    });

    test("a stream, and what the SDK makes of it", async () => {
      const stream = client.responses.stream({ model, input: "Say it." });
      let [text, next] = ["", 0];
      for await (const event of stream) {
        assert.equal(event.sequence_number, next++);
        if (event.type === "response.output_text.delta") text += event.delta;
      }
      const final = await stream.finalResponse();
      assert.ok(text);
      assert.equal(final.output_text, text);
    });

    test("calls in parallel", async () => {
      const final = await client.responses
        .stream({ model: `${name}/mock-tools-2`, input: "Both.", tools })
        .finalResponse();
      const calls = final.output.filter((item) => item.type === "function_call");
      assert.deepEqual(
        calls.map((call) => call.name),
        ["get_weather", "get_time"],
      );
    });

    test("an answer by a schema", async () => {
      const response = await client.responses.parse({
        model,
        input: "Where, and how long?",
        text: { format: zodTextFormat(Answer, "answer") },
      });
      Answer.parse(response.output_parsed);
    });

    test("what needs the provider's own API", async () => {
      const asked = client.responses.create({ model, input: "x", previous_response_id: "resp_1" });
      await assert.rejects(asked, { status: 400, code: "previous_response_not_supported" });
    });
  });
}
