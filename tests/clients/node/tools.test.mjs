// Tools: calls, calls in parallel, and the SDK's own loop.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { zodFunction } from "openai/helpers/zod";
import { z } from "zod";
import { UPSTREAMS, ask, connect } from "./gateway.mjs";

const client = connect();

const Weather = z.object({ city: z.string(), days: z.int() });
const Time = z.object({ zone: z.enum(["UTC", "CET"]) });
const tools = [
  zodFunction({ name: "get_weather", parameters: Weather }),
  zodFunction({ name: "get_time", parameters: Time }),
];
const ofCity = zodFunction({ name: "get_weather", parameters: z.object({ city: z.string() }) });

for (const { name, model } of UPSTREAMS) {
  describe(name, () => {
    test("calls in parallel", async () => {
      const reply = await client.chat.completions.parse({
        model: `${name}/mock-tools-2`,
        messages: ask(),
        tools,
      });
      const [weather, time] = reply.choices[0].message.tool_calls;
      assert.equal(reply.choices[0].finish_reason, "tool_calls");
      assert.notEqual(weather.id, time.id);
      Weather.parse(weather.function.parsed_arguments);
      assert.deepEqual(time.function.parsed_arguments, { zone: "UTC" });
    });

    test("streamed calls in parallel after a text", async () => {
      const final = await client.chat.completions
        .stream({ model: `${name}/talks-and-calls`, messages: ask(), tools: [ofCity] })
        .finalChatCompletion();
      const { content, tool_calls } = final.choices[0].message;
      assert.equal(content, "Let me look.");
      assert.deepEqual(
        tool_calls.map((call) => [call.id, JSON.parse(call.function.arguments)]),
        [
          ["call_1", { city: "Paris" }],
          ["call_2", { city: "Zürich" }],
        ],
      );
    });

    test("a call that is forced", async () => {
      const reply = await client.chat.completions.create({
        model,
        messages: ask(),
        tools,
        tool_choice: { type: "function", function: { name: "get_time" } },
      });
      assert.equal(reply.choices[0].message.tool_calls[0].function.name, "get_time");
    });

    for (const stream of [false, true]) {
      test(`the SDK's own loop${stream ? ", streamed" : ""}`, async () => {
        const asked = [];
        const runner = client.chat.completions.runTools({
          model: `${name}/calls-once`,
          messages: ask(),
          stream,
          tools: [
            {
              type: "function",
              function: {
                name: "get_weather",
                description: "The weather of a city.",
                parameters: {
                  type: "object",
                  properties: { city: { type: "string" } },
                  required: ["city"],
                },
                parse: JSON.parse,
                function: ({ city }) => {
                  asked.push(city);
                  return "21 degrees";
                },
              },
            },
          ],
        });
        assert.equal(await runner.finalContent(), "It is 21 degrees in Paris.");
        assert.deepEqual(asked, ["Paris"]);
      });
    }

    test("a loop that ends with the tool's result", async () => {
      const first = await client.chat.completions.create({
        model: `${name}/mock-tools`,
        messages: ask(),
        tools,
      });
      const { message } = first.choices[0];
      const reply = await client.chat.completions.create({
        model,
        messages: [
          ...ask(),
          message,
          { role: "tool", tool_call_id: message.tool_calls[0].id, content: "21 degrees" },
        ],
        tools,
      });
      assert.match(reply.choices[0].message.content, /The tool said: 21 degrees/);
    });
  });
}
