// The SDKs of OpenAI and of Anthropic before every provider: the table of docs/support.md. Each test asks
// for a whole reply and for a stream. What reached the provider is seen in what the scripted one answers.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { MASTER_KEY, gateway, provider } from "./processes.mjs";

const MOCK = await provider();
const ADDRESS = await gateway("matrix.yaml", { MOCK, BEDROCK_MOCK: MOCK });

const PROVIDERS = [
  "openai",
  "responses",
  "azure",
  "anthropic",
  "gemini",
  "vertex",
  "vertex-claude",
  "bedrock",
  "cohere",
  "ollama",
  "house",
];
const options = { apiKey: MASTER_KEY, maxRetries: 0, timeout: 30_000 };
const openai = new OpenAI({ ...options, baseURL: `http://${ADDRESS}/v1` });
const anthropic = new Anthropic({ ...options, baseURL: `http://${ADDRESS}` });

const PNG = Buffer.from("\x89PNG\r\n\x1a\n", "latin1").toString("base64");
const object = (properties) => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});
const schema = object({ city: { type: "string" }, days: { type: "integer" } });
const functions = {
  weather: object({ city: { type: "string" } }),
  forecast: object({ place: { type: "string" } }),
};
const named = (made) => Object.entries(functions).map(([name, parameters]) => made(name, parameters));

// Each `ask` resolves with { text, thoughts, calls, usage, turn }; `results` makes a history of a turn.
const speakers = {
  chat: {
    limited: OpenAI.RateLimitError,
    failed: OpenAI.APIError,
    async ask(model, { wish, streamed, history = [], heard }) {
      const image = { type: "image_url", image_url: { url: `data:image/png;base64,${PNG}` } };
      const content = wish === "image" ? [{ type: "text", text: "look" }, image] : "look";
      const request = { model, messages: [{ role: "user", content }, ...history] };
      if (wish === "tools") {
        request.tools = named((name, parameters) => ({
          type: "function",
          function: { name, parameters },
        }));
      }
      if (wish === "thinking") request.reasoning_effort = "low";
      if (wish === "schema") {
        request.response_format = {
          type: "json_schema",
          json_schema: { name: "answer", strict: true, schema },
        };
      }
      let [reply, thoughts] = [undefined, ""];
      if (streamed) {
        const stream = openai.chat.completions.stream({
          ...request,
          stream_options: { include_usage: true },
        });
        for await (const chunk of stream) {
          const delta = chunk.choices[0]?.delta ?? {};
          if (delta.content) heard?.push(delta.content);
          thoughts += delta.reasoning_content ?? "";
        }
        reply = await stream.finalChatCompletion();
      } else {
        reply = await openai.chat.completions.create(request);
      }
      const { message, finish_reason } = reply.choices[0];
      const calls = message.tool_calls ?? [];
      assert.equal(finish_reason, calls.length ? "tool_calls" : "stop");
      const { prompt_tokens, prompt_tokens_details, completion_tokens } = reply.usage;
      return {
        text: message.content ?? "",
        thoughts: thoughts || (message.reasoning_content ?? ""),
        calls: calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]),
        usage: [prompt_tokens, prompt_tokens_details?.cached_tokens ?? 0, completion_tokens],
        turn: message,
      };
    },
    results: (turn) => [
      turn,
      ...turn.tool_calls.map(({ id }) => ({ role: "tool", tool_call_id: id, content: "mild" })),
    ],
  },

  responses: {
    limited: OpenAI.RateLimitError,
    failed: OpenAI.APIError,
    async ask(model, { wish, streamed, history = [], heard }) {
      const image = { type: "input_image", image_url: `data:image/png;base64,${PNG}` };
      const content = wish === "image" ? [{ type: "input_text", text: "look" }, image] : "look";
      const request = { model, input: [{ role: "user", content }, ...history] };
      if (wish === "tools") {
        request.tools = named((name, parameters) => ({
          type: "function",
          name,
          parameters,
          strict: false,
        }));
      }
      if (wish === "thinking") request.reasoning = { effort: "low", summary: "auto" };
      if (wish === "schema") {
        request.text = { format: { type: "json_schema", name: "answer", strict: true, schema } };
      }
      let reply;
      if (streamed) {
        const stream = openai.responses.stream(request);
        for await (const event of stream) {
          if (event.type === "response.output_text.delta") heard?.push(event.delta);
          if (event.type === "response.failed") {
            throw new OpenAI.APIError(undefined, event.response.error, undefined, undefined);
          }
        }
        reply = await stream.finalResponse();
      } else {
        reply = await openai.responses.create(request);
      }
      assert.equal(reply.status, "completed");
      const of = (type) => reply.output.filter((item) => item.type === type);
      const { input_tokens, input_tokens_details, output_tokens } = reply.usage;
      return {
        text: reply.output_text,
        thoughts: of("reasoning")
          .flatMap((item) => item.summary.map((part) => part.text))
          .join(""),
        calls: of("function_call").map((call) => [call.name, JSON.parse(call.arguments)]),
        usage: [input_tokens, input_tokens_details.cached_tokens, output_tokens],
        turn: reply.output,
      };
    },
    results: (turn) => [
      ...turn.map(({ parsed_arguments, ...item }) => item),
      ...turn
        .filter((item) => item.type === "function_call")
        .map(({ call_id }) => ({ type: "function_call_output", call_id, output: "mild" })),
    ],
  },

  messages: {
    limited: Anthropic.RateLimitError,
    failed: Anthropic.APIError,
    async ask(model, { wish, streamed, history = [], heard }) {
      const source = { type: "base64", media_type: "image/png", data: PNG };
      const text = { type: "text", text: "look" };
      const content = wish === "image" ? [text, { type: "image", source }] : "look";
      const messages = [{ role: "user", content }, ...history];
      const request = { model, max_tokens: 4000, messages };
      if (wish === "tools") {
        request.tools = named((name, input_schema) => ({ name, input_schema }));
      }
      if (wish === "thinking") request.thinking = { type: "enabled", budget_tokens: 2000 };
      if (wish === "schema") request.output_config = { format: { type: "json_schema", schema } };
      let reply;
      if (streamed) {
        const stream = anthropic.messages.stream(request);
        stream.on("text", (piece) => heard?.push(piece));
        reply = await stream.finalMessage();
      } else {
        reply = await anthropic.messages.create(request);
      }
      const of = (type) => reply.content.filter((block) => block.type === type);
      const calls = of("tool_use");
      assert.equal(reply.stop_reason, calls.length ? "tool_use" : "end_turn");
      const cached = reply.usage.cache_read_input_tokens ?? 0;
      return {
        text: of("text")
          .map((block) => block.text)
          .join(""),
        thoughts: of("thinking")
          .map((block) => block.thinking)
          .join(""),
        calls: calls.map((call) => [call.name, call.input]),
        usage: [reply.usage.input_tokens + cached, cached, reply.usage.output_tokens],
        turn: reply.content,
      };
    },
    results: (turn) => [
      { role: "assistant", content: turn },
      {
        role: "user",
        content: turn
          .filter((block) => block.type === "tool_use")
          .map(({ id }) => ({ type: "tool_result", tool_use_id: id, content: "mild" })),
      },
    ],
  },
};

