// Images, sound, moderation, files and batches.

import assert from "node:assert/strict";
import { test } from "node:test";
import { toFile } from "openai";
import { connect } from "./gateway.mjs";

const client = connect();
const sound = () => toFile(Buffer.from("RIFF and sound"), "sound.wav", { type: "audio/wav" });

for (const name of ["openai", "azure"]) {
  test(`images of ${name}`, async () => {
    const request = { model: `${name}/gpt-image-1`, prompt: "a cat" };
    const made = await client.images.generate(request);
    assert.equal(Buffer.from(made.data[0].b64_json, "base64").toString(), "image");
    const image = await toFile(Buffer.from("PNG"), "a.png", { type: "image/png" });
    const edited = await client.images.edit({ ...request, image: [image, image] });
    assert.equal(edited.usage.output_tokens, 100);
  });

  test(`sound of ${name}`, async () => {
    const heard = await client.audio.transcriptions.create({
      model: `${name}/whisper-1`,
      file: await sound(),
    });
    assert.equal(heard.text, "Hello.");
    const spoken = await client.audio.speech.create({
      model: `${name}/tts-1`,
      voice: "alloy",
      input: "Hello",
    });
    assert.equal(spoken.headers.get("content-type"), "audio/mpeg");
    let said = "";
    for await (const piece of spoken.body) said += Buffer.from(piece).toString();
    assert.equal(said, "ID3 and then sound, a lot of it");
  });
}

test("moderation", async () => {
  const reply = await client.moderations.create({ input: "I will hurt you" });
  assert.equal(reply.results[0].flagged, true);
});

test("files and batches", async () => {
  const lines = Buffer.from('{"custom_id":"1","body":{"model":"openai/gpt-4o"}}\n');
  const file = await client.files.create({
    file: await toFile(lines, "lines.jsonl"),
    purpose: "batch",
  });
  const batch = await client.batches.create({
    input_file_id: file.id,
    endpoint: "/v1/chat/completions",
    completion_window: "24h",
  });
  assert.equal(batch.input_file_id, file.id);
  assert.equal((await client.batches.retrieve(batch.id)).id, batch.id);
  const output = await client.files.content(batch.output_file_id);
  assert.equal(await output.text(), '{"custom_id":"1"}\n');
  const files = await Array.fromAsync(client.files.list());
  assert.deepEqual(files.map((it) => it.id), [file.id]);
  assert.equal((await client.files.delete(file.id)).deleted, true);
});
