// Errors as the SDK's classes, and what the gateway spares its clients.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import OpenAI from "openai";
import { UPSTREAMS, ask, connect, textOf } from "./gateway.mjs";

const client = connect();

/** Asks, and resolves with the error. */
async function refused(model, options = {}, by = client) {
  try {
    await by.chat.completions.create({ model, messages: ask(), ...options });
  } catch (error) {
    return error;
  }
  assert.fail("it was answered");
}

test("a wrong key", async () => {
  const error = await refused("gpt", {}, connect({ apiKey: "sk-wrong" }));
  assert.ok(error instanceof OpenAI.AuthenticationError);
  assert.equal(error.code, "invalid_api_key");
});

test("an unknown model", async () => {
  const error = await refused("no-such-model");
  assert.ok(error instanceof OpenAI.NotFoundError);
  assert.deepEqual([error.code, error.param], ["model_not_found", "model"]);
  assert.ok(error.requestID);
});

for (const { name, model, substitute } of UPSTREAMS) {
  describe(name, () => {
    for (const stream of [false, true]) {
      const kinds = {
        "mock-context": OpenAI.BadRequestError,
        "mock-403": OpenAI.PermissionDeniedError,
        "mock-404": OpenAI.NotFoundError,
        "mock-409": OpenAI.ConflictError,
        "mock-422": OpenAI.UnprocessableEntityError,
        "mock-429": OpenAI.RateLimitError,
        "mock-500": OpenAI.InternalServerError,
        "mock-overloaded": OpenAI.InternalServerError,
        "mock-reset": OpenAI.InternalServerError,
        "mock-garbage-json": OpenAI.InternalServerError,
        "mock-error-frame": OpenAI.InternalServerError,
      };
      for (const [behaviour, kind] of Object.entries(kinds)) {
        test(`${behaviour}${stream ? ", streamed" : ""}`, async () => {
          const error = await refused(`${name}/${behaviour}`, { stream });
          assert.equal(error.constructor, kind);
          if (behaviour === "mock-context") assert.equal(error.code, "context_length_exceeded");
        });
      }

      test(`a provider that does not answer${stream ? ", streamed" : ""}`, async () => {
        const error = await refused(`${name}-impatient`, { stream });
        assert.equal(error.status, 504);
      });
    }

    test("too many requests", async () => {
      const error = await refused(`${name}/busy`);
      assert.ok(error instanceof OpenAI.RateLimitError);
      assert.equal(error.headers.get("retry-after"), "7");
    });

    test("the client's own patience", async () => {
      const error = await refused(`${name}/mock-half-open`, {}, connect({ timeout: 200 }));
      assert.ok(error instanceof OpenAI.APIConnectionTimeoutError);
    });

    test("a stream that is cut", async () => {
      const stream = await client.chat.completions.create({
        model: `${name}/mock-cut-2`,
        messages: ask(),
        stream: true,
      });
      await assert.rejects(textOf(stream), (error) => {
        assert.ok(error instanceof OpenAI.APIError);
        assert.equal(error.code, "upstream_connection_error");
        return true;
      });
    });

    test("retries of the gateway", async () => {
      const { data, response } = await client.chat.completions
        .create({ model: `${name}/fails-twice`, messages: ask(), num_retries: 2 })
        .withResponse();
      assert.equal(data.choices[0].message.content, "The third time pays for all.");
      assert.equal(response.headers.get("x-litellm-attempted-retries"), "2");
    });

    test("retries of the SDK", async () => {
      const reply = await connect({ maxRetries: 1 }).chat.completions.create({
        model: `${name}/busy-once`,
        messages: ask(),
      });
      assert.equal(reply.choices[0].message.content, "Now there is time.");
    });

    test("fallbacks", async () => {
      const { data, response } = await client.chat.completions
        .create({ model: `${name}-hollow`, messages: ask(), stream: true })
        .withResponse();
      assert.equal(response.headers.get("x-litellm-model-group"), substitute);
      assert.match(await textOf(data), /You said: hello/);
    });

    test("errors leave the connection usable", async () => {
      for (const behaviour of ["mock-400", "mock-429", "mock-reset"]) {
        await refused(`${name}/${behaviour}`);
        const reply = await client.chat.completions.create({ model, messages: ask() });
        assert.equal(reply.choices[0].finish_reason, "stop");
      }
    });
  });
}
