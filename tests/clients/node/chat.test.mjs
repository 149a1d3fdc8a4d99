// Chat completions: whole, streamed, with images, reasoning and structured output.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { UPSTREAMS, ask, connect, textOf } from "./gateway.mjs";

const client = connect();

const Person = z.object({
  name: z.string(),
  age: z.int(),
  pets: z.array(z.object({ kind: z.enum(["cat", "dog"]) })),
});

// One pixel.
const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E" +
  "rkJggg==";

for (const { name, model } of UPSTREAMS) {
  describe(name, () => {
    test("an answer", async () => {
      const { data, response, request_id } = await client.chat.completions
        .create({ model, messages: ask() })
        .withResponse();
      assert.match(data.choices[0].message.content, /You said: hello/);
      assert.equal(data.choices[0].finish_reason, "stop");
      const { total_tokens, prompt_tokens, completion_tokens } = data.usage;
      assert.equal(total_tokens, prompt_tokens + completion_tokens);
      assert.equal(response.headers.get("x-litellm-model-group"), `${name}/*`);
      assert.equal(response.headers.get("x-litellm-call-id"), request_id);
    });

    test("answers at the same time", async () => {
      const numbers = Array.from({ length: 20 }, (_, number) => number);
      const replies = await Promise.all(
        numbers.map((number) =>
          client.chat.completions.create({ model, messages: ask(`number ${number}`) }),
        ),
      );
      for (const [number, reply] of replies.entries()) {
        assert.match(reply.choices[0].message.content, new RegExp(`You said: number ${number}$`));
      }
    });

    test("a stream", async () => {
      const stream = await client.chat.completions.create({
        model: `${name}/word-by-word`,
        messages: ask(),
        stream: true,
      });
      const chunks = await Array.fromAsync(stream);
      assert.ok(chunks.every((chunk) => chunk.choices.length === 1));
      assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1);
      assert.equal(
        chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join(""),
        "one two three four",
      );
      assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
    });

    test("a stream with usage", async () => {
      const stream = await client.chat.completions.create({
        model: `${name}/cached`,
        messages: ask(),
        stream: true,
        stream_options: { include_usage: true },
      });
      const last = (await Array.fromAsync(stream)).at(-1);
      assert.deepEqual(last.choices, []);
      assert.equal(last.usage.total_tokens, 1050);
      assert.equal(last.usage.prompt_tokens_details.cached_tokens, 800);
    });

    test("letters that are cut on the way", async () => {
      const stream = await client.chat.completions.create({
        model: `${name}/unicode`,
        messages: ask(),
        stream: true,
      });
      assert.equal(await textOf(stream), "Grüße aus 東京 🗼");
    });

    test("the SDK's own helper", async () => {
      const runner = client.chat.completions.stream({ model, messages: ask() });
      let text = "";
      runner.on("content", (delta) => (text += delta));
      const final = await runner.finalChatCompletion();
      assert.match(text, /You said: hello/);
      assert.equal(final.choices[0].message.content, text);
    });

    test("a client that has read enough", async () => {
      const stream = await client.chat.completions.create({
        model: `${name}/mock-stall-2`,
        messages: ask(),
        stream: true,
      });
      for await (const chunk of stream) {
        if (chunk.choices[0].delta.content) break;
      }
      assert.ok(stream.controller.signal.aborted);
      const reply = await client.chat.completions.create({ model, messages: ask() });
      assert.equal(reply.choices[0].finish_reason, "stop");
    });

    test("an image", async () => {
      const url = `data:image/png;base64,${PNG}`;
      const reply = await client.chat.completions.create({
        model,
        messages: ask([
          { type: "text", text: "What is this?" },
          { type: "image_url", image_url: { url } },
        ]),
      });
      assert.match(reply.choices[0].message.content, /I see 1 image/);
    });

    test("reasoning", async () => {
      const stream = await client.chat.completions.create({
        model: `${name}-reasons`,
        messages: ask(),
        reasoning_effort: "low",
        stream: true,
      });
      let thoughts = "";
      for await (const chunk of stream) {
        thoughts += chunk.choices[0].delta.reasoning_content ?? "";
      }
      assert.ok(thoughts.split(" ").length > 2, thoughts);
    });

    test("output that is parsed", async () => {
      const reply = await client.chat.completions.parse({
        model,
        messages: ask(),
        response_format: zodResponseFormat(Person, "person"),
      });
      const person = reply.choices[0].message.parsed;
      assert.deepEqual(Person.parse(person), person);
    });

    test("streamed output that is parsed", async () => {
      const final = await client.chat.completions
        .stream({ model, messages: ask(), response_format: zodResponseFormat(Person, "person") })
        .finalChatCompletion();
      assert.equal(typeof final.choices[0].message.parsed.age, "number");
    });
  });
}
