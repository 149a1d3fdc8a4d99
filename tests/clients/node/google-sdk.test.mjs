// Google's own SDK as a client: whatever provider stands behind the gateway.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ApiError, FunctionCallingConfigMode, GoogleGenAI, Type } from "@google/genai";
import { UPSTREAMS, connect } from "./gateway.mjs";

const { apiKey, baseURL } = connect();
const google = new GoogleGenAI({
  apiKey,
  httpOptions: { baseUrl: baseURL.replace(/\/v1\/?$/, ""), timeout: 30_000 },
});

const weather = {
  name: "get_weather",
  parameters: { type: Type.OBJECT, properties: { city: { type: Type.STRING } }, required: ["city"] },
};

for (const { name, model } of UPSTREAMS) {
  describe(name, () => {
    test("a text", async () => {
      const reply = await google.models.generateContent({ model, contents: "Say it back." });
      assert.match(reply.text, /Say it back\./);
      assert.equal(reply.candidates[0].finishReason, "STOP");
      assert.ok(reply.usageMetadata.totalTokenCount > 0);
    });

    test("a stream", async () => {
      let text = "";
      let last;
      const stream = await google.models.generateContentStream({ model, contents: "Say it back." });
      for await (const frame of stream) {
        text += frame.text ?? "";
        last = frame;
      }
      assert.match(text, /Say it back\./);
      assert.equal(last.candidates[0].finishReason, "STOP");
      assert.ok(last.usageMetadata.candidatesTokenCount > 0);
    });

    test("a call and its result", async () => {
      const config = {
        tools: [{ functionDeclarations: [weather] }],
        toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.AUTO } },
      };
      const contents = [{ role: "user", parts: [{ text: "How is the weather?" }] }];
      const ask = { model: `${name}/mock-tools`, contents, config };
      const reply = await google.models.generateContent(ask);
      const [call] = reply.functionCalls;
      assert.equal(call.name, "get_weather");
      assert.equal(typeof call.args.city, "string");
      const response = { output: "sun" };
      contents.push(reply.candidates[0].content, {
        role: "user",
        parts: [{ functionResponse: { id: call.id, name: call.name, response } }],
      });
      const answer = await google.models.generateContent({ ...ask, model });
      assert.match(answer.text, /The tool said/);
    });

    test("a chat remembers", async () => {
      const chat = google.chats.create({ model });
      assert.match((await chat.sendMessage({ message: "the first" })).text, /first/);
      let text = "";
      for await (const frame of await chat.sendMessageStream({ message: "the second" })) {
        text += frame.text ?? "";
      }
      assert.match(text, /second/);
      const said = chat.getHistory(true).filter((turn) => turn.role === "user");
      assert.equal(said.length, 2);
    });

    test("tokens are counted", async () => {
      const { totalTokens } = await google.models.countTokens({ model, contents: "Hi." });
      assert.ok(totalTokens > 0);
    });

    test("an error", async () => {
      const refused = google.models.generateContent({ model: `${name}/busy`, contents: "Hi." });
      await assert.rejects(refused, (error) => error instanceof ApiError && error.status === 429);
    });
  });
}