for (const [speaks, speaker] of Object.entries(speakers)) {
  for (const name of PROVIDERS) {
    for (const streamed of [false, true]) {
      const ask = (behaviour, more = {}) =>
        speaker.ask(`${name}-${behaviour}`, { streamed, ...more });

      describe(`${speaks}, ${name}, ${streamed ? "streamed" : "whole"}`, () => {
        test("text and image", async () => {
          const said = await ask("echo");
          assert.match(said.text, /You said: look$/);
          assert.deepEqual([said.thoughts, said.calls], ["", []]);
          assert.match((await ask("echo", { wish: "image" })).text, /look I see 1 image\.$/);
        });

        test("parallel tools and their results", async () => {
          const said = await ask("tools", { wish: "tools" });
          assert.deepEqual(said.calls, [
            ["weather", { city: "text" }],
            ["forecast", { place: "text" }],
          ]);
          const history = speaker.results(said.turn);
          assert.match((await ask("echo", { wish: "tools", history })).text, /The tool said/);
        });

        test("thinking", async () => {
          const said = await ask("thinks", { wish: "thinking" });
          assert.deepEqual([said.thoughts, said.text], ["hm well", "hello"]);
        });

        test("a schema", async () => {
          const said = await ask("echo", { wish: "schema" });
          assert.deepEqual(JSON.parse(said.text), { city: "text", days: 1 });
        });

        test("usage", async () => {
          // Ollama does not tell what was cached.
          const cached = name === "ollama" ? 0 : 800;
          assert.deepEqual((await ask("counts")).usage, [1000, cached, 50]);
        });

        test("an error", async () => {
          await assert.rejects(ask("busy"), (error) => {
            assert.ok(error instanceof speaker.limited, error);
            assert.equal(error.headers.get("retry-after"), "7");
            return true;
          });
        });

        test("an error in the stream", async () => {
          const heard = [];
          await assert.rejects(ask("breaks", { heard }), speaker.failed);
          assert.equal(heard.join(""), streamed ? "one two " : "");
        });
      });
    }
  }
}
