// The other endpoints, and the client class for Azure.

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { ask, connect, connectAzure, textOf } from "./gateway.mjs";

const client = connect();
const azure = connectAzure();

for (const name of ["openai", "azure"]) {
  test(`embeddings of ${name}`, async () => {
    const reply = await client.embeddings.create({
      model: `${name}/text-embedding-3-small`,
      input: ["first", "second"],
      dimensions: 16,
    });
    assert.deepEqual(reply.data.map((entry) => entry.embedding.length), [16, 16]);
    assert.equal(typeof reply.data[0].embedding[0], "number");
  });

  test(`text completions of ${name}`, async () => {
    const request = { model: `${name}/gpt-3.5-turbo-instruct`, prompt: "Once" };
    const reply = await client.completions.create(request);
    assert.match(reply.choices[0].text, /You said: Once/);
    let text = "";
    for await (const chunk of await client.completions.create({ ...request, stream: true })) {
      text += chunk.choices[0]?.text ?? "";
    }
    assert.equal(text, reply.choices[0].text);
  });
}

test("the models", async () => {
  const models = await Array.fromAsync(await client.models.list());
  const names = models.map((model) => model.id);
  assert.ok(names.includes("gpt") && names.includes("claude"));
  assert.equal((await client.models.retrieve("claude")).id, "claude");
  await assert.rejects(client.models.retrieve("no-such-model"), OpenAI.NotFoundError);
});

for (const model of ["gpt", "azure-gpt", "claude"]) {
  test(`the Azure client and ${model}`, async () => {
    const reply = await azure.chat.completions.create({ model, messages: ask() });
    assert.match(reply.choices[0].message.content, /You said: hello/);
  });

  test(`the Azure client streams ${model}`, async () => {
    const stream = await azure.chat.completions.create({ model, messages: ask(), stream: true });
    assert.match(await textOf(stream), /You said: hello/);
  });
}

test("the Azure client with a deployment", async () => {
  const reply = await connectAzure({ deployment: "claude" }).chat.completions.create({
    model: "whatever",
    messages: ask(),
  });
  assert.match(reply.choices[0].message.content, /You said: hello/);
});

test("the Azure client with a wrong key", async () => {
  await assert.rejects(
    connectAzure({ apiKey: "sk-wrong" }).chat.completions.create({ model: "gpt", messages: ask() }),
    OpenAI.AuthenticationError,
  );
});
